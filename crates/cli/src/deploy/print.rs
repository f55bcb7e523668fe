//! What `mlrs deploy` prints: tables, fields or JSON.

use mlrs_deploy::cluster::{
    Applied, Cluster, ClusterError, Deleted, Denial, DeploymentStatus, Listed, Outcome, PodStatus,
    Workload,
};
use mlrs_deploy::names::Name;
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
        })
    })
}

/// A table of deployments.
pub(super) fn summary(listed: &Listed, format: OutputFormat) -> anyhow::Result<()> {
    unread(&listed.unread);
    if format == OutputFormat::Json {
        return output::json(&to_value(&listed.deployments)?);
    }
    let mut table = output::table(&["name", "kind", "ready", "autoscale", "image", "model"]);
    for status in &listed.deployments {
        table.add_row([
            status.name.clone(),
            kind(status),
            match status.counts {
                Some(pods) => format!("{}/{}", pods.available, pods.wanted),
                None => yes_or_no(status.ready).to_owned(),
            },
            status.autoscale.clone().unwrap_or_default(),
            status.image.clone(),
            status.model.clone().unwrap_or_default(),
        ]);
    }
    output::line(&table.to_string())
}

/// A deployment and its pods.
pub(super) fn status(status: &DeploymentStatus, format: OutputFormat) -> anyhow::Result<()> {
    unread(&status.unread);
    if format == OutputFormat::Json {
        return output::json(&to_value(status)?);
    }
    output::fields(&fields(status))?;
    if !status.pods.is_empty() {
        pods(&status.pods)?;
    }
    for wrong in status.wrong() {
        output::line(&wrong)?;
    }
    status
        .hint()
        .map_or(Ok(()), |hint| output::line(&format!("hint: {hint}")))
}

fn pods(pods: &[PodStatus]) -> anyhow::Result<()> {
    let mut table = output::table(&["pod", "phase", "ready", "restarts", "node"]);
    for pod in pods {
        table.add_row([
            pod.name.clone(),
            pod.phase.clone(),
            yes_or_no(pod.ready).to_owned(),
            pod.restarts.to_string(),
            pod.node.clone().unwrap_or_default(),
        ]);
    }
    output::line(&table.to_string())
}

/// What is known of a deployment, but for its pods; what it has not is left out.
pub(crate) fn fields(status: &DeploymentStatus) -> Vec<(&'static str, String)> {
    let ready = match status.counts {
        Some(pods) => {
            let counted = format!("{} of {} pods", pods.available, pods.wanted);
            let counted = match pods.old {
                0 => counted,
                old => format!("{counted}, and {old} of the version before"),
            };
            if status.ready || pods.available < pods.wanted {
                counted
            } else {
                // Their number is not all that is to be.
                format!("no, with {counted}")
            }
        }
        None => yes_or_no(status.ready).to_owned(),
    };
    let mut fields = vec![
        ("Name", status.name.clone()),
        ("Namespace", status.namespace.clone()),
        ("Kind", kind(status)),
        ("Ready", ready),
    ];
    let known = |image: &&String| !image.is_empty();
    let image = Some(&status.image).filter(known);
    fields.extend(image.map(|image| ("Image", image.clone())));
    fields.extend(status.model.clone().map(|model| ("Model", model)));
    fields.extend(status.autoscale.clone().map(|range| ("Autoscale", range)));
    fields.push(("Address", status.address.clone()));
    fields.extend(status.url.clone().map(|url| ("URL", url)));
    fields
}

fn kind(status: &DeploymentStatus) -> String {
    match status.kind {
        Workload::Deployment => "Deployment",
        Workload::InferenceService => "InferenceService",
    }
    .to_owned()
}

fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// Says what could not be read, beside what is printed.
pub(crate) fn unread(kinds: &[String]) {
    if !kinds.is_empty() {
        let kinds = kinds.join(", ");
        let text = format!("you may not read {kinds}: what they would say is left out");
        warning(&text, None);
    }
}

/// Says what could not be looked for.
///
/// # Errors
/// When something is left over, or not all was looked for.
pub(crate) fn left(cluster: &Cluster, name: &Name, deleted: Deleted) -> anyhow::Result<()> {
    let (name, namespace) = (name.to_string(), cluster.namespace().to_owned());
    if !deleted.unsought.is_empty() {
        let kinds: Vec<&str> = deleted.unsought.iter().map(|it| it.kind).collect();
        let text = format!(
            "you may not look for {}: whether one of `{name}` is left over cannot be told",
            kinds.join(", ")
        );
        let hint = Denial::hint(&deleted.unsought, &name, &namespace);
        warning(&text, Some(&hint));
    }
    if let Some(failure) = deleted.failure {
        return Err(failure.into());
    }
    if deleted.left.is_empty() {
        return Ok(());
    }
    Err(ClusterError::Left {
        name,
        namespace,
        denials: deleted.left,
    }
    .into())
}

/// Says what is no failure.
#[allow(
    clippy::print_stderr,
    reason = "warnings to the person at the terminal"
)]
pub(super) fn warning(text: &str, hint: Option<&str>) {
    eprintln!("warning: {text}");
    if let Some(hint) = hint {
        eprintln!("  hint: {hint}");
    }
}
