//! Why a deployment did not go as asked, and what to do about it.

use std::time::Duration;

use bollard::errors::Error as EngineError;

use super::address::Address;
use crate::output::DockerError;

/// Why a deployment did not go as asked.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] DockerError),
    /// There is none of that name.
    #[error("there is no deployment `{0}`")]
    Absent(String),
    /// There is something of that name already.
    #[error("there is a container `{0}` already")]
    Exists(String),
    /// The engine does not have the image.
    #[error("the Docker engine has no image `{image}`")]
    NoImage {
        /// The image.
        image: String,
        /// What the engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// The engine does not take the settings.
    #[error("the Docker engine does not take the settings of `{name}`")]
    Settings {
        /// The deployment.
        name: String,
        /// What the engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// Something else has its port.
    #[error("the port of `{name}` is taken")]
    PortTaken {
        /// The deployment.
        name: String,
        /// What the engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// The address that its port is to be published on is not one of the engine's machine.
    #[error("the address of `{name}` is not one of the machine")]
    NoAddress {
        /// The deployment.
        name: String,
        /// What the engine said.
        #[source]
        source: Box<EngineError>,
    },
    /// It does not run, or does not publish its port.
    #[error("`{0}` does not run")]
    NotRunning(String),
    /// It answers on another machine only.
    #[error("`{name}` cannot be asked from here: it answers on {address}")]
    Elsewhere {
        /// The deployment.
        name: String,
        /// Where it answers.
        address: Address,
    },
    /// It does not answer.
    #[error("`{name}` does not answer")]
    NoAnswer {
        /// The deployment.
        name: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It ended before it was ready.
    #[error("`{name}` ended with exit status {status} before it was ready{log}")]
    Ended {
        /// The deployment.
        name: String,
        /// Its exit status.
        status: i64,
        /// The last lines of its log, each on a line of its own.
        log: String,
    },
    /// It was not ready in time.
    #[error("`{name}` was not ready within {} s{log}", patience.as_secs())]
    NotReady {
        /// The deployment.
        name: String,
        /// How long was waited.
        patience: Duration,
        /// The last lines of its log, each on a line of its own.
        log: String,
    },
    /// It was given up before it was ready.
    #[error("`{0}` was interrupted before it was ready")]
    Interrupted(String),
    /// It did not go as asked, and what was done could not be undone.
    #[error("`{name}` is left half done: {undoing}")]
    HalfDone {
        /// The deployment.
        name: String,
        /// Why it could not be undone.
        undoing: String,
        /// Why it did not go as asked.
        #[source]
        source: Box<ContainerError>,
    },
}

impl ContainerError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Absent(_) => Some("`mlrs deployments list -t docker` names those that there are"),
            Self::Exists(_) => Some(
                "change it with `mlrs deployments update`, remove it with `mlrs deployments delete` or \
                 `docker rm`, or choose another name",
            ),
            Self::NoImage { .. } => Some(
                "`docker pull` it or build it first; without `-C image=` one is built of the model",
            ),
            Self::Settings { .. } => {
                Some("`mlrs deployments help -t docker` explains the settings")
            }
            Self::PortTaken { .. } => {
                Some("choose another with `-C port=`; `-C port=0` takes any free one")
            }
            Self::NoAddress { .. } => {
                Some("choose another with `-C host=`; `-C host=0.0.0.0` is all of the machine's")
            }
            Self::NotRunning(_) | Self::NoAnswer { .. } => {
                Some("`docker logs` says what became of it")
            }
            Self::Elsewhere { .. } => Some(
                "ask it from that machine, or publish it on all of its addresses: `mlrs deployments \
                 update -C host=0.0.0.0`",
            ),
            Self::Ended { .. } | Self::NotReady { .. } => {
                Some("the log says why; everything is as it was before")
            }
            Self::Interrupted(_) => Some("everything is as it was before"),
            Self::HalfDone { .. } => Some(
                "`docker ps --all` shows what there is; `mlrs deployments update` tries again, and \
                 `mlrs deployments delete` removes it",
            ),
        }
    }
}

