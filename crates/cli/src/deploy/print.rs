//! What `mlrs deploy` prints: tables, fields or JSON.

use mlrs_deploy::cluster::{Applied, DeploymentStatus, Outcome};
use serde_json::to_value;

use super::kubernetes::Say;
use crate::output::{self, OutputFormat};

/// One line for each object, with what was done to those that were applied.
pub(super) fn applied(applied: &[Applied], done: &str, say: Say<'_>) -> anyhow::Result<()> {
    applied.iter().try_for_each(|object| {
        let (kind, name) = (object.kind, &object.name);
        say(&match object.outcome {
            Outcome::Applied => format!("{done} {kind} {name}"),
            Outcome::Deleted => format!("deleted {kind} {name}"),
            Outcome::Skipped => {
                format!("left out {kind} {name}: the cluster knows no such kind of object")
            }
        })
    })
}

/// A table of deployments.
pub(super) fn summary(all: &[DeploymentStatus], format: OutputFormat) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        return output::json(&to_value(all)?);
    }
    let mut table = output::table(&["name", "ready", "autoscale", "image", "model"]);
    for status in all {
        table.add_row([
            status.name.clone(),
            format!("{}/{}", status.available, status.wanted),
            status.autoscale.clone().unwrap_or_default(),
            status.image.clone(),
            status.model.clone().unwrap_or_default(),
        ]);
    }
    output::line(&table.to_string())
}

/// A deployment and its pods.
pub(super) fn status(status: &DeploymentStatus, format: OutputFormat) -> anyhow::Result<()> {
    if format == OutputFormat::Json {
        return output::json(&to_value(status)?);
    }
    output::fields(&fields(status))?;
    let mut table = output::table(&["pod", "phase", "ready", "restarts", "node"]);
    for pod in &status.pods {
        table.add_row([
            pod.name.clone(),
            pod.phase.clone(),
            if pod.ready { "yes" } else { "no" }.to_owned(),
            pod.restarts.to_string(),
            pod.node.clone().unwrap_or_default(),
        ]);
    }
    output::line(&table.to_string())?;
    match &status.trouble {
        Some(trouble) => {
            output::line(&trouble.to_string())?;
            match trouble.hint() {
                Some(hint) => output::line(&format!("hint: {hint}")),
                None => Ok(()),
            }
        }
        None => Ok(()),
    }
}

/// What is known of a deployment, but for its pods; what it has not is left out.
pub(crate) fn fields(status: &DeploymentStatus) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("Name", status.name.clone()),
        ("Namespace", status.namespace.clone()),
        (
            "Ready",
            format!("{} of {} pods", status.available, status.wanted),
        ),
        ("Image", status.image.clone()),
    ];
    fields.extend(status.model.clone().map(|model| ("Model", model)));
    fields.extend(status.autoscale.clone().map(|range| ("Autoscale", range)));
    fields.push(("Address", status.address.clone()));
    fields
}
