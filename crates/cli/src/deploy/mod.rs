//! `mlrs deploy`: a model in Kubernetes, from the manifest to the rollout.

mod arguments;
mod kubernetes;

use arguments::Command;

pub(crate) use arguments::Arguments;

/// Runs `mlrs deploy`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Kubernetes(arguments) => kubernetes::run(*arguments),
    }
}
