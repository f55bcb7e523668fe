//! Why a cluster did not do what it was asked to.

use kube::config::{InferConfigError, KubeconfigError};
use kube::core::Status;

use super::delete::Denial;

/// Why a cluster did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Neither a kubeconfig nor a cluster around this process.
    #[error("no cluster is known here")]
    NoCluster {
        /// Why.
        #[source]
        source: InferConfigError,
    },
    /// A context that cannot be used.
    #[error("the context `{context}` cannot be used")]
    Context {
        /// The context.
        context: String,
        /// Those that there are.
        contexts: Vec<String>,
        /// Why.
        #[source]
        source: KubeconfigError,
    },
    /// The client cannot be set up: a certificate, a program that gives credentials.
    #[error("the connection to the cluster cannot be set up")]
    SetUp {
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server says no.
    #[error("the cluster refused to {action} the {object}: {}", status.message)]
    Refused {
        /// What was tried.
        action: &'static str,
        /// On what.
        object: String,
        /// What it said.
        status: Box<Status>,
    },
    /// No answer, or one that cannot be understood.
    #[error("could not {action} the {object}: the API server gave no usable answer")]
    NoAnswer {
        /// What was tried.
        action: &'static str,
        /// On what.
        object: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer for as long as it was waited for.
    #[error("could not {action} the {object}: the API server gave no answer in time")]
    Silent {
        /// What was tried.
        action: &'static str,
        /// On what.
        object: String,
    },
    /// The cluster has no such kind of object.
    #[error("the cluster knows no {kind} ({api_version})")]
    UnknownKind {
        /// The kind.
        kind: &'static str,
        /// Its group and version.
        api_version: String,
    },
    /// Nothing of this name was made by mlrs.
    #[error("mlrs has deployed no `{name}` in the namespace `{namespace}`")]
    NotDeployed {
        /// The name.
        name: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// Nothing was found, and not everything could be looked for.
    #[error(
        "nothing of `{name}` was found, but you may not look for {}",
        kinds_of(denials)
    )]
    Unsought {
        /// The name.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// What could not be looked for.
        denials: Vec<Denial>,
    },
    /// Something was not deleted.
    #[error("not all of `{name}` was deleted: you may not {}", rights_of(denials))]
    Left {
        /// The name.
        name: String,
        /// Where it is.
        namespace: String,
        /// What was not deleted.
        denials: Vec<Denial>,
    },
    /// None of its pods gets requests.
    #[error("no pod of `{name}` in the namespace `{namespace}` is ready")]
    NoPods {
        /// The name.
        name: String,
        /// Where it is.
        namespace: String,
    },
    /// Something of this name was made by somebody else.
    #[error("there is a {object} that mlrs did not make")]
    NotOurs {
        /// The object.
        object: String,
    },
}

impl ClusterError {
    /// An error of a call.
    pub(super) fn of(action: &'static str, object: String, error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refused {
                action,
                object,
                status,
            },
            other => Self::NoAnswer {
                action,
                object,
                source: Box::new(other),
            },
        }
    }

    pub(super) fn setting_up(error: kube::Error) -> Self {
        Self::SetUp {
            source: Box::new(error),
        }
    }

    /// The HTTP status of a refusal.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.code),
            _ => None,
        }
    }

    /// Whether it may go well when it is tried again: the API server was away, or had too much to do.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status.code, 429 | 500..=599),
            Self::NoAnswer { source, .. } => matches!(
                **source,
                kube::Error::HyperError(_) | kube::Error::Service(_)
            ),
            Self::Silent { .. } => true,
            _ => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoCluster { .. } => {
                "name a kubeconfig with the variable KUBECONFIG, or a context with --context"
                    .to_owned()
            }
            Self::Context { contexts, .. } if contexts.is_empty() => {
                "name a kubeconfig with the variable KUBECONFIG".to_owned()
            }
            Self::Context { contexts, .. } => format!("there are: {}", contexts.join(", ")),
            Self::SetUp { .. } => {
                "check the certificates, and the program that gives credentials, of the context"
                    .to_owned()
            }
            Self::NoAnswer { .. } | Self::Silent { .. } => {
                "check that the cluster runs and is reached: `kubectl cluster-info`".to_owned()
            }
            Self::Refused { status, .. } => return hint_of(status),
            Self::UnknownKind { kind, .. } => match *kind {
                "HTTPRoute" => {
                    "install the Gateway API in the cluster, or use --ingress".to_owned()
                }
                "ServiceMonitor" => {
                    "install Prometheus' operator in the cluster, or leave out --service-monitor"
                        .to_owned()
                }
                _ => "install KServe in the cluster, or leave out --kserve".to_owned(),
            },
            Self::NotDeployed { .. } => {
                "`mlrs deploy status` lists what is there; --namespace names another namespace"
                    .to_owned()
            }
            Self::Unsought {
                name,
                namespace,
                denials,
            }
            | Self::Left {
                name,
                namespace,
                denials,
            } => Denial::hint(denials, name, namespace),
            Self::NoPods { name, namespace } => {
                format!("`mlrs deploy status {name} --namespace {namespace}` says why")
            }
            Self::NotOurs { .. } => "choose another name or another namespace".to_owned(),
        })
    }
}

/// The kinds of what may not be looked for.
fn kinds_of(denials: &[Denial]) -> String {
    let kinds: Vec<&str> = denials.iter().map(|denial| denial.kind).collect();
    kinds.join(", ")
}

/// What may not be done with which kinds.
fn rights_of(denials: &[Denial]) -> String {
    let rights = denials.iter().map(|denial| match denial.verb {
        "get" => format!("look for {}", denial.kind),
        verb => format!("{verb} {}", denial.kind),
    });
    rights.collect::<Vec<_>>().join(", ")
}

/// What to do about a refusal.
fn hint_of(status: &Status) -> Option<String> {
    let details = status.details.as_ref();
    let kind = details
        .map(|details| details.kind.as_str())
        .unwrap_or_default();
    match status.code {
        401 => Some(
            "the credentials of the context are not accepted: log in again, or choose another one \
             with --context"
                .to_owned(),
        ),
        403 => Some("ask whoever runs the cluster for the right to do this".to_owned()),
        404 if kind == "namespaces" => {
            let name = details
                .map(|details| details.name.as_str())
                .unwrap_or_default();
            Some(format!(
                "make the namespace: `kubectl create namespace {name}`"
            ))
        }
        409 if is_of_other_managers(status) => {
            Some("to take the fields over, say --force-conflicts".to_owned())
        }
        429 | 500..=599 => Some("try again later".to_owned()),
        _ => None,
    }
}

/// Whether a refusal is about fields that another program manages.
pub(super) fn is_of_other_managers(status: &Status) -> bool {
    !conflicts(status).is_empty()
}

/// What the API server says of each field that another manager has: the field, and whose it is.
pub(super) fn conflicts(status: &Status) -> Vec<(&str, &str)> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| (cause.field.as_str(), cause.message.as_str()))
        .collect()
}
