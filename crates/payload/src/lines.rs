//! JSON lines: a record or a list for each row, each on a line of its own.
//!
//! They become the body that says the same in one piece: records under a signature of columns are
//! `dataframe_records`, lists are `dataframe_split` in the order of the signature, and everything
//! else is `instances`. In JSON text a line feed stands between values only.

use crate::error::DecodeError;
use crate::json::body;
use crate::plan::{Decoded, InputPlan};

/// Decodes a body of lines.
pub(crate) fn decode(plan: &InputPlan, lines: &[u8]) -> Result<Decoded, DecodeError> {
    let rows: Vec<&[u8]> = lines
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(lines)
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .collect();
    let Some(first) = rows.first() else {
        return Err(DecodeError::malformed("the body has no lines"));
    };
    for (row, line) in rows.iter().enumerate() {
        if line.first() != first.first() {
            return Err(DecodeError::malformed(format!(
                "line {row} differs in its kind from the first: all are objects, or all are lists"
            )));
        }
    }
    let records = first.first() == Some(&b'{');
    let (before, after) = match (plan.columns, records) {
        (true, true) => (b"{\"dataframe_records\": [".to_vec(), b"]}".as_slice()),
        (true, false) => (split(plan), b"]}}".as_slice()),
        (false, _) => (b"{\"instances\": [".to_vec(), b"]}".as_slice()),
    };
    let mut text = before;
    text.reserve(lines.len() + after.len() + 2);
    for (row, line) in rows.iter().enumerate() {
        if row > 0 {
            text.push(b',');
        }
        text.extend_from_slice(line);
    }
    text.extend_from_slice(after);
    body::decode(plan, &text)
}

/// The beginning of `dataframe_split` with the columns of the signature.
fn split(plan: &InputPlan) -> Vec<u8> {
    let names: Vec<&str> = plan
        .frame
        .columns
        .iter()
        .map(|column| &*column.name)
        .collect();
    let mut text = b"{\"dataframe_split\": {".to_vec();
    if !plan.frame.positional {
        text.extend_from_slice(b"\"columns\": ");
        text.extend_from_slice(serde_json::json!(names).to_string().as_bytes());
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(b"\"data\": [");
    text
}
