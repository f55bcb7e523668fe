//! Arguments of `mlrs registry`.

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, Subcommand, ValueEnum};

use crate::connection::ConnectionArguments;
use crate::failure::hinted;
use crate::output::OutputFormat;
use crate::runs::parse_tag;

/// Arguments of `mlrs registry`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
    /// How to print
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT", global = true)]
    pub(super) output: OutputFormat,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
pub(super) enum ModelCommand {
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
pub(super) enum VersionCommand {
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
pub(super) enum StageCommand {
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
pub(super) enum AliasCommand {
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
pub(super) struct VersionArguments {
    /// The registered model
    pub(super) name: String,
    /// The version
    pub(super) version: String,
}

#[derive(Debug, Args)]
pub(crate) struct Consent {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(super) enum Stage {
    None,
    Staging,
    Production,
    Archived,
}

impl Stage {
    /// As MLflow writes it.
    pub(super) const fn name(self) -> &'static str {
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
    pub(crate) fn given(&self, what: &str) -> anyhow::Result<()> {
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
