//! What was built: a table for people, JSON for programs.

use indicatif::HumanBytes;
use mlrs_image::{Image, ImageName};
use serde_json::json;

use super::target::Sent;
use crate::output::{self, OutputFormat};

/// Prints an image that was built and sent.
pub(super) fn built(
    image: &Image,
    name: &ImageName,
    sent: &Sent,
    format: OutputFormat,
) -> anyhow::Result<()> {
    match format {
        OutputFormat::Table => table(image, name, sent),
        OutputFormat::Json => json(image, name, sent),
    }
}

#[allow(clippy::print_stderr, reason = "warnings to the person who builds")]
fn table(image: &Image, name: &ImageName, sent: &Sent) -> anyhow::Result<()> {
    for warning in &image.warnings {
        eprintln!("warning: {warning}");
    }
    let mut table = output::table(&["layer", "unpacked", "compressed", "digest", "content"]);
    for layer in &image.layers {
        table.add_row([
            layer.kind.name().to_owned(),
            HumanBytes(layer.unpacked_bytes).to_string(),
            HumanBytes(layer.bytes).to_string(),
            short(&layer.digest).to_owned(),
            layer.comment.clone(),
        ]);
    }
    let (bytes, unpacked) = image.bytes();
    table.add_row([
        "image".to_owned(),
        HumanBytes(unpacked).to_string(),
        HumanBytes(bytes).to_string(),
        short(image.digest()).to_owned(),
        format!("{name}, {}", image.platform),
    ]);
    output::line(&table.to_string())?;
    output::line(&format!("{name} {}", sent.text))?;
    match &sent.next {
        Some(next) => output::line(&format!("try it: {next}")),
        None => Ok(()),
    }
}

/// The first digits of a digest.
fn short(digest: &str) -> &str {
    let digits = digest.trim_start_matches("sha256:");
    digits.get(..12).unwrap_or(digits)
}

fn json(image: &Image, name: &ImageName, sent: &Sent) -> anyhow::Result<()> {
    let layers = image.layers.iter().map(|layer| {
        json!({
            "layer": layer.kind.name(),
            "content": layer.comment,
            "media_type": layer.media_type,
            "digest": layer.digest,
            "diff_id": layer.diff_id,
            "bytes": layer.bytes,
            "unpacked_bytes": layer.unpacked_bytes,
        })
    });
    let (bytes, unpacked_bytes) = image.bytes();
    output::json(&json!({
        "name": name.to_string(),
        "digest": image.digest(),
        "id": image.id(),
        "platform": image.platform.to_string(),
        "bytes": bytes,
        "unpacked_bytes": unpacked_bytes,
        "layers": layers.collect::<Vec<_>>(),
        "warnings": image.warnings,
        "output": sent.text,
    }))
}
