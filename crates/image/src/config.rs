//! The configuration and the manifest of an image.
//!
//! The fields are those of the OCI image specification, `config.md` and `manifest.md`, and Docker's
//! `Healthcheck`, which the specification leaves to others. Maps are sorted: the digest of an image is
//! that of these texts.

use std::collections::BTreeMap;

use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde::{Deserialize, Serialize};

use crate::base::Base;
use crate::layer::{Layer, digest_of};
use crate::parts::{BINARY_PATH, ENGINE_PATH, LIBRARY_FOLDER, MODEL_PATH};
use crate::platform::Platform;

/// The user that the program runs as.
pub const USER: u32 = 10001;

/// Its group.
pub(crate) const GROUP: u32 = 10001;

/// The port that the server listens on: what `SageMaker` asks for.
pub const PORT: u16 = 8080;

/// How many seconds a server that is stopped takes to answer what has begun: Docker ends it after 10.
const DRAIN_SECONDS: u64 = 8;

/// How long, in seconds, between two checks of health.
pub const HEALTHCHECK_SECONDS: u64 = 10;

/// What an image is, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Labels and annotations, those of the specification among them.
    pub labels: BTreeMap<String, String>,
    /// When it was created, as RFC 3339 writes it. The same inputs must give the same image, so it is
    /// no clock's time.
    pub created: String,
    /// The backend that serves the model.
    pub backend: Option<String>,
}

/// The configuration of an image. Fields of a base image that are not known here are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ImageConfig {
    created: Option<String>,
    architecture: String,
    os: String,
    #[serde(default, deserialize_with = "or_nothing")]
    config: RunConfig,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) rootfs: RootFs,
    #[serde(default, deserialize_with = "or_nothing")]
    history: Vec<History>,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

impl ImageConfig {
    /// The platform, as `linux/amd64`.
    pub(crate) fn platform(&self) -> String {
        format!("{}/{}", self.os, self.architecture)
    }

    /// A variable that programs are started with.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let variables = self.config.env.iter();
        variables
            .filter_map(|variable| variable.split_once('='))
            .find_map(|(found, value)| (found == name).then_some(value))
    }
}

/// What programs are started with. Images that no Dockerfile made have `null` for any of these.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RunConfig {
    #[serde(deserialize_with = "or_nothing")]
    user: String,
    #[serde(deserialize_with = "or_nothing")]
    exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "or_nothing")]
    env: Vec<String>,
    #[serde(deserialize_with = "or_nothing")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_nothing")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "or_nothing")]
    working_dir: String,
    #[serde(deserialize_with = "or_nothing")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_nothing")]
    stop_signal: String,
    /// Never that of a base image: it asks for the health of another program.
    #[serde(deserialize_with = "passed_over")]
    healthcheck: Option<Healthcheck>,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

/// Docker's `HEALTHCHECK`; times in nanoseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Healthcheck {
    test: Vec<String>,
    interval: u64,
    timeout: u64,
    start_period: u64,
    retries: u64,
}

/// The archives that the layers hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type", default, deserialize_with = "or_nothing")]
    kind: String,
    #[serde(default, deserialize_with = "or_nothing")]
    pub(crate) diff_ids: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

/// Reads `null` as nothing.
fn or_nothing<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads anything, and keeps none of it.
fn passed_over<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default,
{
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| T::default())
}

/// The texts of an image, and their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) config: Vec<u8>,
    pub(crate) config_digest: String,
    pub(crate) manifest: Vec<u8>,
    pub(crate) manifest_digest: String,
}

