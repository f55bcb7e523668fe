//! What is asked for: a model or an image, how many of it, and who may reach it.
//!
//! [`Settings`] holds nothing that the API server would refuse for its form, and no secret: those are
//! named, and stay in the cluster.

mod exposure;
mod label;
mod model;
mod variable;

use std::collections::BTreeMap;

use crate::names::{Name, Namespace, ObjectName};
use crate::resources::Resources;

pub use exposure::{Exposure, Gateway};
pub use label::Label;
pub use model::{FetchedModel, Model};
pub use variable::Variable;

/// Seconds that a server goes on answering after it was told to stop, unless said otherwise.
pub const DRAIN_SECONDS: u32 = 25;

/// Seconds between the order to end and SIGTERM: until then a server accepts connections, because it
/// takes a moment until every node knows that the pod is gone from the Service.
pub(crate) const SLEEP_SECONDS: u32 = 5;
/// Seconds that a pod has beyond its sleep and its drain time.
pub(crate) const SPARE_SECONDS: u32 = 5;

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A range of replicas that cannot be read.
    #[error("`{0}` is no MIN:MAX:TARGET")]
    Autoscale(String),
    /// A text that is no variable. It may be a secret that was meant to have a name.
    #[error("a variable without `=`")]
    NotAVariable,
    /// A name that no variable can have.
    #[error("`{0}` is no name of an environment variable")]
    VariableName(String),
    /// A variable that is set twice.
    #[error("the environment variable `{0}` is set twice")]
    VariableTwice(String),
    /// A variable that is set from another option.
    #[error("the environment variable `{0}` is set by mlrs")]
    VariableTaken(String),
    /// A variable that holds a secret, by its name.
    #[error(
        "the environment variable `{0}` is a secret, and would be in the manifest for all to read"
    )]
    SecretVariable(String),
    /// A URI with a password in it.
    #[error("the {what} holds credentials, and would be in the manifest for all to read")]
    CredentialsInUri {
        /// Which URI.
        what: &'static str,
    },
    /// A gateway that cannot be read.
    #[error("`{0}` is no [NAMESPACE/]GATEWAY")]
    Gateway(String),
    /// An autoscaler without anything to measure against.
    #[error("an autoscaler on processor use needs a request for `cpu`")]
    AutoscaleWithoutCpu,
    /// A number of seconds that cannot be meant.
    #[error("`{0}` seconds to drain are not between 1 and 3600")]
    Drain(u32),
    /// A text that is no label of an object.
    #[error("`{0}` is no label KEY=VALUE")]
    Label(String),
    /// A label that is set twice, or by mlrs.
    #[error("the label `{0}` is there already")]
    LabelTaken(String),
    /// A model to fetch, and no image to do it.
    #[error("nothing says which image of mlrs fetches and serves the model")]
    NoRuntimeImage,
    /// A namespace in a chart.
    #[error("a chart has no namespace, and `{0}` would be left out")]
    ChartNamespace(String),
    /// A URI that only a server can resolve, and no server.
    #[error("nothing says which server knows `{0}`")]
    NoServer(String),
    /// A URI that names no place that a cluster could reach.
    #[error("the model `{0}` is a path of this machine, which a cluster cannot read")]
    LocalModel(String),
}

impl SettingsError {
    /// What to do instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Autoscale(_) => {
                "write for instance `2:10:70`: between 2 and 10 pods, at 70 percent of the processor \
                 time that they ask for"
            }
            Self::NotAVariable => "write for instance `MLRS_LOG=debug`",
            Self::VariableName(_) => {
                "use letters, digits, `_`, `-` and `.`, and begin with no digit"
            }
            Self::VariableTwice(_) => "say it once",
            Self::VariableTaken(_) => "there is an option for it; see `--help`",
            Self::SecretVariable(_) | Self::CredentialsInUri { .. } => {
                "put it into a Secret of the namespace (`kubectl create secret generic NAME \
                 --from-literal=KEY=VALUE`) and name that with --env-from-secret, or with \
                 --credentials-secret if it is needed to fetch the model"
            }
            Self::Gateway(_) => "write for instance `infra/public`",
            Self::AutoscaleWithoutCpu => "add `cpu=500m` or the like to --resources",
            Self::Drain(_) => {
                "a second lets short requests finish; those that last longer than an hour need \
                 another design"
            }
            Self::Label(_) => "write for instance `release=prometheus`",
            Self::LabelTaken(_) => "use another key, and each once",
            Self::NoRuntimeImage => {
                "name it with --runtime-image or MLRS_RUNTIME_IMAGE; `mlrs image build -t \
                 registry.example.com/mlrs:0.1 --output registry` makes one, without a model in it"
            }
            Self::ChartNamespace(_) => {
                "leave out --namespace, and name it when the chart is installed: `helm install \
                 NAME DIR --namespace NAMESPACE`"
            }
            Self::NoServer(_) => {
                "name it with --tracking-uri, or name a Secret that has MLFLOW_TRACKING_URI with \
                 --credentials-secret"
            }
            Self::LocalModel(_) => {
                "register the model, or put it into an object store; or build an image of it, and \
                 name that with --image"
            }
        }
    }
}

