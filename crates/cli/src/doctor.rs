//! `mlrs doctor`: what is known of this installation and its servers, to find out why something fails.
//!
//! Secrets are never printed: not those in variables, and not those in addresses.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use mlrs_artifacts::without_secrets;
use mlrs_client::ServerUri;
use mlrs_client::tracking::{Experiment, ExperimentSearch, TrackingClient, ViewType};
use mlrs_onnxruntime::{Locator, OnnxRuntime};
use mlrs_store::rules::relative::is_relative;
use mlrs_store_sql::{RelativeLocations, check};
use serde_json::{Map, Value, json};

use crate::cache::CacheArguments;
use crate::connection::{ConnectionArguments, runtime};
use crate::output::{self, OutputFormat};
use crate::{database, db, failure};

/// Variables that change what mlrs does, by the beginning of their names.
const PREFIXES: &[&str] = &["MLFLOW_", "MLRS_", "ORT_", "AWS_", "AZURE_", "GOOGLE_"];
/// Further ones, in either case.
const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
/// What the names of secrets contain.
const SECRETS: &[&str] = &[
    "PASSWORD",
    "TOKEN",
    "SECRET",
    "KEY",
    "SAS",
    "SIGNATURE",
    "CONNECTION_STRING",
    "AUTHORIZATION",
];
/// What the names of variables end in that only say where a secret is.
const PLACES: &[&str] = &["_FILE", "_PATH", "_DIR"];
/// What stands for a value that is not shown.
const MASK: &str = "***";
/// How long to wait for a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `mlrs doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mlrs doctor
  mlrs doctor --mask-envs --output json")]
pub(crate) struct Arguments {
    /// Show no value of any variable; those of secrets are never shown
    #[arg(long)]
    mask_envs: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    cache: CacheArguments,
}

/// A question and its answer.
struct Finding {
    /// What is asked, for people.
    label: &'static str,
    /// The same for programs.
    name: &'static str,
    /// The answer; an object where it has parts.
    value: Value,
    /// What to do, if something is not well.
    hint: Option<String>,
}

impl Finding {
    fn new(label: &'static str, name: &'static str, value: impl Into<Value>) -> Self {
        Self {
            label,
            name,
            value: value.into(),
            hint: None,
        }
    }
}

/// Runs `mlrs doctor`. What it finds out is no error, whatever it is.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let variables = variables(std::env::vars(), arguments.mask_envs);
    let mut findings = vec![
        Finding::new("System", "system", system()),
        Finding::new("mlrs version", "mlrs_version", env!("CARGO_PKG_VERSION")),
    ];
    findings.extend(servers(&arguments.connection)?);
    findings.extend(database());
    findings.push(onnxruntime(&arguments.cache));
    findings.push(cache(&arguments.cache));
    findings.push(Finding::new("Variables", "variables", variables));
    match arguments.output {
        OutputFormat::Json => {
            let pairs = findings.into_iter().map(|finding| {
                let value = match (finding.value, finding.hint) {
                    (Value::Object(mut parts), Some(hint)) => {
                        parts.insert("hint".to_owned(), hint.into());
                        parts.into()
                    }
                    (value, _) => value,
                };
                (finding.name.to_owned(), value)
            });
            output::json(&Value::Object(pairs.collect()))
        }
        OutputFormat::Table => findings.iter().try_for_each(print),
    }
}

fn print(finding: &Finding) -> anyhow::Result<()> {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    };
    match &finding.value {
        Value::Object(parts) if parts.is_empty() => {
            output::line(&format!("{}: none", finding.label))?;
        }
        Value::Object(parts) => {
            output::line(&format!("{}:", finding.label))?;
            for (name, value) in parts {
                output::line(&format!("  {name}: {}", shown(value)))?;
            }
        }
        value => output::line(&format!("{}: {}", finding.label, shown(value)))?,
    }
    match &finding.hint {
        Some(hint) => output::line(&format!("  hint: {hint}")),
        None => Ok(()),
    }
}

