//! From folders to records: experiments, runs, datasets, logged models, registered models.

use std::collections::BTreeMap;

use mlrs_api::Tag;
use mlrs_api::datasets::{Dataset, ModelOutput};
use mlrs_api::metrics::Param;
use mlrs_store::import::{
    DatasetUse, ExperimentRecord, LoggedModelRecord, ModelVersionRecord, RegisteredModelRecord,
    RunRecord,
};

use crate::files::{Folder, ReadError};
use crate::meta::{
    DatasetMeta, EdgeMeta, ExperimentMeta, LoggedModelMeta, Meta, RegisteredModelMeta, RunMeta,
    VersionMeta,
};

/// Kinds of sources that the column takes; MLflow's file store keeps a number, which was never used.
const SOURCE_TYPES: [&str; 5] = ["NOTEBOOK", "JOB", "LOCAL", "UNKNOWN", "PROJECT"];

/// Datasets of an experiment by the name of their folder.
pub(crate) type Datasets = BTreeMap<String, Dataset>;

fn tags(folder: &Folder) -> Result<Vec<Tag>, ReadError> {
    let values = folder.folder("tags").values()?;
    Ok(values
        .into_iter()
        .map(|(key, value)| Tag::new(key, value))
        .collect())
}

fn params(folder: &Folder) -> Result<Vec<Param>, ReadError> {
    let values = folder.folder("params").values()?;
    Ok(values
        .into_iter()
        .map(|(key, value)| Param::new(key, value))
        .collect())
}

/// An experiment, whose folder has its id as its name.
pub(crate) fn experiment(folder: &Folder, id: i64) -> Result<ExperimentRecord, ReadError> {
    let meta = Meta::<ExperimentMeta>::read(folder)?;
    let fields = &meta.fields;
    Ok(ExperimentRecord {
        id,
        name: meta.needed("name", &fields.name)?,
        artifact_location: fields.artifact_location.clone(),
        stage: meta.stage(&fields.lifecycle_stage)?,
        creation_time: meta.whole("creation_time", &fields.creation_time)?,
        last_update_time: meta.whole("last_update_time", &fields.last_update_time)?,
        tags: tags(folder)?,
    })
}

/// A dataset.
pub(crate) fn dataset(folder: &Folder) -> Result<Dataset, ReadError> {
    let meta = Meta::<DatasetMeta>::read(folder)?;
    let fields = &meta.fields;
    Ok(Dataset {
        name: meta.needed("name", &fields.name)?,
        digest: meta.needed("digest", &fields.digest)?,
        source_type: fields.source_type.clone().unwrap_or_default(),
        source: fields.source.clone().unwrap_or_default(),
        schema: fields.schema.clone(),
        profile: fields.profile.clone(),
    })
}

/// A run, whose folder has its id as its name.
pub(crate) fn run(folder: &Folder, id: &str, known: &Datasets) -> Result<RunRecord, ReadError> {
    let meta = Meta::<RunMeta>::read(folder)?;
    let fields = &meta.fields;
    let said = fields.run_uuid.as_ref().or(fields.run_id.as_ref());
    if said.is_none_or(|said| said != id) {
        return Err(meta.refused("`run_id` is not the name of the folder".to_owned()));
    }
    let source_type = fields.source_type.as_deref();
    let source_type = source_type.filter(|text| SOURCE_TYPES.contains(text));
    let mut record = RunRecord {
        id: id.to_owned(),
        name: fields.run_name.clone().or(fields.name.clone()),
        user_id: fields.user_id.clone(),
        source_type: source_type.unwrap_or("LOCAL").to_owned(),
        source_name: fields.source_name.clone().unwrap_or_default(),
        entry_point_name: fields.entry_point_name.clone().unwrap_or_default(),
        source_version: fields.source_version.clone().unwrap_or_default(),
        status: meta.run_status(&fields.status)?,
        start_time: meta.whole("start_time", &fields.start_time)?,
        end_time: meta.whole("end_time", &fields.end_time)?,
        deleted_time: meta.whole("deleted_time", &fields.deleted_time)?,
        stage: meta.stage(&fields.lifecycle_stage)?,
        artifact_uri: fields.artifact_uri.clone(),
        params: params(folder)?,
        tags: tags(folder)?,
        datasets: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    };
    add_inputs(&folder.folder("inputs"), known, &mut record)?;
    add_outputs(&folder.folder("outputs"), &mut record)?;
    Ok(record)
}

fn add_inputs(inputs: &Folder, known: &Datasets, run: &mut RunRecord) -> Result<(), ReadError> {
    for name in inputs.folders()? {
        let folder = inputs.folder(&name);
        let meta = Meta::<EdgeMeta>::read(&folder)?;
        let source = meta.needed("source_id", &meta.fields.source_id)?;
        match meta.fields.source_type.as_deref() {
            None | Some("DATASET") => {
                let dataset = known.get(&source).ok_or_else(|| {
                    meta.refused("the dataset of `source_id` cannot be read".to_owned())
                })?;
                let tags = meta.fields.tags.as_ref();
                let tags = tags.into_iter().flatten();
                run.datasets.push(DatasetUse {
                    name: dataset.name.clone(),
                    digest: dataset.digest.clone(),
                    tags: tags
                        .map(|(key, value)| Tag::new(key, value.clone().unwrap_or_default()))
                        .collect(),
                });
            }
            Some("MODEL") => run.model_inputs.push(source),
            Some(_) => return Err(meta.refused("`source_type` is unknown".to_owned())),
        }
    }
    Ok(())
}

