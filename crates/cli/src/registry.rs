//! `mlrs registry`: registered models, their versions, stages and aliases.

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, Subcommand, ValueEnum};
use mlrs_client::tracking::{ModelVersion, NewVersion, RegisteredModel, RegistrySearch, Tag};

use crate::connection::ConnectionArguments;
use crate::failure::hinted;
use crate::output::{self, OutputFormat};
use crate::run_table::local_time;
use crate::runs::parse_tag;

/// Arguments of `mlrs registry`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionArguments,
    /// How to print
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT", global = true)]
    output: OutputFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Registered models
    #[command(subcommand)]
    Models(ModelCommand),
    /// Versions of a registered model
    #[command(subcommand)]
    Versions(VersionCommand),
    /// Stages of versions
    #[command(subcommand)]
    Stages(StageCommand),
    /// Aliases of versions
    #[command(subcommand)]
    Aliases(AliasCommand),
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// List registered models
    #[command(
        after_help = "Examples:\n  mlrs registry models list\n  mlrs registry models list --filter \"name LIKE 'iris%'\" --output json"
    )]
    List {
        /// Only those that fit, in MLflow's grammar
        #[arg(long, value_name = "FILTER")]
        filter: Option<String>,
        /// The most to list [default: all]
        #[arg(long, value_name = "COUNT")]
        max_results: Option<usize>,
    },
    /// Show a registered model
    #[command(after_help = "Example:\n  mlrs registry models get iris")]
    Get {
        /// Its name
        name: String,
    },
    /// Create a registered model, without versions
    #[command(
        after_help = "Example:\n  mlrs registry models create iris --description 'species of irises'"
    )]
    Create {
        /// Its name
        name: String,
        /// What it is
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// A tag; may be given several times
        #[arg(short, long, value_name = "KEY=VALUE", value_parser = parse_tag)]
        tags: Vec<(String, String)>,
    },
    /// Give a registered model another name
    #[command(after_help = "Example:\n  mlrs registry models rename iris flowers")]
    Rename {
        /// Its name
        name: String,
        /// Its name from now on
        new_name: String,
    },
    /// Delete a registered model with all its versions, for good
    #[command(after_help = "Example:\n  mlrs registry models delete iris --yes")]
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        consent: Consent,
    },
}

#[derive(Debug, Subcommand)]
enum VersionCommand {
    /// List the versions of a registered model, the latest first
    #[command(after_help = "Example:\n  mlrs registry versions list iris")]
    List {
        /// The registered model
        name: String,
    },
    /// Show a version
    #[command(after_help = "Example:\n  mlrs registry versions get iris 3 --output json")]
    Get {
        #[command(flatten)]
        version: VersionArguments,
    },
    /// Make a version of a model that was logged; the registered model is made if there is none
    #[command(
        after_help = "Examples:\n  mlrs registry versions create iris --source models:/m-0123456789abcdef0123456789abcdef\n  mlrs registry versions create iris --source s3://bucket/iris --description 'from the old store'"
    )]
    Create {
        /// The registered model
        name: String,
        /// Where its files are.
        #[arg(
            long,
            value_name = "URI",
            help = "Where its files are: models:/m-ID, runs:/ID/PATH, mlflow-artifacts:/PATH, s3://…"
        )]
        source: String,
        /// The run that logged it
        #[arg(long, value_name = "ID")]
        run_id: Option<String>,
        /// What it is
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// A tag; may be given several times
        #[arg(short, long, value_name = "KEY=VALUE", value_parser = parse_tag)]
        tags: Vec<(String, String)>,
    },
    /// Delete a version, for good
    #[command(after_help = "Example:\n  mlrs registry versions delete iris 3 --yes")]
    Delete {
        #[command(flatten)]
        version: VersionArguments,
        #[command(flatten)]
        consent: Consent,
    },
}

#[derive(Debug, Subcommand)]
enum StageCommand {
    /// Move a version to a stage
    #[command(
        after_help = "Example:\n  mlrs registry stages transition iris 3 Production --archive-existing"
    )]
    Transition {
        #[command(flatten)]
        version: VersionArguments,
        /// The stage
        #[arg(value_enum, ignore_case = true)]
        stage: Stage,
        /// Archive the other versions of that stage
        #[arg(long)]
        archive_existing: bool,
    },
}

#[derive(Debug, Subcommand)]
enum AliasCommand {
    /// Point an alias to a version
    #[command(after_help = "Example:\n  mlrs registry aliases set iris champion 3")]
    Set {
        /// The registered model
        name: String,
        /// The alias
        alias: String,
        /// The version
        version: String,
    },
    /// Remove an alias
    #[command(after_help = "Example:\n  mlrs registry aliases delete iris champion")]
    Delete {
        /// The registered model
        name: String,
        /// The alias
        alias: String,
    },
    /// Show the version that an alias points to
    #[command(after_help = "Example:\n  mlrs registry aliases get iris champion")]
    Get {
        /// The registered model
        name: String,
        /// The alias
        alias: String,
    },
}

#[derive(Debug, Args)]
struct VersionArguments {
    /// The registered model
    name: String,
    /// The version
    version: String,
}

#[derive(Debug, Args)]
struct Consent {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Stage {
    None,
    Staging,
    Production,
    Archived,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }
}

impl Consent {
    /// Whether what cannot be undone may be done: a person is asked, a program must have said so.
    fn given(&self, what: &str) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        let is_asked = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if is_asked && ask(what)? {
            return Ok(());
        }
        Err(hinted(
            format!("{what} was not deleted"),
            "this cannot be undone; say --yes to do it without being asked",
        ))
    }
}

fn ask(what: &str) -> anyhow::Result<bool> {
    let mut terminal = std::io::stderr();
    write!(terminal, "Delete {what} for good? [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

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

fn print_models(models: &[RegisteredModel], format: OutputFormat) -> anyhow::Result<()> {
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

fn print_model(model: &RegisteredModel, format: OutputFormat) -> anyhow::Result<()> {
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

fn print_versions(versions: &[ModelVersion], format: OutputFormat) -> anyhow::Result<()> {
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

fn print_version(version: &ModelVersion, format: OutputFormat) -> anyhow::Result<()> {
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
