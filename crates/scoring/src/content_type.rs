//! Which format a request body has, by its `Content-Type`.
//!
//! As `mlflow/pyfunc/scoring_server` decides (charset first, then other parameters, then the
//! type), with three corrections: an absent header is 415 instead of a crash, names are compared
//! without case as RFC 9110 asks, and a charset may be quoted. Beside MLflow's types there are JSON
//! lines, `.npy`, and CSV without a header (RFC 4180: `text/csv; header=absent`).

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use mlrs_http::{ApiError, ErrorCode};
use mlrs_payload::Format;

/// Media types of JSON lines: that of `SageMaker`, and those that others use.
pub const JSON_LINES: [&str; 5] = [
    "application/jsonlines",
    "application/jsonl",
    "application/x-jsonlines",
    "application/x-ndjson",
    "application/ndjson",
];

/// The media type of numpy's files.
pub const NPY: &str = "application/x-npy";

/// The format of the body; `csv_header` says whether CSV has one where its type does not.
///
/// # Errors
/// 415 for any type or parameter that is not served.
pub fn format_of(headers: &HeaderMap, csv_header: bool) -> Result<Format, ApiError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(unsupported("the request has no Content-Type".to_owned()));
    };
    // What nearly every client sends.
    if value == "application/json" {
        return Ok(Format::Json);
    }
    let text = value
        .to_str()
        .map_err(|_| unsupported("the Content-Type is not ASCII".into()))?;
    parse(text, csv_header)
}

fn parse(text: &str, csv_header: bool) -> Result<Format, ApiError> {
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let csv = media_type.eq_ignore_ascii_case("text/csv");
    let mut charset = "utf-8";
    let mut header = None;
    let mut unknown = Vec::new();
    for part in parts.filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if name.trim().eq_ignore_ascii_case("charset") {
            charset = value.trim().trim_matches('"');
        } else if csv && name.trim().eq_ignore_ascii_case("header") {
            header = Some(value.trim().trim_matches('"'));
        } else {
            unknown.push(name.trim());
        }
    }
    if !charset.eq_ignore_ascii_case("utf-8") {
        return Err(unsupported(
            "The scoring server only supports UTF-8".to_owned(),
        ));
    }
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        return Err(unsupported(format!(
            "Unrecognized content type parameters: {names}.{}",
            of_1x(text)
        )));
    }
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(Format::Json)
    } else if csv {
        csv_format(header, csv_header)
    } else if is_json_lines(media_type) {
        Ok(Format::Lines)
    } else if media_type.eq_ignore_ascii_case(NPY) {
        Ok(Format::Npy)
    } else {
        Err(unsupported(format!(
            "This predictor only supports the following content types: Types: \
             ['text/csv', 'application/json']. Got '{text}'."
        )))
    }
}

fn csv_format(header: Option<&str>, csv_header: bool) -> Result<Format, ApiError> {
    let present = match header {
        None => csv_header,
        Some(value) if value.eq_ignore_ascii_case("present") => true,
        Some(value) if value.eq_ignore_ascii_case("absent") => false,
        Some(_) => {
            let message = "the parameter `header` of text/csv is `present` or `absent`";
            return Err(unsupported(message.to_owned()));
        }
    };
    Ok(if present {
        Format::Csv
    } else {
        Format::CsvRows
    })
}

/// Whether a media type is one of JSON lines.
pub fn is_json_lines(media_type: &str) -> bool {
    JSON_LINES
        .iter()
        .any(|known| media_type.eq_ignore_ascii_case(known))
}

/// How to send today what a content type of MLflow 1.x announces.
fn of_1x(text: &str) -> &'static str {
    if text.contains("pandas-split") {
        " That was MLflow 1.x: send {\"dataframe_split\": {\"columns\": [...], \"data\": [...]}} as application/json."
    } else if text.contains("pandas-records") {
        " That was MLflow 1.x: send {\"dataframe_records\": [...]} as application/json."
    } else {
        ""
    }
}

fn unsupported(message: String) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, message).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(value: &str) -> Result<Format, ApiError> {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        format_of(&HeaderMap::from_iter([(CONTENT_TYPE, value)]), true)
    }

    #[test]
    fn json_and_csv_with_or_without_utf_8() {
        for json in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "application/json; Charset=\"utf-8\"",
            "application/json;",
        ] {
            assert_eq!(of(json).unwrap(), Format::Json, "{json}");
        }
        for csv in ["text/csv", "TEXT/csv; charset=utf-8"] {
            assert_eq!(of(csv).unwrap(), Format::Csv, "{csv}");
        }
    }

    #[test]
    fn anything_else_is_415() {
        for other in [
            "",
            "application/xml",
            "application/vnd.apache.parquet",
            "application/json; charset=latin-1",
            "text/csv; format=pandas-split",
            "application/json; caf\u{e9}=1",
        ] {
            assert_eq!(of(other).unwrap_err().status(), 415, "{other}");
        }
        let none = format_of(&HeaderMap::new(), true);
        assert_eq!(none.unwrap_err().status(), 415);
    }

    #[test]
    fn lines_and_files_and_rows_without_a_header() {
        for lines in JSON_LINES {
            assert_eq!(of(lines).unwrap(), Format::Lines, "{lines}");
        }
        assert_eq!(of("application/x-npy").unwrap(), Format::Npy);
        assert_eq!(of("text/csv; header=absent").unwrap(), Format::CsvRows);
        assert_eq!(of("text/csv; Header=\"present\"").unwrap(), Format::Csv);
        assert_eq!(parse("text/csv", false).unwrap(), Format::CsvRows);
        assert_eq!(
            parse("text/csv; header=present", false).unwrap(),
            Format::Csv
        );
        for bad in ["text/csv; header=x", "application/json; header=absent"] {
            assert_eq!(of(bad).unwrap_err().status(), 415, "{bad}");
        }
    }

    #[test]
    fn messages_begin_as_those_of_mlflow() {
        let message = |value: &str| of(value).unwrap_err().message().to_owned();
        assert_eq!(
            message("text/csv; charset=x; a=b"),
            "The scoring server only supports UTF-8"
        );
        assert_eq!(
            message("text/csv; a=b; c"),
            "Unrecognized content type parameters: a, c."
        );
        for format in ["split", "records"] {
            let old = message(&format!("application/json; format=pandas-{format}"));
            assert!(
                old.contains(&format!("{{\"dataframe_{format}\": ")),
                "{old}"
            );
        }
        assert!(message("text/html").starts_with("This predictor only supports the following"));
    }
}
