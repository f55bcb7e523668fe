//! Why a store or a rule refuses, in MLflow's words and codes.

use std::fmt;

use mlrs_api::ErrorCode;
use mlrs_api::enums::LifecycleStage;

/// Why something is not done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A value that no rule allows.
    #[error("{0}")]
    Invalid(String),
    /// No such experiment.
    #[error("No Experiment with id={0} exists")]
    NoExperiment(i64),
    /// No experiment of this name.
    #[error("Could not find experiment with name '{0}'")]
    NoExperimentNamed(String),
    /// The name is taken, by an active or a deleted experiment.
    #[error("Experiment(name={name}) already exists.{}", if *deleted { " It is deleted: restore it, or delete it for good before the name can be used again." } else { "" })]
    ExperimentExists {
        /// The name.
        name: String,
        /// Whether the experiment that has it is deleted.
        deleted: bool,
    },
    /// The experiment is deleted.
    #[error("The experiment {id} must be in the 'active' state. Current state is {stage}.")]
    ExperimentNotActive {
        /// The experiment.
        id: i64,
        /// Its stage.
        stage: LifecycleStage,
    },
    /// A deleted experiment cannot be renamed.
    #[error("Cannot rename a non-active experiment.")]
    RenameOfDeleted,
    /// No such run.
    #[error("Run with id={0} not found")]
    NoRun(String),
    /// The run is deleted.
    #[error("The run {id} must be in the 'active' state. Current state is {stage}.")]
    RunNotActive {
        /// The run.
        id: String,
        /// Its stage.
        stage: LifecycleStage,
    },
    /// No such tag.
    #[error("No tag with name: {key} in {owner}")]
    NoTag {
        /// The tag.
        key: String,
        /// What it is not on: `run with id …` or `experiment with id …`.
        owner: String,
    },
    /// No such logged model.
    #[error("Logged model with ID '{0}' not found.")]
    NoLoggedModel(String),
    /// Metrics that name logged models which are not there.
    #[error("Metrics name logged models that do not exist: {}", .0.join(", "))]
    NoLoggedModelOfMetrics(Vec<String>),
    /// A logged model without this tag.
    #[error("No tag with key '{key}' found for model with ID '{model_id}'.")]
    NoLoggedModelTag {
        /// The model.
        model_id: String,
        /// The tag.
        key: String,
    },
    /// No such registered model.
    #[error("Registered Model with name={0} not found")]
    NoRegisteredModel(String),
    /// The name is taken.
    #[error("{}", taken(name, *is_prompt, *wanted_prompt))]
    RegisteredModelExists {
        /// The name.
        name: String,
        /// Whether the one that has it is a prompt.
        is_prompt: bool,
        /// Whether a prompt was to be made.
        wanted_prompt: bool,
    },
    /// No such version.
    #[error("Model Version (name={name}, version={version}) not found")]
    NoModelVersion {
        /// The registered model.
        name: String,
        /// The version.
        version: i64,
    },
    /// No such alias. MLflow's code for it is that of an invalid value.
    #[error("Registered model alias {0} not found.")]
    NoAlias(String),
    /// A registered model without versions has no latest one.
    #[error("Latest version not found for model {0}.")]
    NoLatestVersion(String),
    /// Params that have other values already.
    #[error(
        "Changing param values is not allowed. Params were already logged='{}' for run ID='{run_id}'.",
        Changes(changes)
    )]
    ParamsChanged {
        /// The run.
        run_id: String,
        /// What was tried.
        changes: Vec<ParamChange>,
    },
    /// There is no database: the server serves artifacts.
    #[error(
        "This endpoint is disabled: the server runs with --artifacts-only. Start it without to track runs and models."
    )]
    ArtifactsOnly,
    /// What was asked for needs more of the database than a request gets. The same request would
    /// need as much again, so it is the request's fault.
    #[error(
        "the request needs more time of the database than this server gives one, and was ended: narrow the filter, name fewer experiments, or ask for smaller pages"
    )]
    TooLong,
    /// The database cannot be used now; it may be later.
    #[error("the database cannot be used at the moment")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A defect of the store or of the database.
    #[error("the database failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    /// A value that no rule allows.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// The same error as MLflow words it where a single param was logged.
    #[must_use]
    pub fn of_one_param(self) -> Self {
        match self {
            Self::ParamsChanged { run_id, changes } => match changes.first() {
                Some(change) => Self::Invalid(format!(
                    "Changing param values is not allowed. Param with key='{}' was already logged \
                     with value='{}' for run ID='{run_id}'. Attempted logging new value '{}'.",
                    change.key, change.old_value, change.new_value
                )),
                None => Self::ParamsChanged { run_id, changes },
            },
            other => other,
        }
    }

    /// MLflow's code.
    ///
    /// Renaming a deleted experiment is `INVALID_STATE` in MLflow, a 500 that its client tries again
    /// for minutes; nothing changes until somebody restores the experiment, so it is a 400 here.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_)
            | Self::ExperimentNotActive { .. }
            | Self::RenameOfDeleted
            | Self::RunNotActive { .. }
            | Self::NoAlias(_)
            | Self::ParamsChanged { .. } => ErrorCode::InvalidParameterValue,
            Self::NoLoggedModelOfMetrics(_) | Self::TooLong => ErrorCode::BadRequest,
            Self::NoExperiment(_)
            | Self::NoExperimentNamed(_)
            | Self::NoRun(_)
            | Self::NoLoggedModel(_)
            | Self::NoLoggedModelTag { .. }
            | Self::NoRegisteredModel(_)
            | Self::NoModelVersion { .. }
            | Self::NoLatestVersion(_)
            | Self::NoTag { .. } => ErrorCode::ResourceDoesNotExist,
            Self::ExperimentExists { .. } | Self::RegisteredModelExists { .. } => {
                ErrorCode::ResourceAlreadyExists
            }
            Self::ArtifactsOnly => ErrorCode::NotImplemented,
            Self::Unavailable(_) => ErrorCode::TemporarilyUnavailable,
            Self::Internal(_) => ErrorCode::InternalError,
        }
    }
}