/// The configuration and the manifest of an image with these layers, base layers first.
///
/// # Errors
/// Never in practice: what is written can be written as JSON.
pub(crate) fn texts(
    platform: Platform,
    description: &Description,
    layers: &[Layer],
    base: Option<&Base>,
    has_engine: bool,
) -> serde_json::Result<Texts> {
    let config = image_config(platform, description, layers, base, has_engine);
    let config = serde_json::to_vec(&config)?;
    let config_digest = digest_of(&config);
    let mut annotations = description.labels.clone();
    if let Some(base) = base {
        let prefix = "org.opencontainers.image.base";
        annotations.insert(format!("{prefix}.name"), base.name.clone());
        annotations.insert(format!("{prefix}.digest"), base.digest.clone());
    }
    let descriptor = |media_type: &str, digest: &str, bytes: u64| OciDescriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_owned(),
        size: bytes as i64,
        ..OciDescriptor::default()
    };
    let manifest = OciImageManifest {
        schema_version: 2,
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config: descriptor(CONFIG, &config_digest, config.len() as u64),
        layers: layers
            .iter()
            .map(|layer| descriptor(&layer.media_type, &layer.digest, layer.bytes))
            .collect(),
        subject: None,
        artifact_type: None,
        annotations: Some(annotations),
    };
    let manifest = serde_json::to_vec(&manifest)?;
    Ok(Texts {
        config_digest,
        manifest_digest: digest_of(&manifest),
        config,
        manifest,
    })
}

/// The media type of the configuration.
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn image_config(
    platform: Platform,
    description: &Description,
    layers: &[Layer],
    base: Option<&Base>,
    has_engine: bool,
) -> ImageConfig {
    let mut config = base.map_or_else(
        || ImageConfig {
            created: None,
            architecture: platform.architecture.name().to_owned(),
            os: "linux".to_owned(),
            config: RunConfig::default(),
            rootfs: RootFs::default(),
            history: Vec::new(),
            other: BTreeMap::new(),
        },
        |base| base.config.clone(),
    );
    let own = layers.iter().skip(config.rootfs.diff_ids.len());
    config.history.extend(own.map(|layer| History {
        created: Some(description.created.clone()),
        created_by: Some(format!("mlrs: {}", layer.comment)),
        other: BTreeMap::new(),
    }));
    config.created = Some(description.created.clone());
    config.rootfs = RootFs {
        kind: "layers".to_owned(),
        diff_ids: layers.iter().map(|layer| layer.diff_id.clone()).collect(),
    };
    run_config(&mut config.config, description, base.is_some(), has_engine);
    config
}

/// What the program is started with. `serve` alone, as `SageMaker` starts it, finds the model by its
/// variable.
fn run_config(config: &mut RunConfig, description: &Description, on_base: bool, has_engine: bool) {
    let mut variables = vec![
        ("MLFLOW_HOST", "0.0.0.0".to_owned()),
        ("MLFLOW_PORT", PORT.to_string()),
        ("MLRS_MODEL", MODEL_PATH.to_owned()),
        ("MLRS_CACHE_DIR", "/tmp/mlrs".to_owned()),
        ("MLRS_DRAIN", DRAIN_SECONDS.to_string()),
    ];
    if !on_base {
        variables.push(("PATH", "/usr/local/bin".to_owned()));
        variables.push(("LD_LIBRARY_PATH", LIBRARY_FOLDER.to_owned()));
    }
    if has_engine {
        variables.push(("ORT_DYLIB_PATH", ENGINE_PATH.to_owned()));
    }
    if let Some(backend) = &description.backend {
        variables.push(("MLRS_BACKEND", backend.clone()));
    }
    for (name, value) in variables {
        let prefix = format!("{name}=");
        config.env.retain(|variable| !variable.starts_with(&prefix));
        config.env.push(format!("{prefix}{value}"));
    }
    config.user = format!("{USER}:{GROUP}");
    config
        .exposed_ports
        .insert(format!("{PORT}/tcp"), serde_json::json!({}));
    config.entrypoint = vec![BINARY_PATH.to_owned()];
    config.cmd = vec!["serve".to_owned(), MODEL_PATH.to_owned()];
    "/".clone_into(&mut config.working_dir);
    "SIGTERM".clone_into(&mut config.stop_signal);
    // What a base says of itself is not true of the image on it, and its triggers are for a Dockerfile.
    config
        .labels
        .retain(|key, _| !key.starts_with("org.opencontainers.image."));
    config.other.remove("OnBuild");
    config.labels.extend(description.labels.clone());
    config.healthcheck = Some(Healthcheck {
        test: ["CMD", BINARY_PATH, "healthcheck"]
            .map(str::to_owned)
            .into(),
        interval: HEALTHCHECK_SECONDS * 1_000_000_000,
        timeout: 5_000_000_000,
        start_period: 60_000_000_000,
        retries: 3,
    });
}

