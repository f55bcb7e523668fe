//! Page tokens: MLflow's own, base64 of `{"offset": N}`, so that a token outlives a change of
//! servers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::error::StoreError;

/// The token of a page that begins at `offset`.
pub fn of(offset: u64) -> String {
    STANDARD.encode(format!("{{\"offset\": {offset}}}"))
}

/// Where the page of a token begins; without one, at the start.
///
/// # Errors
/// When it is no token of this server.
pub fn offset(token: Option<&str>) -> Result<u64, StoreError> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(0);
    };
    let refused = |reason: &str| StoreError::invalid(format!("Invalid page token, {reason}"));
    let decoded = STANDARD
        .decode(token)
        .map_err(|_| refused("could not base64-decode"))?;
    let parsed: Value =
        serde_json::from_slice(&decoded).map_err(|_| refused("decoded value is not JSON"))?;
    let offset = parsed
        .get("offset")
        .and_then(Value::as_u64)
        // What a database takes as an offset.
        .filter(|offset| i64::try_from(*offset).is_ok());
    offset.ok_or_else(|| refused("parsed result has no valid `offset`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_offset() {
        assert_eq!(of(100), "eyJvZmZzZXQiOiAxMDB9");
        assert_eq!(offset(Some(&of(100))).unwrap(), 100);
        assert_eq!(offset(Some("")).unwrap(), 0);
        assert_eq!(offset(None).unwrap(), 0);
    }

    #[test]
    fn other_tokens_are_refused() {
        let encode = |text: &str| STANDARD.encode(text);
        for token in [
            "%%%".to_owned(),
            encode("x"),
            encode("[]"),
            encode(r#"{"offset": -1}"#),
            encode(r#"{"offset": 18446744073709551615}"#),
            encode(r#"{"offset": "a"}"#),
        ] {
            let error = offset(Some(&token)).unwrap_err().to_string();
            assert!(error.starts_with("Invalid page token, "), "{error}");
        }
    }
}
