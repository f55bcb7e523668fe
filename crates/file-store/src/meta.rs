//! `meta.yaml`: what each of them holds, as text.
//!
//! Scalars are read as they are written, whatever they look like: a run id such as `1e5…` is a text
//! for the library that wrote it and a number for YAML 1.2. What should be a number is made one
//! here, with an error that names the field.

use std::collections::BTreeMap;

use mlrs_api::enums::{LifecycleStage, LoggedModelStatus, RunStatus};
use mlrs_mlmodel::{YamlError, read_texts};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::files::{Folder, META, ReadError};

/// A scalar as it is written; none when it is null or absent.
pub(crate) type Scalar = Option<String>;

/// Of an experiment.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ExperimentMeta {
    pub(crate) name: Scalar,
    pub(crate) artifact_location: Scalar,
    pub(crate) lifecycle_stage: Scalar,
    pub(crate) creation_time: Scalar,
    pub(crate) last_update_time: Scalar,
}

/// Of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RunMeta {
    pub(crate) run_uuid: Scalar,
    pub(crate) run_id: Scalar,
    pub(crate) run_name: Scalar,
    pub(crate) name: Scalar,
    pub(crate) user_id: Scalar,
    pub(crate) source_type: Scalar,
    pub(crate) source_name: Scalar,
    pub(crate) entry_point_name: Scalar,
    pub(crate) source_version: Scalar,
    pub(crate) status: Scalar,
    pub(crate) start_time: Scalar,
    pub(crate) end_time: Scalar,
    pub(crate) deleted_time: Scalar,
    pub(crate) lifecycle_stage: Scalar,
    pub(crate) artifact_uri: Scalar,
}

/// Of a dataset.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DatasetMeta {
    pub(crate) name: Scalar,
    pub(crate) digest: Scalar,
    pub(crate) source_type: Scalar,
    pub(crate) source: Scalar,
    pub(crate) schema: Scalar,
    pub(crate) profile: Scalar,
}

/// Of an input or output of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EdgeMeta {
    pub(crate) source_type: Scalar,
    pub(crate) source_id: Scalar,
    pub(crate) step: Scalar,
    pub(crate) tags: Option<BTreeMap<String, Scalar>>,
}

/// Of a logged model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LoggedModelMeta {
    pub(crate) model_id: Scalar,
    pub(crate) name: Scalar,
    pub(crate) artifact_location: Scalar,
    pub(crate) creation_timestamp: Scalar,
    pub(crate) last_updated_timestamp: Scalar,
    pub(crate) status: Scalar,
    pub(crate) lifecycle_stage: Scalar,
    pub(crate) model_type: Scalar,
    pub(crate) source_run_id: Scalar,
    pub(crate) status_message: Scalar,
}

/// Of a registered model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RegisteredModelMeta {
    pub(crate) name: Scalar,
    pub(crate) creation_timestamp: Scalar,
    pub(crate) last_updated_timestamp: Scalar,
    pub(crate) description: Scalar,
}

/// Of a version of a registered model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct VersionMeta {
    pub(crate) version: Scalar,
    pub(crate) creation_timestamp: Scalar,
    pub(crate) last_updated_timestamp: Scalar,
    pub(crate) description: Scalar,
    pub(crate) user_id: Scalar,
    pub(crate) current_stage: Scalar,
    pub(crate) source: Scalar,
    pub(crate) storage_location: Scalar,
    pub(crate) run_id: Scalar,
    pub(crate) run_link: Scalar,
    pub(crate) status: Scalar,
    pub(crate) status_message: Scalar,
}

/// The most bytes of a text with lists or mappings within each other: 256 KiB. The time that the
/// library takes grows with the square of their depth. Only schemas and profiles of datasets are
/// longer, and those are texts.
const LARGEST_NESTED: usize = 256 << 10;

/// Whether all that is in a text is names with one scalar each, as MLflow writes large ones: what
/// goes over several lines is indented.
fn is_flat(text: &str) -> bool {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with(' '))
        .all(|line| {
            let (key, value) = line.split_once(": ").unwrap_or_default();
            let is_word = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
            let flow = ['[', '{', '&', '*', '!', '|', '>', '?', '-'];
            let value = value.trim();
            key.bytes().all(is_word) && !value.is_empty() && !value.starts_with(flow)
        })
}

/// Reads a map. A file that was cut to nothing is none, nor is a list.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, MetaError> {
    let map = read_texts(text)?;
    Ok(serde_json::from_value(Value::Object(map))?)
}

/// Why a text is no `meta.yaml`.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// It is no map in YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A field has something else than a text.
    #[error(transparent)]
    Field(#[from] serde_json::Error),
}

/// A `meta.yaml`, and where it lies.
pub(crate) struct Meta<'a, T> {
    folder: &'a Folder,
    /// What it holds.
    pub(crate) fields: T,
}

