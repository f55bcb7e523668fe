//! Transfers between a client and the store of the artifacts: parts, names, lifetimes.

use std::time::Duration;

use mlrs_api::artifacts::{MultipartUploadPart, PresignedUrlRequest};

use crate::error::StoreError;
use crate::rules::limits;
use crate::rules::locations::scheme_of;
use crate::rules::values::{missing, required};

/// What a request asks an address for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A run, by its id.
    Run(String),
    /// A logged model, by its id.
    LoggedModel(String),
}

/// The name that a file of the client's machine has as an artifact: the last segment of its path,
/// which may be one of Windows.
///
/// # Errors
/// When the path is absent or ends with a slash.
pub fn file_name(path: &Option<String>) -> Result<&str, StoreError> {
    let path = required(path, "path")?;
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    if name.is_empty() {
        return Err(StoreError::invalid("Invalid path: it names no file."));
    }
    Ok(name)
}

/// How many parts an upload is to have.
///
/// # Errors
/// When there are none or too many.
pub fn part_count(number: Option<i64>) -> Result<u32, StoreError> {
    let number = number.unwrap_or_default();
    let most = limits::UPLOAD_PARTS;
    match u32::try_from(number) {
        Ok(count) if (1..=most).contains(&number) => Ok(count),
        _ => Err(StoreError::invalid(format!(
            "num_parts must be between 1 and {most} (got {number})."
        ))),
    }
}

/// What a store calls an upload; empty when the request does not say.
///
/// # Errors
/// When it is nothing that a store says.
pub fn upload_id(id: &Option<String>) -> Result<&str, StoreError> {
    plain(id.as_deref().unwrap_or_default(), "upload_id")
}

/// The parts of an upload in their order, each with its mark and its address.
///
/// # Errors
/// When there are none, one is absent or there twice, or a mark is none.
pub fn finished_parts(parts: &[MultipartUploadPart]) -> Result<Vec<(&str, &str)>, StoreError> {
    if parts.is_empty() {
        return Err(missing("parts"));
    }
    let mut ordered: Vec<_> = parts.iter().collect();
    ordered.sort_by_key(|part| part.part_number);
    let numbers = ordered.iter().map(|part| part.part_number);
    let all = (1..=limits::UPLOAD_PARTS).take(parts.len()).map(Some);
    if !numbers.eq(all) {
        return Err(StoreError::invalid(format!(
            "Parts must be numbered from 1 on, each number once and none above {}.",
            limits::UPLOAD_PARTS
        )));
    }
    ordered.into_iter().map(finished_part).collect()
}

fn finished_part(part: &MultipartUploadPart) -> Result<(&str, &str), StoreError> {
    let mark = part.etag.as_deref().unwrap_or_default();
    Ok((
        plain(mark, "etag")?,
        part.url.as_deref().unwrap_or_default(),
    ))
}

/// A text that goes into an address or into XML.
fn plain<'a>(text: &'a str, field: &str) -> Result<&'a str, StoreError> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'&');
    if text.len() > limits::UPLOAD_ID || !text.bytes().all(is_plain) {
        return Err(StoreError::invalid(format!(
            "Invalid value for parameter '{field}': no store gives out such a text."
        )));
    }
    Ok(text)
}

/// Whose file a request for an address of an upload means.
///
/// # Errors
/// When it names neither a run nor a logged model, or both.
pub fn owner(request: &PresignedUrlRequest) -> Result<Owner, StoreError> {
    let named = |id: &Option<String>| id.clone().filter(|id| !id.is_empty());
    match (named(&request.run_id), named(&request.model_id)) {
        (Some(run), None) => Ok(Owner::Run(run)),
        (None, Some(model)) => Ok(Owner::LoggedModel(model)),
        _ => Err(StoreError::invalid(
            "Exactly one of run_id and model_id must be provided.",
        )),
    }
}

/// How long an address is to be good for, with the seconds of a request that does not say.
///
/// # Errors
/// When the clouds would not take it.
pub fn lifetime(seconds: Option<i64>, default: i64) -> Result<Duration, StoreError> {
    let seconds = seconds.unwrap_or(default);
    let most = limits::ADDRESS_SECONDS;
    match u64::try_from(seconds) {
        Ok(valid) if (1..=most).contains(&seconds) => Ok(Duration::from_secs(valid)),
        _ => Err(StoreError::invalid(format!(
            "expiration must be between 1 and {most} seconds (got {seconds})."
        ))),
    }
}

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// Writing a file.
    Upload,
    /// Reading a file.
    Download,
}