/// What a program is started with in an image without a base.
pub(crate) fn run_config_of(
    platform: Platform,
    description: &Description,
    has_engine: bool,
) -> RunConfig {
    image_config(platform, description, &[], None, has_engine).config
}

impl RunConfig {
    /// The same as instructions of a Dockerfile.
    pub(crate) fn instructions(&self) -> String {
        let mut lines = Vec::new();
        for variable in &self.env {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            lines.push(format!("ENV {name}={}", quoted(value)));
        }
        for (key, value) in &self.labels {
            lines.push(format!("LABEL {}={}", quoted(key), quoted(value)));
        }
        lines.push(format!("USER {}", self.user));
        lines.push(format!("WORKDIR {}", self.working_dir));
        lines.extend(
            self.exposed_ports
                .keys()
                .map(|port| format!("EXPOSE {port}")),
        );
        lines.push(format!("STOPSIGNAL {}", self.stop_signal));
        if let Some(check) = &self.healthcheck {
            let seconds = |nanoseconds: u64| nanoseconds / 1_000_000_000;
            lines.push(format!(
                "HEALTHCHECK --interval={}s --timeout={}s --start-period={}s --retries={} CMD {}",
                seconds(check.interval),
                seconds(check.timeout),
                seconds(check.start_period),
                check.retries,
                serde_json::json!(&check.test[1..])
            ));
        }
        lines.push(format!("ENTRYPOINT {}", serde_json::json!(self.entrypoint)));
        lines.push(format!("CMD {}", serde_json::json!(self.cmd)));
        lines.join("\n") + "\n"
    }
}

/// A value for a Dockerfile: quotes, backslashes and dollars have a meaning there.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' | '$' => text.extend(['\\', character]),
            // A line ends an instruction.
            character if character.is_control() => text.push(' '),
            character => text.push(character),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration of `docker import`, with what else a base may bring.
    const IMPORTED: &str = r#"{
        "architecture": "amd64", "os": "linux", "created": null, "history": null,
        "config": {
            "User": null, "ExposedPorts": null, "Env": null, "Entrypoint": null, "Cmd": null,
            "WorkingDir": null, "StopSignal": null, "Volumes": null,
            "Healthcheck": {"Test": null, "Interval": -1},
            "OnBuild": ["RUN false"],
            "Labels": {"org.opencontainers.image.version": "24.04", "team": "images"}
        },
        "rootfs": {"type": "layers", "diff_ids": null},
        "variant": "v2"
    }"#;

    #[test]
    fn a_base_may_say_nothing_and_what_it_says_of_itself_is_not_taken_over() {
        let config: ImageConfig = serde_json::from_str(IMPORTED).unwrap();
        assert_eq!(config.platform(), "linux/amd64");
        let base = Base {
            name: "base:1".to_owned(),
            digest: "sha256:0".to_owned(),
            config,
            layers: Vec::new(),
            libraries: std::collections::BTreeSet::new(),
        };
        let platform = "linux/amd64".parse().unwrap();
        let description = Description::default();
        let config = image_config(platform, &description, &[], Some(&base), false);
        let text = serde_json::to_value(&config).unwrap();
        assert_eq!(text["variant"], "v2");
        assert_eq!(
            text["config"]["Labels"],
            serde_json::json!({"team": "images"})
        );
        assert_eq!(text["config"]["Healthcheck"]["Test"][1], BINARY_PATH);
        assert!(text["config"].get("OnBuild").is_none());
        assert_eq!(config.variable("MLRS_MODEL"), Some(MODEL_PATH));
        assert_eq!(config.variable("MLRS"), None);
    }

    #[test]
    fn no_field_of_a_base_comes_twice() {
        let config: ImageConfig = serde_json::from_str(IMPORTED).unwrap();
        let text = serde_json::to_string(&config).unwrap();
        for field in ["Healthcheck", "OnBuild", "Labels", "Env"] {
            assert_eq!(text.matches(&format!("\"{field}\"")).count(), 1, "{text}");
        }
    }
}
