//! What an image says of itself: labels and annotations.
//!
//! Nothing of this machine is in them, neither a path nor a time: the same inputs give the same image.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use jiff::civil::DateTime;
use mlrs_image::Description;
use mlrs_mlmodel::ModelDirectory;
use sha2::{Digest as _, Sha256};

use super::Chosen;

/// The labels of an image, and its time.
pub(super) fn description(
    chosen: &Chosen,
    labels: &[(String, String)],
) -> anyhow::Result<Description> {
    let directory = chosen.source.as_ref().map(|source| &source.directory);
    let created = created(directory)?;
    let mut found = BTreeMap::new();
    let mut put = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            found.insert(key.to_owned(), value);
        }
    };
    put("org.opencontainers.image.created", Some(created.clone()));
    put("mlrs.version", Some(env!("CARGO_PKG_VERSION").to_owned()));
    if let Some(source) = &chosen.source {
        let identity = &source.identity;
        let manifest = &source.directory.manifest;
        let run_id = identity.run_id.clone().or_else(|| manifest.run_id.clone());
        let model_id = identity
            .model_id
            .clone()
            .or_else(|| manifest.model_id.clone());
        put("org.opencontainers.image.title", identity.name.clone());
        put("org.opencontainers.image.version", identity.version.clone());
        put("mlrs.model.name", identity.name.clone());
        put("mlrs.model.version", identity.version.clone());
        put("mlrs.model.run-id", run_id);
        put("mlrs.model.id", model_id);
        put("mlrs.model.flavor", chosen.flavor.clone());
        put("mlrs.model.backend", chosen.backend.map(str::to_owned));
        put("mlrs.model.signature", signature_digest(&source.directory));
    }
    found.extend(labels.iter().cloned());
    Ok(Description {
        labels: found,
        created,
        backend: chosen.backend.map(str::to_owned),
    })
}

/// When the image was created, in whole seconds: what `SOURCE_DATE_EPOCH` says, else when the model was.
fn created(directory: Option<&ModelDirectory>) -> anyhow::Result<String> {
    if let Ok(seconds) = std::env::var("SOURCE_DATE_EPOCH") {
        let time = seconds
            .parse()
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
        let time = time.with_context(|| {
            format!("SOURCE_DATE_EPOCH is `{seconds}`, which is no number of seconds since 1970")
        })?;
        return Ok(time.to_string());
    }
    let written = directory.and_then(|directory| directory.manifest.utc_time_created.as_ref());
    let time = written.and_then(|text| text.parse::<DateTime>().ok());
    let time = time.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let seconds = time.map_or(0, |time| time.timestamp().as_second());
    Ok(Timestamp::from_second(seconds)?.to_string())
}

/// The digest of the signature as JSON, in the order of its keys.
fn signature_digest(directory: &ModelDirectory) -> Option<String> {
    let map = directory.signature.as_ref()?.to_map();
    let text = serde_json::to_vec(&map).ok()?;
    Some(format!("sha256:{}", hex::encode(Sha256::digest(text))))
}
