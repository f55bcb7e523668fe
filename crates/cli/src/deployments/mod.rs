//! `mlrs deployments`: the commands of `mlflow deployments`, with its options and its words.
//!
//! What a target does is behind [`DeploymentTarget`]; which targets there are is in [`target`].

mod arguments;
mod docker;
mod input;
mod kubernetes;
mod target;

use anyhow::Context as _;

use crate::failure::hinted;
use crate::output;
use arguments::{Command, ModelOptions};
use target::{DeploymentTarget, NewDeployment, Update};

pub(crate) use arguments::Arguments;

/// The flavor that MLflow's command prints, when none was named: here every model is served alike.
const FLAVOR: &str = "mlflow";

/// Runs `mlrs deployments`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Create(options) => {
            let flavor = options.flavor.clone().unwrap_or_else(|| FLAVOR.to_owned());
            let new = new_deployment(options.model)?;
            options.target.open().create(&new)?;
            output::line(&format!("\n{flavor} deployment {} is created", new.name))
        }
        Command::Update(options) => {
            let flavor = options.flavor.unwrap_or_else(|| FLAVOR.to_owned());
            let update = Update {
                name: options.name,
                model_uri: options.model_uri,
                config: config(options.config)?,
            };
            options.target.open().update(&update)?;
            output::line(&format!(
                "Deployment {} is updated (with flavor {flavor})",
                update.name
            ))
        }
        Command::Delete(options) => {
            let name = options.name;
            options
                .target
                .open()
                .delete(&name, &config(options.config)?)?;
            output::line(&format!("Deployment {name} is deleted"))
        }
        Command::List { target } => {
            let names = target.open().list()?;
            let names: Vec<String> = names
                .iter()
                .map(|name| format!("{{'name': '{name}'}}"))
                .collect();
            output::line(&format!("List of all deployments:\n[{}]", names.join(", ")))
        }
        Command::Get { name, target } => {
            for (key, value) in target.open().get(&name)? {
                output::line(&format!("{key}: {value}"))?;
            }
            output::line("\n")
        }
        Command::Predict(options) => {
            let input = input::read(&options.input_path)?;
            let answer = options.target.open().predict(&options.name, &input)?;
            match &options.output_path {
                Some(path) => std::fs::write(path, answer)
                    .with_context(|| format!("cannot write `{}`", path.display())),
                None => output::line(&String::from_utf8_lossy(&answer)),
            }
        }
        Command::RunLocal(options) => {
            let new = new_deployment(options.model)?;
            options.target.open().run_local(&new)
        }
        Command::Help { target } => output::text(target.open().help()),
    }
}

fn new_deployment(options: ModelOptions) -> anyhow::Result<NewDeployment> {
    Ok(NewDeployment {
        name: options.name,
        model_uri: options.model_uri,
        config: config(options.config)?,
    })
}

/// Pairs, each name once.
fn config(pairs: Vec<(String, String)>) -> anyhow::Result<Vec<(String, String)>> {
    for (index, (name, _)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(other, _)| other == name) {
            return Err(hinted(
                format!("repeated parameter: `{name}`"),
                "say it once",
            ));
        }
    }
    Ok(pairs)
}