/// Checks that artifacts are in a store that a client can be sent to.
///
/// # Errors
/// When they go through a tracking server.
pub fn check_direct(uri: &str, transfer: Transfer) -> Result<(), StoreError> {
    let scheme = scheme_of(uri).unwrap_or_default();
    if !matches!(scheme.as_str(), "http" | "https" | "mlflow-artifacts") {
        return Ok(());
    }
    let (what, wanted) = match transfer {
        Transfer::Upload => ("upload is not supported for", "a"),
        Transfer::Download => ("download is not supported for runs with", "a run with a"),
    };
    Err(StoreError::invalid(format!(
        "Presigned {what} proxied artifact storage (artifact URI scheme: {scheme}). This endpoint \
         requires {wanted} direct cloud storage artifact URI."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: i64, etag: &str) -> MultipartUploadPart {
        MultipartUploadPart {
            part_number: Some(number),
            etag: Some(etag.to_owned()),
            url: None,
        }
    }

    #[test]
    fn the_name_of_a_file_is_the_end_of_its_path() {
        for (path, name) in [
            ("a.bin", "a.bin"),
            ("/home/anna/a b.bin", "a b.bin"),
            ("C:\\Users\\anna\\a.bin", "a.bin"),
        ] {
            assert_eq!(file_name(&Some(path.to_owned())).unwrap(), name);
        }
        for path in [None, Some(String::new()), Some("folder/".to_owned())] {
            assert!(file_name(&path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn parts_are_counted_within_bounds() {
        assert_eq!(part_count(Some(1)).unwrap(), 1);
        assert_eq!(part_count(Some(10_000)).unwrap(), 10_000);
        for number in [None, Some(0), Some(-1), Some(10_001), Some(i64::MAX)] {
            assert!(part_count(number).is_err(), "{number:?}");
        }
    }

    #[test]
    fn parts_are_put_into_their_order_and_none_may_lack() {
        let sent = [part(2, "\"b\""), part(1, "\"a\"")];
        assert_eq!(
            finished_parts(&sent).unwrap(),
            [("\"a\"", ""), ("\"b\"", "")]
        );
        let unnumbered = MultipartUploadPart::default();
        for refused in [
            vec![],
            vec![part(2, "b")],
            vec![part(1, "a"), part(3, "c")],
            vec![part(1, "a"), part(1, "a")],
            vec![part(0, "a"), part(1, "a")],
            vec![unnumbered],
            vec![part(1, "</ETag>")],
            vec![part(1, "a b")],
            vec![part(1, &"x".repeat(3000))],
            (1..=10_001).map(|number| part(number, "a")).collect(),
        ] {
            assert!(finished_parts(&refused).is_err());
        }
        assert!(upload_id(&Some("a\nb".to_owned())).is_err());
        assert_eq!(upload_id(&None).unwrap(), "");
    }

    #[test]
    fn an_address_is_for_one_owner_and_a_while() {
        let request = |run: &str, model: &str| PresignedUrlRequest {
            run_id: Some(run.to_owned()),
            model_id: Some(model.to_owned()),
            ..PresignedUrlRequest::default()
        };
        assert_eq!(owner(&request("r", "")).unwrap(), Owner::Run("r".into()));
        let model = owner(&request("", "m")).unwrap();
        assert_eq!(model, Owner::LoggedModel("m".into()));
        assert!(owner(&request("", "")).is_err() && owner(&request("r", "m")).is_err());
        assert_eq!(lifetime(None, 300).unwrap(), Duration::from_mins(5));
        for seconds in [0, -1, 604_801, i64::MIN] {
            assert!(lifetime(Some(seconds), 300).is_err(), "{seconds}");
        }
    }

    #[test]
    fn clients_are_not_sent_to_a_tracking_server() {
        check_direct("s3://box/x", Transfer::Upload).unwrap();
        check_direct("/srv/x", Transfer::Download).unwrap();
        let refused = check_direct("mlflow-artifacts:/1/r", Transfer::Download).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Presigned download is not supported for runs with proxied artifact storage (artifact \
             URI scheme: mlflow-artifacts). This endpoint requires a run with a direct cloud storage \
             artifact URI."
        );
        let refused = check_direct("http://host/x", Transfer::Upload).unwrap_err();
        assert!(refused.to_string().contains("requires a direct cloud"));
    }
}
