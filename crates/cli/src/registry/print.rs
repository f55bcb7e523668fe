//! What `mlrs registry` prints: tables, fields or JSON.

use mlrs_client::tracking::{ModelVersion, RegisteredModel, Tag};

use crate::output::{self, OutputFormat};
use crate::run_table::local_time;

fn time(time: Option<i64>) -> String {
    time.map(local_time).unwrap_or_default()
}

fn tags(tags: &[Tag]) -> String {
    let pairs = tags.iter().map(|tag| format!("{}={}", tag.key, tag.value));
    pairs.collect::<Vec<_>>().join(", ")
}

fn aliases_of(model: &RegisteredModel) -> String {
    let pairs = model.aliases.iter();
    let pairs = pairs.map(|alias| format!("{} → {}", alias.alias, alias.version));
    pairs.collect::<Vec<_>>().join(", ")
}

pub(super) fn print_models(models: &[RegisteredModel], format: OutputFormat) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        return output::json(&serde_json::to_value(models)?);
    }
    let mut table = output::table(&["name", "latest", "aliases", "updated"]);
    for model in models {
        let latest = model.latest_versions.iter();
        let latest = latest.max_by_key(|version| version.version.parse::<u64>().ok());
        let latest = latest.map(|version| version.version.clone());
        table.add_row([
            model.name.clone(),
            latest.unwrap_or_default(),
            aliases_of(model),
            time(model.last_updated_timestamp),
        ]);
    }
    output::line(&table.to_string())
}

pub(super) fn print_model(model: &RegisteredModel, format: OutputFormat) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        return output::json(&serde_json::to_value(model)?);
    }
    let stages = model.latest_versions.iter().map(|version| {
        let stage = version.current_stage.as_deref().unwrap_or_default();
        format!("{} ({stage})", version.version)
    });
    output::fields(&[
        ("Name", model.name.clone()),
        ("Description", model.description.clone().unwrap_or_default()),
        ("Created", time(model.creation_timestamp)),
        ("Updated", time(model.last_updated_timestamp)),
        ("Latest versions", stages.collect::<Vec<_>>().join(", ")),
        ("Aliases", aliases_of(model)),
        ("Tags", tags(&model.tags)),
    ])
}

pub(super) fn print_versions(
    versions: &[ModelVersion],
    format: OutputFormat,
) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        return output::json(&serde_json::to_value(versions)?);
    }
    let mut table = output::table(&["version", "stage", "source", "run", "created"]);
    for version in versions {
        table.add_row([
            version.version.clone(),
            version.current_stage.clone().unwrap_or_default(),
            version.source.clone().unwrap_or_default(),
            version.run_id.clone().unwrap_or_default(),
            time(version.creation_timestamp),
        ]);
    }
    output::line(&table.to_string())
}

pub(super) fn print_version(version: &ModelVersion, format: OutputFormat) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        return output::json(&serde_json::to_value(version)?);
    }
    let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
    output::fields(&[
        ("Name", version.name.clone()),
        ("Version", version.version.clone()),
        ("Stage", or_none(&version.current_stage)),
        ("Aliases", version.aliases.join(", ")),
        ("Description", or_none(&version.description)),
        ("Source", or_none(&version.source)),
        ("Run", or_none(&version.run_id)),
        ("Status", or_none(&version.status)),
        ("Created", time(version.creation_timestamp)),
        ("Tags", tags(&version.tags)),
    ])
}
