//! `mlrs deploy kubernetes`: from arguments to objects, and to where they go.

use mlrs_deploy::{manifest, objects};

use super::arguments::{KubernetesArguments, Target};
use crate::output;

pub(super) fn run(arguments: KubernetesArguments) -> anyhow::Result<()> {
    let settings = arguments.settings(arguments.namespace.clone())?;
    match arguments.output {
        Target::Yaml => output::text(&manifest::yaml(&objects::all(&settings)?)),
    }
}