/// The system and its processor.
fn system() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let parts = [std::env::consts::OS, kernel.trim(), std::env::consts::ARCH];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The variables that apply, by name, without secrets.
fn variables(all: impl Iterator<Item = (String, String)>, mask: bool) -> Map<String, Value> {
    let mut found: Vec<(String, String)> = all
        .filter(|(name, _)| {
            PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                || PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
        })
        .collect();
    found.sort();
    let shown = |(name, value): (String, String)| {
        let value = if mask || is_secret(&name) {
            MASK.to_owned()
        } else {
            without_secrets(&value)
        };
        (name, Value::from(value))
    };
    found.into_iter().map(shown).collect()
}

fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|secret| name.contains(secret))
        && !PLACES.iter().any(|place| name.ends_with(place))
}

/// The tracking server, and the registry where it is another one.
fn servers(connection: &ConnectionArguments) -> anyhow::Result<Vec<Finding>> {
    let mut settings = match connection.settings() {
        Ok(settings) => settings,
        Err(error) => {
            let mut finding = Finding::new(
                "Tracking server",
                "tracking_server",
                json!({"problem": format!("{error:#}")}),
            );
            finding.hint = Some("mend or unset the variable".to_owned());
            return Ok(vec![finding]);
        }
    };
    settings.transport.retry.max_retries = 0;
    settings.transport.timeout = settings.transport.timeout.min(PATIENCE);
    let mut found = vec![server(
        "Tracking server",
        "tracking_server",
        &settings.tracking,
        TrackingClient::new(settings.clone()),
    )?];
    if settings.registry != settings.tracking {
        let registry = settings.registry.clone();
        settings.tracking = registry.clone();
        let client = TrackingClient::new(settings);
        found.push(server("Registry", "registry", &registry, client)?);
    }
    Ok(found)
}

fn server(
    label: &'static str,
    name: &'static str,
    uri: &ServerUri,
    client: Result<TrackingClient, mlrs_client::tracking::TrackingError>,
) -> anyhow::Result<Finding> {
    let address = match uri {
        ServerUri::Http(address) => address.to_string(),
        ServerUri::Unset => {
            let mut finding = Finding::new(label, name, json!({"uri": null}));
            finding.hint = Some("set MLFLOW_TRACKING_URI to the address of a server".to_owned());
            return Ok(finding);
        }
        ServerUri::Other(uri) => uri.clone(),
    };
    let mut parts = json!({ "uri": address });
    let runtime = runtime()?;
    let asked = client.and_then(|client| {
        runtime.block_on(async {
            let version = client.server_version().await?;
            let info = client.server_info().await?;
            let all = ExperimentSearch::new().view(ViewType::All);
            // A registry of its own has no experiments, and may not answer.
            let experiments = client.search_experiments(all).all().await;
            Ok((version, info, experiments.unwrap_or_default()))
        })
    });
    let mut hint = None;
    match asked {
        Ok((version, info, experiments)) => {
            parts["answers"] = json!(true);
            parts["mlflow_version"] = json!(version);
            parts["store"] = json!(info.store_type);
            if let Some(found) = relative_locations(&experiments) {
                parts["relative_artifact_locations"] = json!(found);
                hint = Some(db::RELATIVE_HINT.to_owned());
            }
        }
        Err(error) => {
            hint = error.hint();
            parts["answers"] = json!(false);
            parts["problem"] = json!(format!("{:#}", anyhow::Error::new(error)));
        }
    }
    let mut finding = Finding::new(label, name, parts);
    finding.hint = hint;
    Ok(finding)
}

/// Experiments whose artifacts are in another directory for each client.
fn relative_locations(experiments: &[Experiment]) -> Option<String> {
    let location = |experiment: &Experiment| experiment.artifact_location.clone();
    let mut found = experiments
        .iter()
        .filter_map(|experiment| Some((experiment, location(experiment)?)))
        .filter(|(_, location)| !location.is_empty() && is_relative(location))
        .peekable();
    let (experiment, location) = found.peek()?.clone();
    let name = experiment.name.clone();
    Some(format!(
        "{} experiments, such as `{name}` in `{location}`",
        found.count()
    ))
}

