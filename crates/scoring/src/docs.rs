//! `/docs`: one page that shows the model and sends a request; made once, at start.
//!
//! The page loads nothing: style and script are inside, and the content security policy names
//! their hashes, so that nothing else can run even if a model's name or example tried.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use mlrs_mlmodel::signature::{ColumnRow, ParameterRow, Signature};
use mlrs_payload::{TensorInfo, ValueInfo};
use sha2::{Digest, Sha256};

use crate::state::ModelInfo;
use crate::{example, model_schema};

const TEMPLATE: &str = include_str!("docs/page.html");
const STYLE: &str = include_str!("docs/page.css");
const SCRIPT: &str = include_str!("docs/page.js");

/// A page, and the content security policy that it needs.
#[derive(Clone, Debug)]
pub struct Page {
    /// The page.
    pub html: Bytes,
    /// The value of `Content-Security-Policy`.
    pub policy: HeaderValue,
}

/// The page for a model.
pub fn page(info: &ModelInfo, inputs: &[TensorInfo], outputs: &[ValueInfo]) -> Page {
    let schema = model_schema::inputs(info, inputs);
    let sample = example::request(info.serving_example.as_deref(), &schema);
    let params = info.signature.as_ref().map(Signature::describe_params);
    let slots = [
        ("title", escape(&info.name)),
        ("facts", facts(info)),
        ("inputs", columns(&schema.describe())),
        (
            "outputs",
            columns(&model_schema::output_rows(info, outputs)),
        ),
        (
            "params",
            params.as_deref().map(parameters).unwrap_or_default(),
        ),
        ("example", escape(&example::pretty(&sample))),
        ("mlrs_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("style", STYLE.to_owned()),
        ("script", SCRIPT.to_owned()),
    ];
    Page {
        html: fill(TEMPLATE, &slots).into(),
        policy: policy(),
    }
}

/// Replaces each `{{slot}}` of the template in one pass, so that what goes into one slot is never
/// taken for another.
fn fill(template: &str, slots: &[(&str, String)]) -> String {
    let mut page = String::with_capacity(template.len() + 16_384);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let Some((name, behind)) = after.split_once("}}") else {
            break;
        };
        if let Some((_, text)) = slots.iter().find(|(slot, _)| *slot == name) {
            page.push_str(text);
        }
        rest = behind;
    }
    page.push_str(rest);
    page
}

fn policy() -> HeaderValue {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let text = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    // Base64 and this text are valid in a header; the fallback would only hide the page.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn facts(info: &ModelInfo) -> String {
    let facts = [
        ("Version", info.version.as_deref()),
        ("Flavor", Some(info.flavor.as_str())),
        ("Backend", Some(info.backend.as_str())),
        ("Run", info.run_id.as_deref()),
        ("Model", info.model_id.as_deref()),
    ];
    facts
        .iter()
        .filter_map(|(name, value)| Some((name, (*value)?)))
        .filter(|(_, value)| !value.is_empty())
        .fold(String::new(), |html, (name, value)| {
            html + "<div><dt>" + name + "</dt><dd>" + &escape(value) + "</dd></div>"
        })
}

fn columns(rows: &[ColumnRow]) -> String {
    if rows.is_empty() {
        return "<p class=\"none\">Not declared.</p>".to_owned();
    }
    let cells: String = rows
        .iter()
        .enumerate()
        .map(|(index, row)| column(index, row))
        .collect();
    format!(
        "<table><thead><tr><th>Name</th><th>Type</th></tr></thead><tbody>{cells}</tbody></table>"
    )
}

fn column(index: usize, row: &ColumnRow) -> String {
    let name = match &row.name {
        Some(name) => escape(name),
        None => format!("<i>{index}</i>"),
    };
    let optional = if row.required {
        ""
    } else {
        " <small>optional</small>"
    };
    format!(
        "<tr><td>{name}</td><td><code>{}</code>{optional}</td></tr>",
        escape(&row.type_text)
    )
}

fn parameters(rows: &[ParameterRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let row = |row: &ParameterRow| {
        format!(
            "<tr><td>{}</td><td><code>{}</code> <small>default <code>{}</code></small></td></tr>",
            escape(&row.name),
            escape(&row.type_text),
            escape(&row.default)
        )
    };
    let cells: String = rows.iter().map(row).collect();
    format!(
        "<h3>Parameters</h3><table><thead><tr><th>Name</th><th>Type</th></tr></thead>\
         <tbody>{cells}</tbody></table>"
    )
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_examples_are_text_and_never_markup() {
        let info = ModelInfo {
            name: "<script>alert(1)</script>{{script}}".to_owned(),
            version: Some("\"><b>".to_owned()),
            serving_example: Some(br#"{"inputs": "</textarea><script>"}"#.to_vec()),
            ..ModelInfo::default()
        };
        let page = page(&info, &[], &[]);
        let html = std::str::from_utf8(&page.html).unwrap();
        assert_eq!(html.matches("<script>").count(), 1, "only the page's own");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;{{script}}"));
        assert!(html.contains("&quot;&gt;&lt;b&gt;"));
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let page = page(&ModelInfo::default(), &[], &[]);
        let html = std::str::from_utf8(&page.html).unwrap();
        for loader in [
            " src=",
            "@import",
            ": url(",
            "<link",
            "//cdn",
            " style=",
            " onclick=",
        ] {
            assert!(!html.contains(loader), "{loader}");
        }
        let policy = page.policy.to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(
            html.contains(&format!("<style>{STYLE}</style>")),
            "the hash is of exactly this"
        );
        assert!(
            html.contains(&format!("<script>{SCRIPT}</script>")),
            "the hash is of exactly this"
        );
    }
}
