//! Printing: tables for people, JSON for programs.

use std::io::Write as _;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A table for people.
    Table,
    /// JSON for programs.
    Json,
}

/// Writes a line to standard output. A reader that went away is no error.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a text to standard output as it is.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes JSON for programs, which people can read as well.
pub(crate) fn json(value: &Value) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// A table as MLflow's commands print it (`mlflow.utils.string_utils._create_table`), for scripts that
/// cut it into columns.
pub(crate) fn columns<const N: usize>(
    headings: [&str; N],
    rows: &[[String; N]],
) -> anyhow::Result<()> {
    let length = |text: &str| text.chars().count();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let widest = rows.iter().map(|row| length(&row[column])).max();
        widest.unwrap_or(0).max(length(headings[column]) + 2)
    });
    let row = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths);
        let padded = padded.map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ")
    };
    let rule = widths.map(|width| "-".repeat(width));
    line(&row(headings))?;
    line(&rule.join("  "))?;
    rows.iter()
        .try_for_each(|cells| line(&row(std::array::from_fn(|column| cells[column].as_str()))))
}

/// Names and what they have, one a line, as MLflow's commands print them.
pub(crate) fn fields(fields: &[(&str, String)]) -> anyhow::Result<()> {
    let widest = fields.iter().map(|(name, _)| name.chars().count()).max();
    let width = widest.unwrap_or(0) + 2;
    fields
        .iter()
        .try_for_each(|(name, value)| line(&format!("{name:<width$}: {value}")))
}

/// Foreign text as it can be shown: nothing in it controls the terminal.
pub(crate) fn shown(text: &str) -> String {
    let clean = |character: char| {
        if character.is_control() {
            '\u{fffd}'
        } else {
            character
        }
    };
    text.chars().map(clean).collect()
}

/// A table with these headings.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(headings.to_vec());
    table
}
