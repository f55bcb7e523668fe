//! `mlrs inspect`: what a model is, and which backend would serve it.

use anyhow::Context as _;
use clap::Args;
use mlrs_mlmodel::signature::Schema;
use serde_json::{Value, json};

use crate::cache::CacheArguments;
use crate::engine::{self, EngineArguments};
use crate::output::{self, OutputFormat};
use crate::source::{self, Source};

/// Arguments of `mlrs inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mlrs inspect examples/iris\n  mlrs inspect models:/iris/1 --output json"
)]
pub(crate) struct Arguments {
    /// The model: a directory, a `.zip` of one, or a URI (see `mlrs pull --help`)
    model: String,
    /// How to print
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    engine: EngineArguments,
    #[command(flatten)]
    cache: CacheArguments,
}

/// What a backend says of the model.
struct Verdict {
    backend: &'static str,
    serves: bool,
    reason: String,
    hint: Option<String>,
    facts: Vec<(&'static str, String)>,
}

/// Runs `mlrs inspect`.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let source = source::open(&arguments.model, &arguments.cache)?;
    let verdicts = verdicts(arguments, &source);
    let chosen = verdicts
        .iter()
        .filter(|verdict| {
            arguments
                .engine
                .backend
                .as_deref()
                .is_none_or(|name| name == verdict.backend)
        })
        .find(|verdict| verdict.serves)
        .map(|verdict| verdict.backend);
    let size = source
        .directory
        .size_bytes()
        .context("the model's files cannot be listed")?;
    match arguments.output {
        OutputFormat::Json => output::line(&serde_json::to_string_pretty(&as_json(
            &source, size, &verdicts, chosen,
        ))?),
        OutputFormat::Table => print(&source, size, &verdicts, chosen),
    }
}

fn verdicts(arguments: &Arguments, source: &Source) -> Vec<Verdict> {
    let options = arguments.engine.options(1, 1);
    let candidates = arguments.engine.candidates(arguments.cache.folder().ok());
    let ask = |backend: &dyn mlrs_backend::Backend| match engine::try_backend(
        backend,
        &source.directory,
        &options,
    ) {
        Ok((model, flavor)) => Verdict {
            backend: backend.name(),
            serves: true,
            reason: format!("serves flavor `{flavor}`"),
            hint: None,
            facts: model.facts(),
        },
        Err(refusal) => Verdict {
            backend: backend.name(),
            serves: false,
            reason: engine::describe(&refusal),
            hint: refusal.hint,
            facts: Vec::new(),
        },
    };
    candidates.iter().map(|backend| ask(&**backend)).collect()
}

/// The parts of the manifest that are worth a line.
fn facts(source: &Source, size: u64) -> Vec<(&'static str, Option<String>)> {
    let manifest = &source.directory.manifest;
    let flavors = manifest
        .flavors
        .keys()
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    vec![
        ("path", Some(source.path.display().to_string())),
        ("name", source.identity.name.clone()),
        ("version", source.identity.version.clone()),
        ("model id", manifest.model_id.clone()),
        ("run id", manifest.run_id.clone()),
        ("flavors", Some(flavors)),
        ("mlflow version", manifest.mlflow_version.clone()),
        ("created", manifest.utc_time_created.clone()),
        ("size", Some(indicatif::HumanBytes(size).to_string())),
    ]
}

fn print(
    source: &Source,
    size: u64,
    verdicts: &[Verdict],
    chosen: Option<&str>,
) -> anyhow::Result<()> {
    let mut model = output::table(&["model", ""]);
    for (name, value) in facts(source, size) {
        if let Some(value) = value {
            model.add_row([name.to_owned(), value]);
        }
    }
    output::line(&model.to_string())?;
    match &source.directory.signature {
        None => output::line(
            "The model has no signature: requests are checked against its own inputs only.",
        )?,
        Some(signature) => {
            let mut table = output::table(&["signature", "name", "type", "required"]);
            for (part, schema) in [("input", &signature.inputs), ("output", &signature.outputs)] {
                for row in schema.iter().flat_map(Schema::describe) {
                    let required = if row.required { "yes" } else { "no" };
                    table.add_row([
                        part,
                        row.name.as_deref().unwrap_or("-"),
                        &row.type_text,
                        required,
                    ]);
                }
            }
            for row in signature.describe_params() {
                table.add_row([
                    "param",
                    &row.name,
                    &row.type_text,
                    &format!("default {}", row.default),
                ]);
            }
            output::line(&table.to_string())?;
        }
    }
    let mut table = output::table(&["backend", "", "why"]);
    for verdict in verdicts {
        let mark = match (verdict.serves, chosen == Some(verdict.backend)) {
            (true, true) => "serves it",
            (true, false) => "could serve it",
            (false, _) => "refuses",
        };
        let facts: Vec<String> = verdict
            .facts
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let hint = verdict
            .hint
            .as_ref()
            .map(|hint| format!("\nhint: {hint}"))
            .unwrap_or_default();
        let reason = if facts.is_empty() {
            verdict.reason.clone()
        } else {
            format!("{}\n{}", verdict.reason, facts.join("\n"))
        };
        table.add_row([verdict.backend.to_owned(), mark.to_owned(), reason + &hint]);
    }
    output::line(&table.to_string())
}

fn as_json(source: &Source, size: u64, verdicts: &[Verdict], chosen: Option<&str>) -> Value {
    let manifest = &source.directory.manifest;
    let schema = |schema: &Option<Schema>| {
        schema
            .as_ref()
            .map(|schema| serde_json::from_str::<Value>(&schema.to_json()).unwrap_or_default())
    };
    let signature = source.directory.signature.as_ref().map(|signature| {
        let params: Vec<Value> = signature
            .describe_params()
            .into_iter()
            .map(|row| json!({"name": row.name, "type": row.type_text, "default": row.default}))
            .collect();
        json!({"inputs": schema(&signature.inputs), "outputs": schema(&signature.outputs), "params": params})
    });
    let backends: Vec<Value> = verdicts
        .iter()
        .map(|verdict| {
            let facts: serde_json::Map<String, Value> =
                verdict.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            json!({"backend": verdict.backend, "serves": verdict.serves, "reason": verdict.reason, "hint": verdict.hint, "facts": facts})
        })
        .collect();
    json!({
        "path": source.path,
        "name": source.identity.name,
        "version": source.identity.version,
        "model_id": manifest.model_id,
        "run_id": manifest.run_id,
        "flavors": manifest.flavors,
        "mlflow_version": manifest.mlflow_version,
        "utc_time_created": manifest.utc_time_created,
        "size_bytes": size,
        "signature": signature,
        "backends": backends,
        "chosen": chosen,
    })
}