/// Everything about one deployment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, and that of all of its objects.
    pub name: Name,
    /// Its namespace; none leaves it to whoever applies the manifest.
    pub namespace: Option<Namespace>,
    /// Where the model comes from.
    pub model: Model,
    /// How many pods.
    pub scale: Scale,
    /// What each of them needs.
    pub resources: Resources,
    /// Variables of the server, in their order.
    pub environment: Vec<Variable>,
    /// Secrets whose entries are variables of the server.
    pub environment_secrets: Vec<ObjectName>,
    /// Seconds that requests in flight get to finish, 1 to 3600.
    pub drain_seconds: u32,
    /// Who reaches it from outside of the cluster.
    pub exposure: Exposure,
    /// Whether Prometheus' operator is told to scrape it: the labels of the ServiceMonitor, by which
    /// many installations of it choose what they look at, or none for no ServiceMonitor.
    pub service_monitor: Option<Vec<Label>>,
    /// Secrets to pull images with.
    pub image_pull_secrets: Vec<ObjectName>,
    /// The service account, if not the default one.
    pub service_account: Option<ObjectName>,
    /// Notes on the Deployment, for whoever made it.
    pub annotations: BTreeMap<String, String>,
}

impl Settings {
    /// What is usual, for a model.
    pub fn new(name: Name, model: Model) -> Self {
        Self {
            name,
            namespace: None,
            model,
            scale: Scale::Replicas(1),
            resources: Resources::default(),
            environment: Vec::new(),
            environment_secrets: Vec::new(),
            drain_seconds: DRAIN_SECONDS,
            exposure: Exposure::Cluster,
            service_monitor: None,
            image_pull_secrets: Vec::new(),
            service_account: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Seconds that a pod has from the order to end until it is killed: a moment in which the Service
    /// forgets it, the time to drain, and some to spare.
    pub(crate) fn grace_seconds(&self) -> u32 {
        self.drain_seconds + SLEEP_SECONDS + SPARE_SECONDS
    }

    /// Whether the parts fit each other.
    ///
    /// # Errors
    /// When a variable is set twice, a URI holds a password, or an autoscaler has nothing to measure.
    pub fn check(&self) -> Result<(), SettingsError> {
        for (index, variable) in self.environment.iter().enumerate() {
            let before = &self.environment[..index];
            if before.iter().any(|other| other.name == variable.name) {
                return Err(SettingsError::VariableTwice(variable.name.clone()));
            }
        }
        if !(1..=3600).contains(&self.drain_seconds) {
            return Err(SettingsError::Drain(self.drain_seconds));
        }
        if matches!(self.scale, Scale::Autoscale { .. }) && !self.resources.asks_for_cpu() {
            return Err(SettingsError::AutoscaleWithoutCpu);
        }
        label::check(self.service_monitor.as_deref().unwrap_or_default())?;
        self.model.check()
    }

    /// What is not wrong, and may not be what is expected.
    pub fn notes(&self) -> Vec<String> {
        let Model::Fetched(fetched) = &self.model else {
            return Vec::new();
        };
        let note = fetched.may_move().then(|| {
            format!(
                "`{uri}` may come to mean another version: pods that start later fetch that one, and \
                 applying this again rolls out nothing; name a version, as in `models:/iris/3`, or \
                 restart the pods with `kubectl rollout restart deployment {name}`",
                uri = fetched.uri,
                name = self.name,
            )
        });
        note.into_iter().collect()
    }
}

/// How many pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// This many, at least 1.
    Replicas(u32),
    /// As many as their load needs.
    Autoscale {
        /// At least, 1 or more.
        min: u32,
        /// At most.
        max: u32,
        /// The share of the requested processor time that they should use, in percent, 1 to 1000.
        target: u32,
    },
}

impl Scale {
    /// The fewest pods that there are.
    pub fn least(self) -> u32 {
        match self {
            Self::Replicas(count) => count,
            Self::Autoscale { min, .. } => min,
        }
    }

