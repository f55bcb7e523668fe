//! `mlrs registry`: registered models, their versions, stages and aliases.

mod arguments;
mod print;

use mlrs_client::tracking::{NewVersion, RegistrySearch, Tag};

use crate::connection::ConnectionArguments;
use crate::output::OutputFormat;
use arguments::{
    AliasCommand, Command, ModelCommand, StageCommand, VersionArguments, VersionCommand,
};
use print::{print_model, print_models, print_version, print_versions};

pub(crate) use arguments::{Arguments, Consent};

/// Runs `mlrs registry`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (connection, format) = (arguments.connection, arguments.output);
    match arguments.command {
        Command::Models(command) => models(&connection, command, format),
        Command::Versions(command) => versions(&connection, command, format),
        Command::Stages(StageCommand::Transition {
            version: VersionArguments { name, version },
            stage,
            archive_existing,
        }) => {
            let moved = connection.run(async |client| {
                client
                    .transition_stage(&name, &version, stage.name(), archive_existing)
                    .await
            })?;
            print_version(&moved, format)
        }
        Command::Aliases(command) => aliases(&connection, command, format),
    }
}

fn models(
    connection: &ConnectionArguments,
    command: ModelCommand,
    format: OutputFormat,
) -> anyhow::Result<()> {
    match command {
        ModelCommand::List {
            filter,
            max_results,
        } => {
            let search = filter.map_or_else(RegistrySearch::new, |filter| {
                RegistrySearch::new().filter(filter)
            });
            let found = connection.run(async |client| {
                let pages = client.search_registered_models(search);
                pages.first(max_results.unwrap_or(usize::MAX)).await
            })?;
            print_models(&found, format)
        }
        ModelCommand::Get { name } => {
            let model = connection.run(async |client| client.registered_model(&name).await)?;
            print_model(&model, format)
        }
        ModelCommand::Create {
            name,
            description,
            tags,
        } => {
            let tags = tags.into_iter().map(|(key, value)| Tag::new(key, value));
            let model = connection.run(async |client| {
                client
                    .create_registered_model(&name, description.as_deref(), tags)
                    .await
            })?;
            print_model(&model, format)
        }
        ModelCommand::Rename { name, new_name } => {
            let model = connection
                .run(async |client| client.rename_registered_model(&name, &new_name).await)?;
            print_model(&model, format)
        }
        ModelCommand::Delete { name, consent } => {
            consent.given(&format!(
                "the registered model `{name}` with all its versions"
            ))?;
            connection.run(async |client| client.delete_registered_model(&name).await)
        }
    }
}

fn versions(
    connection: &ConnectionArguments,
    command: VersionCommand,
    format: OutputFormat,
) -> anyhow::Result<()> {
    match command {
        VersionCommand::List { name } => {
            // The grammar has no escape, so a name with a quote can only stand in the other one.
            let quote = if name.contains('\'') { '"' } else { '\'' };
            let search = RegistrySearch::new().filter(format!("name = {quote}{name}{quote}"));
            let mut found = connection.run(async |client| {
                // A name that is not there is an error, and not an empty list.
                client.registered_model(&name).await?;
                client.search_model_versions(search).all().await
            })?;
            found.sort_by_key(|version| std::cmp::Reverse(version.version.parse::<u64>().ok()));
            print_versions(&found, format)
        }
        VersionCommand::Get {
            version: VersionArguments { name, version },
        } => {
            let found =
                connection.run(async |client| client.model_version(&name, &version).await)?;
            print_version(&found, format)
        }
        VersionCommand::Create {
            name,
            source,
            run_id,
            description,
            tags,
        } => {
            let mut new = NewVersion::from_source(name, source);
            if let Some(run_id) = run_id {
                new = new.run(run_id);
            }
            if let Some(description) = description {
                new = new.description(description);
            }
            for (key, value) in tags {
                new = new.tag(key, value);
            }
            let made = connection.run(async |client| client.register_model(new).await)?;
            print_version(&made, format)
        }
        VersionCommand::Delete {
            version: VersionArguments { name, version },
            consent,
        } => {
            consent.given(&format!(
                "version `{version}` of the registered model `{name}`"
            ))?;
            connection.run(async |client| client.delete_model_version(&name, &version).await)
        }
    }
}

fn aliases(
    connection: &ConnectionArguments,
    command: AliasCommand,
    format: OutputFormat,
) -> anyhow::Result<()> {
    match command {
        AliasCommand::Set {
            name,
            alias,
            version,
        } => connection.run(async |client| client.set_alias(&name, &alias, &version).await),
        AliasCommand::Delete { name, alias } => {
            connection.run(async |client| client.delete_alias(&name, &alias).await)
        }
        AliasCommand::Get { name, alias } => {
            let found =
                connection.run(async |client| client.version_by_alias(&name, &alias).await)?;
            print_version(&found, format)
        }
    }
}