/// The database of `mlrs server`, where a variable names it.
fn database() -> Option<Finding> {
    let text = std::env::var("MLFLOW_BACKEND_STORE_URI").ok()?;
    let looked = database::uri(&text).and_then(|uri| {
        runtime()?.block_on(async {
            db::must_be_there(&uri).await?;
            Ok((uri.name(), check::relative_locations(&uri).await?))
        })
    });
    let (value, hint) = match looked {
        Ok((name, found)) => {
            let shown = found.iter().map(|found| {
                let RelativeLocations {
                    column,
                    rows,
                    example,
                } = found;
                format!("{rows} in {column}, such as `{example}`")
            });
            let shown: Vec<String> = shown.collect();
            let mut value = json!({ "name": name });
            if !shown.is_empty() {
                value["relative_artifact_locations"] = json!(shown.join("; "));
            }
            let hint = (!shown.is_empty()).then(|| db::RELATIVE_HINT.to_owned());
            (value, hint)
        }
        Err(error) => (
            json!({"problem": format!("{error:#}")}),
            failure::hint(&error),
        ),
    };
    let mut finding = Finding::new("Database", "database", value);
    finding.hint = hint;
    Some(finding)
}

/// The shared library that the backend `onnxruntime` would load.
fn onnxruntime(cache: &CacheArguments) -> Finding {
    let locator = Locator {
        environment: std::env::var_os("ORT_DYLIB_PATH").map(Into::into),
        cache: cache.folder().ok(),
        ..Locator::default()
    };
    let backend = OnnxRuntime::new(locator);
    let (value, hint) = match backend.library() {
        Ok((located, version)) => {
            let value = json!({"path": located.path, "version": version.to_string()});
            (value, None)
        }
        Err(refusal) => (
            json!({"problem": crate::engine::describe(&refusal)}),
            refusal.hint,
        ),
    };
    let mut finding = Finding::new("ONNX Runtime", "onnxruntime", value);
    finding.hint = hint;
    finding
}

/// The folder for downloads, and how much is in it.
fn cache(cache: &CacheArguments) -> Finding {
    let value = match cache.folder() {
        Ok(folder) => json!({"path": folder, "bytes": size_below(&folder)}),
        Err(error) => json!({"problem": error.to_string()}),
    };
    Finding::new("Cache", "cache", value)
}

/// The sizes of all files below a folder; what cannot be read is nothing. Links are not followed.
fn size_below(folder: &Path) -> u64 {
    let mut pending = vec![folder.to_owned()];
    let mut size = 0_u64;
    while let Some(folder) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => pending.push(entry.path()),
                Ok(metadata) if metadata.is_file() => size = size.saturating_add(metadata.len()),
                _ => {}
            }
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, value: &str, mask: bool) -> Option<String> {
        let found = variables([(name.to_owned(), value.to_owned())].into_iter(), mask);
        found
            .get(name)
            .map(|value| value.as_str().unwrap_or_default().to_owned())
    }

    #[test]
    fn secrets_are_never_shown() {
        for name in [
            "MLFLOW_TRACKING_PASSWORD",
            "MLFLOW_TRACKING_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "AWS_SESSION_TOKEN",
            "AZURE_STORAGE_CONNECTION_STRING",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_CLIENT_SECRET",
        ] {
            assert_eq!(
                shown(name, "geheim", false).as_deref(),
                Some(MASK),
                "{name}"
            );
        }
        let uri = shown(
            "MLFLOW_TRACKING_URI",
            "http://anna:geheim@host:5000/x",
            false,
        );
        assert_eq!(uri.as_deref(), Some("http://host:5000/x"));
        let proxy = shown("https_proxy", "http://anna:geheim@proxy:3128", false);
        assert_eq!(proxy.as_deref(), Some("http://proxy:3128"));
    }

    #[test]
    fn what_applies_is_shown_and_can_be_masked() {
        let place = "/run/secrets/token";
        let file = shown("AWS_WEB_IDENTITY_TOKEN_FILE", place, false);
        assert_eq!(file.as_deref(), Some(place));
        assert_eq!(
            shown("MLFLOW_EXPERIMENT_NAME", "x", false).as_deref(),
            Some("x")
        );
        assert_eq!(
            shown("MLFLOW_EXPERIMENT_NAME", "x", true).as_deref(),
            Some(MASK)
        );
        assert_eq!(shown("HOME", "/root", false), None);
    }
}