    /// The autoscaler that a text `MIN:MAX:TARGET` means.
    ///
    /// # Errors
    /// When it means none.
    pub fn autoscale(text: &str) -> Result<Self, SettingsError> {
        let error = || SettingsError::Autoscale(text.to_owned());
        let numbers: Result<Vec<u32>, _> = text.split(':').map(str::parse).collect();
        match numbers.map_err(|_| error())?[..] {
            [min, max, target]
                if (1..=max).contains(&min) && max <= 10_000 && (1..=1000).contains(&target) =>
            {
                Ok(Self::Autoscale { min, max, target })
            }
            _ => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_has_three_numbers() {
        let scale = Scale::autoscale("2:10:70").unwrap();
        assert_eq!(
            scale,
            Scale::Autoscale {
                min: 2,
                max: 10,
                target: 70
            }
        );
        for bad in [
            "",
            "2",
            "2:10",
            "2:10:70:1",
            "0:10:70",
            "10:2:70",
            "2:10:0",
            "2:10:1001",
            "a:b:c",
            "-1:2:3",
        ] {
            assert_eq!(
                Scale::autoscale(bad),
                Err(SettingsError::Autoscale(bad.to_owned()))
            );
        }
    }

    #[test]
    fn a_name_that_may_move_is_noted() {
        let notes = |uri: &str| {
            let fetched = FetchedModel {
                uri: uri.to_owned(),
                runtime_image: "mlrs:0.1".parse().unwrap(),
                tracking_uri: None,
                credentials_secret: None,
            };
            Settings::new("iris".parse().unwrap(), Model::Fetched(fetched)).notes()
        };
        for uri in [
            "models:/iris/Production",
            "models:/iris/latest",
            "models:/iris@champion",
        ] {
            assert!(notes(uri)[0].contains(uri));
        }
        for uri in [
            "models:/iris/3",
            "models:/m-0123",
            "runs:/0123/model",
            "s3://bucket/iris",
        ] {
            assert!(notes(uri).is_empty(), "{uri}");
        }
    }

    #[test]
    fn parts_must_fit() {
        let image = Model::Image("iris:1".parse().unwrap());
        let mut settings = Settings::new("iris".parse().unwrap(), image);
        assert_eq!(settings.check(), Ok(()));
        settings.scale = Scale::autoscale("1:2:50").unwrap();
        settings.resources = "memory=1Gi".parse().unwrap();
        assert_eq!(settings.check(), Err(SettingsError::AutoscaleWithoutCpu));
        settings.resources = Resources::default();
        settings.environment = vec!["A=1".parse().unwrap(), "A=2".parse().unwrap()];
        assert_eq!(
            settings.check(),
            Err(SettingsError::VariableTwice("A".to_owned()))
        );
        settings.environment.clear();
        for seconds in [0, 3601] {
            settings.drain_seconds = seconds;
            assert_eq!(settings.check(), Err(SettingsError::Drain(seconds)));
        }
        settings.drain_seconds = 1;
        settings.service_monitor = Some(vec!["app.kubernetes.io/name=x".parse().unwrap()]);
        assert!(matches!(
            settings.check(),
            Err(SettingsError::LabelTaken(_))
        ));
        settings.service_monitor = None;
        settings.model = Model::Fetched(FetchedModel {
            uri: "./iris".to_owned(),
            runtime_image: "mlrs:0.1".parse().unwrap(),
            tracking_uri: None,
            credentials_secret: None,
        });
        assert_eq!(
            settings.check(),
            Err(SettingsError::LocalModel("./iris".to_owned()))
        );
    }
}