/// An action that the engine did not do.
pub(super) fn refused(action: &str, source: EngineError) -> ContainerError {
    DockerError::Refused {
        action: action.to_owned(),
        source: Box::new(source),
    }
    .into()
}

/// A container that was not created. `container` is its name, which an update changes later.
pub(super) fn not_created(
    name: &str,
    container: &str,
    image: &str,
    source: EngineError,
) -> ContainerError {
    match status(&source) {
        Some(404) => ContainerError::NoImage {
            image: image.to_owned(),
            source: Box::new(source),
        },
        Some(409) => ContainerError::Exists(container.to_owned()),
        Some(400) => ContainerError::Settings {
            name: name.to_owned(),
            source: Box::new(source),
        },
        _ => refused(&format!("create `{name}`"), source),
    }
}

/// A container that was not started. The engine has one status for all causes, but its words differ.
pub(super) fn not_started(name: &str, source: EngineError) -> ContainerError {
    let text = source.to_string();
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    let owned = name.to_owned();
    if says(&["port is already allocated", "address already in use"]) {
        let source = Box::new(source);
        ContainerError::PortTaken {
            name: owned,
            source,
        }
    } else if says(&["cannot assign requested address"]) {
        let source = Box::new(source);
        ContainerError::NoAddress {
            name: owned,
            source,
        }
    } else {
        refused(&format!("start `{name}`"), source)
    }
}

/// The HTTP status of an answer that is an error.
pub(super) fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// An error and its causes in one line.
pub(super) fn in_one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status_code: u16, message: &str) -> EngineError {
        EngineError::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        }
    }

    fn told(error: &ContainerError) -> (String, &'static str) {
        (error.to_string(), error.hint().unwrap())
    }

    #[test]
    fn what_was_not_created_has_a_cause() {
        let not = |status, message| {
            told(&not_created(
                "iris",
                "iris.next",
                "team/iris:1",
                said(status, message),
            ))
        };
        let (text, hint) = not(404, "No such image: team/iris:1");
        assert_eq!(text, "the Docker engine has no image `team/iris:1`");
        assert!(hint.starts_with("`docker pull` it"), "{hint}");
        let (text, _) = not(409, "Conflict. The container name is in use");
        assert_eq!(text, "there is a container `iris.next` already");
        let (text, hint) = not(400, "Minimum memory limit allowed is 6MB");
        assert_eq!(
            text,
            "the Docker engine does not take the settings of `iris`"
        );
        assert!(hint.contains("explains the settings"), "{hint}");
        let (text, hint) = not(500, "no space left on device");
        assert_eq!(text, "the Docker engine did not create `iris`");
        assert!(hint.contains("disk full"), "{hint}");
    }

    #[test]
    fn what_was_not_started_has_a_cause() {
        let not = |message| told(&not_started("iris", said(500, message)));
        for taken in [
            "Bind for 127.0.0.1:8080 failed: port is already allocated",
            "listen tcp4 127.0.0.1:8080: bind: address already in use",
        ] {
            let (text, hint) = not(taken);
            assert_eq!(text, "the port of `iris` is taken");
            assert!(hint.contains("-C port="), "{hint}");
        }
        let (text, hint) = not("listen tcp4 192.0.2.7:80: bind: cannot assign requested address");
        assert_eq!(text, "the address of `iris` is not one of the machine");
        assert!(hint.contains("-C host="), "{hint}");
        let (text, _) = not("something else");
        assert_eq!(text, "the Docker engine did not start `iris`");
    }

    #[test]
    fn causes_are_told_once() {
        let error = refused("start `iris`", said(500, "no"));
        assert_eq!(
            in_one_line(&error),
            "the Docker engine did not start `iris`: Docker responded with status code 500: no"
        );
    }
}
