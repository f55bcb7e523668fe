//! The outermost object of a request: which of MLflow's payload shapes it holds.
//!
//! The data is decoded where it is met, so that the body is walked once.

use super::scanner::{Cell, Scanner, unescape};
use super::{columnar, records, split};
use crate::error::DecodeError;
use crate::nested;
use crate::params;
use crate::plan::{Decoded, InputPlan};

/// The keys that hold data; exactly one of them must be there.
const FORMATS: [&str; 4] = [
    "dataframe_split",
    "dataframe_records",
    "instances",
    "inputs",
];

/// Keys that make the whole object the input of a language model.
const LANGUAGE_MODEL_KEYS: [&str; 3] = ["messages", "prompt", "input"];

const EXACTLY_ONE: &str = "The input must be a JSON dictionary with exactly one of the input fields \
     {'dataframe_split', 'dataframe_records', 'instances', 'inputs'}.";

/// The keys of a data frame as MLflow 1.x took it, without any around them.
const OLD_KEYS: [&str; 2] = ["columns", "data"];

// What MLflow 1.x took, and how it is sent since 2.0.
const OLD_SPLIT: &str = "Received none of them. `columns` and `data` alone were the format of MLflow 1.x: \
     send {\"dataframe_split\": {\"columns\": [...], \"data\": [...]}}.";
const OLD_RECORDS: &str = "Received a list. Bare records were a format of MLflow 1.x: \
     send {\"dataframe_records\": [...]}.";
const OLD_LIST: &str = "Received a list. Send {\"inputs\": [...]}.";

/// Decodes a JSON body.
pub(crate) fn decode(plan: &InputPlan, body: &[u8]) -> Result<Decoded, DecodeError> {
    let text = super::encoding::utf8(body)?;
    decode_utf8(plan, &text).map_err(|error| super::encoding::blame(&text, error))
}

fn decode_utf8(plan: &InputPlan, text: &[u8]) -> Result<Decoded, DecodeError> {
    let mut scanner = Scanner::new(text);
    match scanner.peek() {
        Some(b'{') => {}
        first => return Err(not_an_object(scanner, first)),
    }
    scanner.take(b'{');
    let mut found: Option<(&'static str, Result<Decoded, DecodeError>)> = None;
    let mut parameters = None;
    let mut outputs = None;
    let mut old = [false; OLD_KEYS.len()];
    let mut first = true;
    while let Some(raw) = scanner.member(first)? {
        first = false;
        let key = unescape(raw)
            .ok_or_else(|| DecodeError::malformed("a key has an escape that JSON does not know"))?;
        if let Some(format) = FORMATS.iter().find(|format| **format == key) {
            if found.as_ref().is_some_and(|(other, _)| other != format) {
                return Err(which_format("Received more than one of them."));
            }
            let mut value = scanner.clone();
            let decoded = data(plan, format, &mut value);
            // A refusal waits for the rest of the body, which may say that this is not the data.
            match decoded {
                Ok(_) => scanner = value,
                Err(_) => scanner.skip()?,
            }
            found = Some((format, decoded));
        } else if key == "outputs" {
            outputs = Some(names(&mut scanner)?);
        } else if key == "params" {
            parameters = Some(scanner.clone());
            scanner.skip()?;
        } else if LANGUAGE_MODEL_KEYS.contains(&&*key) {
            return Err(DecodeError::schema(format!(
                "the key '{key}' makes the body the input of a language model, which this model is not"
            )));
        } else {
            for (known, seen) in OLD_KEYS.iter().zip(&mut old) {
                *seen |= *known == key;
            }
            scanner.skip()?;
        }
    }
    scanner.end()?;
    let (_, decoded) = found.ok_or_else(|| {
        which_format(if old == [true, true] {
            OLD_SPLIT
        } else {
            "Received none of them."
        })
    })?;
    let mut decoded = decoded?;
    decoded.outputs = outputs;
    params::check(plan.params.as_deref(), parameters)?;
    Ok(decoded)
}

/// The names of the outputs that a body asks for.
fn names(scanner: &mut Scanner<'_>) -> Result<Vec<String>, DecodeError> {
    let refused = || DecodeError::malformed("`outputs` must be a list of the names of outputs");
    if !scanner.take(b'[') {
        return Err(refused());
    }
    let mut names = Vec::new();
    while scanner.item(names.is_empty())? {
        match scanner.cell()? {
            Cell::Text(name) => names.push(name.into_owned()),
            _ => return Err(refused()),
        }
    }
    Ok(names)
}

/// Decodes the value of one of [`FORMATS`].
fn data(
    plan: &InputPlan,
    format: &'static str,
    scanner: &mut Scanner<'_>,
) -> Result<Decoded, DecodeError> {
    match format {
        "dataframe_split" => split::decode(&plan.frame, scanner),
        "dataframe_records" => records::decode(&plan.frame, format, scanner),
        _ if plan.columns => columnar::decode(&plan.columnar, format, scanner),
        "instances" => nested::decode_instances(&plan.tensors, scanner),
        _ => nested::decode_inputs(&plan.tensors, format, scanner),
    }
}

#[cold]
fn which_format(found: &str) -> DecodeError {
    DecodeError {
        kind: crate::DecodeErrorKind::Malformed,
        message: format!("{EXACTLY_ONE} {found}"),
    }
}

#[cold]
fn not_an_object(mut scanner: Scanner<'_>, first: Option<u8>) -> DecodeError {
    let mut inside = scanner.clone();
    if let Err(error) = scanner.skip().and_then(|()| scanner.end()) {
        return error.into();
    }
    let found = match first {
        Some(b'[') if inside.take(b'[') && inside.peek() == Some(b'{') => OLD_RECORDS,
        Some(b'[') => OLD_LIST,
        _ => "Received a value that is no object.",
    };
    DecodeError::malformed(format!("{EXACTLY_ONE} {found}"))
}