fn taken(name: &str, is_prompt: bool, wanted_prompt: bool) -> String {
    let kind = |is_prompt| {
        if is_prompt {
            "Prompt"
        } else {
            "Registered Model"
        }
    };
    let (old, new) = (kind(is_prompt), kind(wanted_prompt));
    if old == new {
        return format!("{new} (name={name}) already exists.");
    }
    format!(
        "Tried to create a {} with name '{name}', but the name is already taken by a {}. MLflow \
         does not allow creating a model and a prompt with the same name.",
        new.to_lowercase(),
        old.to_lowercase()
    )
}

/// A param, its value, and another value that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamChange {
    /// The param.
    pub key: String,
    /// The value that stays.
    pub old_value: String,
    /// The value that was tried.
    pub new_value: String,
}

/// The form of a list of Python dictionaries, which is what MLflow's clients have always read.
struct Changes<'a>(&'a [ParamChange]);

impl fmt::Display for Changes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[")?;
        for (index, change) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(
                formatter,
                "{separator}{{'key': '{}', 'old_value': '{}', 'new_value': '{}'}}",
                change.key, change.old_value, change.new_value
            )?;
        }
        formatter.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_params_are_listed_as_mlflow_lists_them() {
        let change = |key: &str| ParamChange {
            key: key.to_owned(),
            old_value: "1".to_owned(),
            new_value: "2".to_owned(),
        };
        let error = StoreError::ParamsChanged {
            run_id: "r".to_owned(),
            changes: vec![change("p"), change("q")],
        };
        assert_eq!(
            error.to_string(),
            "Changing param values is not allowed. Params were already logged='[{'key': 'p', \
             'old_value': '1', 'new_value': '2'}, {'key': 'q', 'old_value': '1', 'new_value': \
             '2'}]' for run ID='r'."
        );
        assert_eq!(error.code(), ErrorCode::InvalidParameterValue);
    }
}