fn add_outputs(outputs: &Folder, run: &mut RunRecord) -> Result<(), ReadError> {
    for model_id in outputs.folders()? {
        let folder = outputs.folder(&model_id);
        let meta = Meta::<EdgeMeta>::read(&folder)?;
        let step = meta.whole("step", &meta.fields.step)?.unwrap_or_default();
        run.model_outputs.push(ModelOutput { model_id, step });
    }
    Ok(())
}

/// A logged model, whose folder has its id as its name.
pub(crate) fn logged_model(folder: &Folder, id: &str) -> Result<LoggedModelRecord, ReadError> {
    let meta = Meta::<LoggedModelMeta>::read(folder)?;
    let fields = &meta.fields;
    if fields.model_id.as_ref().is_some_and(|said| said != id) {
        return Err(meta.refused("`model_id` is not the name of the folder".to_owned()));
    }
    let time = |field, text| Ok(meta.whole(field, text)?.unwrap_or_default());
    Ok(LoggedModelRecord {
        id: id.to_owned(),
        name: fields.name.clone().unwrap_or_default(),
        artifact_location: fields.artifact_location.clone().unwrap_or_default(),
        creation_time: time("creation_timestamp", &fields.creation_timestamp)?,
        last_updated_time: time("last_updated_timestamp", &fields.last_updated_timestamp)?,
        status: meta.model_status(&fields.status)?,
        stage: meta.stage(&fields.lifecycle_stage)?,
        model_type: fields.model_type.clone(),
        source_run_id: fields.source_run_id.clone(),
        status_message: fields.status_message.clone(),
        params: params(folder)?,
        tags: tags(folder)?,
    })
}

/// A registered model with its versions.
pub(crate) fn registered_model(
    folder: &Folder,
    folder_name: &str,
) -> Result<RegisteredModelRecord, ReadError> {
    let meta = Meta::<RegisteredModelMeta>::read(folder)?;
    let fields = &meta.fields;
    let mut versions = Vec::new();
    for name in folder.folders()? {
        if let Some(number) = name.strip_prefix("version-") {
            versions.push(version(&folder.folder(&name), number)?);
        }
    }
    versions.sort_unstable_by_key(|version| version.version);
    let name = fields.name.clone().filter(|name| !name.is_empty());
    Ok(RegisteredModelRecord {
        name: name.unwrap_or_else(|| folder_name.to_owned()),
        creation_time: meta.whole("creation_timestamp", &fields.creation_timestamp)?,
        last_updated_time: meta.whole("last_updated_timestamp", &fields.last_updated_timestamp)?,
        description: fields.description.clone(),
        tags: tags(folder)?,
        aliases: aliases(folder)?,
        versions,
    })
}

fn aliases(folder: &Folder) -> Result<Vec<(String, i64)>, ReadError> {
    let aliases = folder.folder("aliases");
    let named = aliases.values()?.into_iter().map(|(alias, version)| {
        let number = version.trim().parse().map_err(|_| ReadError::Field {
            path: aliases.shown(&alias),
            reason: "it holds no version".to_owned(),
        })?;
        Ok((alias, number))
    });
    named.collect()
}

/// A version, whose folder has its number in its name, so that no two have the same.
fn version(folder: &Folder, named: &str) -> Result<ModelVersionRecord, ReadError> {
    let meta = Meta::<VersionMeta>::read(folder)?;
    let fields = &meta.fields;
    let number = meta.needed("version", &fields.version)?;
    let number: Option<i64> = number.parse().ok().filter(|number| *number > 0);
    if number.is_some_and(|number| number.to_string() != named) {
        return Err(meta.refused("`version` is not that of the folder".to_owned()));
    }
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or(other.to_owned());
    Ok(ModelVersionRecord {
        version: number.ok_or_else(|| meta.refused("`version` is no version".to_owned()))?,
        creation_time: meta.whole("creation_timestamp", &fields.creation_timestamp)?,
        last_updated_time: meta.whole("last_updated_timestamp", &fields.last_updated_timestamp)?,
        description: fields.description.clone(),
        user_id: fields.user_id.clone(),
        stage: or(&fields.current_stage, "None"),
        source: fields.source.clone(),
        storage_location: fields.storage_location.clone(),
        run_id: fields.run_id.clone(),
        run_link: fields.run_link.clone(),
        status: or(&fields.status, "READY"),
        status_message: fields.status_message.clone(),
        tags: tags(folder)?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A registered model with a `meta.yaml` and versions by the name of their folder.
    fn read(meta: &str, versions: &[(&str, &str)]) -> Result<RegisteredModelRecord, ReadError> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("net")).unwrap();
        fs::write(root.path().join("net/meta.yaml"), meta).unwrap();
        for (name, version) in versions {
            let folder = root.path().join("net").join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("meta.yaml"), format!("version: {version}\n")).unwrap();
        }
        registered_model(&Folder::root(root.path()).unwrap().folder("net"), "net")
    }

    #[test]
    fn a_model_without_a_name_has_that_of_its_folder() {
        for meta in ["name: net\n", "name: ''\n", "name:\n", "description: d\n"] {
            assert_eq!(read(meta, &[]).unwrap().name, "net", "{meta}");
        }
    }

    #[test]
    fn a_version_has_the_number_of_its_folder() {
        let folders = [("version-10", "10"), ("version-2", "'2'")];
        let read_well = read("name: net\n", &folders).unwrap();
        let numbers: Vec<i64> = read_well
            .versions
            .iter()
            .map(|found| found.version)
            .collect();
        assert_eq!(numbers, [2, 10]);
        for refused in [("version-1", "2"), ("version-02", "2"), ("version-", "1")] {
            let error = read("name: net\n", &[("version-2", "2"), refused]).unwrap_err();
            let reason = error.to_string();
            assert!(
                reason.contains("`version` is not that of the folder"),
                "{reason}"
            );
        }
    }
}
