//! `mlrs deploy`: a model in Kubernetes, from the manifest to the rollout.

mod arguments;
mod kubernetes;
mod print;

use mlrs_deploy::cluster::Cluster;
use mlrs_deploy::names::Name;

use crate::connection::runtime;
use crate::output;
use arguments::Command;

pub(crate) use arguments::{Arguments, KubernetesArguments, parsed};
use kubernetes::Say;
pub(crate) use kubernetes::apply;
pub(crate) use print::{fields, unread};

/// Runs `mlrs deploy`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Kubernetes(arguments) => kubernetes::run(&arguments),
        Command::Status {
            name: Some(name),
            cluster,
            output,
        } => {
            let status = runtime()?.block_on(async {
                let cluster = Cluster::connect(&cluster.settings()).await?;
                cluster.status(&name).await
            })?;
            print::status(&status, output)
        }
        Command::Status {
            name: None,
            cluster,
            output,
        } => {
            let all = runtime()?.block_on(async {
                let cluster = Cluster::connect(&cluster.settings()).await?;
                cluster.deployments().await
            })?;
            print::summary(&all, output)
        }
        Command::Scale {
            name,
            scale,
            cluster,
            wait,
        } => runtime()?.block_on(async {
            let cluster = Cluster::connect(&cluster.settings()).await?;
            let workload = cluster.scale(&name, scale.scale()).await?;
            kubernetes::wait(&cluster, &name, workload, &wait, &mut say).await
        }),
        Command::Delete {
            name,
            cluster,
            consent,
        } => runtime()?.block_on(async {
            let cluster = Cluster::connect(&cluster.settings()).await?;
            let namespace = cluster.namespace();
            consent.given(&format!(
                "the deployment `{name}` of the namespace `{namespace}` with all of its objects"
            ))?;
            delete(&cluster, &name, &mut say).await
        }),
    }
}

/// Deletes a deployment.
pub(crate) async fn delete(cluster: &Cluster, name: &Name, say: Say<'_>) -> anyhow::Result<()> {
    let deleted = cluster.delete(name).await?;
    print::applied(&deleted.deleted, "applied", say)?;
    print::left(cluster, name, deleted)
}

/// Says a line.
fn say(text: &str) -> anyhow::Result<()> {
    output::line(text)
}