impl<'a, T: DeserializeOwned> Meta<'a, T> {
    /// Reads that of a folder.
    pub(crate) fn read(folder: &'a Folder) -> Result<Self, ReadError> {
        let text = folder.meta()?;
        if text.len() > LARGEST_NESTED && !is_flat(&text) {
            return Err(ReadError::Large {
                path: folder.shown(META),
                limit: LARGEST_NESTED as u64,
            });
        }
        let fields = parse(&text).map_err(|source| ReadError::Yaml {
            path: folder.shown(META),
            source,
        })?;
        Ok(Self { folder, fields })
    }
}

impl<T> Meta<'_, T> {
    /// The error of a field.
    pub(crate) fn refused(&self, reason: String) -> ReadError {
        ReadError::Field {
            path: self.folder.shown(META),
            reason,
        }
    }

    /// A whole number, if there is one.
    pub(crate) fn whole(&self, field: &str, text: &Scalar) -> Result<Option<i64>, ReadError> {
        let number = text.as_ref().map(|text| text.parse());
        number
            .transpose()
            .map_err(|_| self.refused(format!("`{field}` is no whole number")))
    }

    /// A text that must be there.
    pub(crate) fn needed(&self, field: &str, text: &Scalar) -> Result<String, ReadError> {
        let text = text.clone().filter(|text| !text.is_empty());
        text.ok_or_else(|| self.refused(format!("`{field}` is not there")))
    }

    /// A stage; active when it is not said.
    pub(crate) fn stage(&self, text: &Scalar) -> Result<LifecycleStage, ReadError> {
        let Some(text) = text else {
            return Ok(LifecycleStage::Active);
        };
        LifecycleStage::from_name(text)
            .ok_or_else(|| self.refused("`lifecycle_stage` is none".to_owned()))
    }

    /// The status of a run, by name or number; running when it is not said.
    pub(crate) fn run_status(&self, text: &Scalar) -> Result<RunStatus, ReadError> {
        let Some(text) = text else {
            return Ok(RunStatus::Running);
        };
        let numbered = || RunStatus::from_number(text.parse().ok()?);
        RunStatus::from_name(text)
            .or_else(numbered)
            .ok_or_else(|| self.refused("`status` is none of a run".to_owned()))
    }

    /// The status of a logged model, by number or name; pending when it is not said.
    pub(crate) fn model_status(&self, text: &Scalar) -> Result<LoggedModelStatus, ReadError> {
        let Some(text) = text else {
            return Ok(LoggedModelStatus::Pending);
        };
        let numbered = || LoggedModelStatus::from_number(text.parse().ok()?);
        // Files have the number, or the name without what all of them begin with.
        LoggedModelStatus::from_name(&format!("LOGGED_MODEL_{text}"))
            .or_else(numbered)
            .ok_or_else(|| self.refused("`status` is none of a logged model".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<RunMeta, MetaError> {
        parse(text)
    }

    #[test]
    fn scalars_are_read_as_they_are_written() {
        let meta = run(
            "run_id: 12345678901234567890123456789e12\nrun_name: 0o14\nname: 'null'\nuser_id: null\n\
             source_name: ''\nstatus: 3\nstart_time: 1795271614430\ntags: []\nend_time: ~\n",
        )
        .unwrap();
        assert_eq!(
            meta.run_id.as_deref(),
            Some("12345678901234567890123456789e12")
        );
        assert_eq!(meta.run_name.as_deref(), Some("0o14"));
        assert_eq!(meta.name.as_deref(), Some("null"));
        assert_eq!((meta.user_id, meta.end_time), (None, None));
        assert_eq!(meta.source_name.as_deref(), Some(""));
        assert_eq!(meta.status.as_deref(), Some("3"));
    }

    #[test]
    fn what_is_no_mapping_and_what_grows_is_refused() {
        for text in ["", "- a\n", "run_id: [1]\n", "run_id: {\n", "a: b: c\n"] {
            assert!(run(text).is_err(), "{text:?}");
        }
        let laughs = (0..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
            format!("{text}a{0}: &a{0} [*a{level}, *a{level}]\n", level + 1)
        });
        let begin = std::time::Instant::now();
        let _ = run(&laughs);
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(folder.path().join(META), text).unwrap();
            let folder = Folder::root(folder.path()).unwrap();
            Meta::<DatasetMeta>::read(&folder).map(|meta| meta.fields.profile)
        };
        let deep = "[".repeat(1 << 20);
        for text in [
            deep.clone(),
            format!("profile: {deep}"),
            format!("profile:\n  {deep}"),
            format!("profile: a\n- {deep}"),
            format!("profile: \"a\" {deep}"),
            format!("'a: b': {deep}"),
        ] {
            assert!(read(&text).is_err());
        }
        assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
        let large = format!("name: d\nprofile: '{deep}\n\n  {deep}'\nschema: null\n");
        assert_eq!(
            read(&large).unwrap().map(|text| text.len()),
            Some(2 * deep.len() + 1)
        );
    }
}
