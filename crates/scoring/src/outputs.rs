//! Which outputs a request asks for: `?outputs=label,scores`, or `"outputs": ["label"]` in its body.

use axum::extract::Query;
use http::Uri;
use mlrs_http::{ApiError, ErrorCode};
use mlrs_payload::ValueInfo;

/// The places of the outputs that are asked for; `None` is all of them.
///
/// # Errors
/// 400 when the model has no such output, when one is asked for twice, and when none is.
pub fn chosen(
    uri: &Uri,
    body: Option<Vec<String>>,
    outputs: &[ValueInfo],
) -> Result<Option<Vec<usize>>, ApiError> {
    let names = match (in_query(uri)?, body) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(refused(
                "outputs are asked for in the address or in the body, not in both",
                outputs,
            ));
        }
        (Some(names), None) | (None, Some(names)) => names,
    };
    let mut places = Vec::with_capacity(names.len());
    for name in &names {
        let Some(place) = outputs.iter().position(|output| output.name == *name) else {
            return Err(refused(
                "the model has no output of a name that is asked for",
                outputs,
            ));
        };
        if places.contains(&place) {
            return Err(refused("an output is asked for twice", outputs));
        }
        places.push(place);
    }
    if places.is_empty() {
        return Err(refused("no output is asked for", outputs));
    }
    Ok(Some(places))
}

/// The names in the query; commas divide them, and the parameter may be repeated.
fn in_query(uri: &Uri) -> Result<Option<Vec<String>>, ApiError> {
    if uri.query().is_none() {
        return Ok(None);
    }
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the query of the address is invalid"))?;
    let mut asked = pairs.iter().filter(|(key, _)| key == "outputs").peekable();
    if asked.peek().is_none() {
        return Ok(None);
    }
    let names = asked.flat_map(|(_, names)| names.split(','));
    Ok(Some(
        names
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    ))
}

/// Names of the model's own outputs are told, never those of the request.
#[cold]
fn refused(what: &str, outputs: &[ValueInfo]) -> ApiError {
    let names: Vec<String> = outputs
        .iter()
        .map(|output| format!("`{}`", output.name))
        .collect();
    let message = format!(
        "Invalid input. {what}; the outputs are {}",
        names.join(", ")
    );
    ApiError::new(ErrorCode::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use mlrs_payload::ValueKind;

    use super::*;

    fn of(uri: &str, body: Option<&[&str]>) -> Result<Option<Vec<usize>>, String> {
        let output = |name: &str| ValueInfo {
            name: name.to_owned(),
            kind: ValueKind::Maps,
        };
        let outputs = [output("label"), output("scores"), output("a b")];
        let body = body.map(|names| names.iter().map(ToString::to_string).collect());
        chosen(&uri.parse().unwrap(), body, &outputs).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn outputs_are_chosen_by_name_and_order() {
        for (uri, places) in [
            ("/invocations", None),
            ("/invocations?x=1", None),
            ("/invocations?outputs=scores", Some(vec![1])),
            ("/invocations?outputs=scores,label", Some(vec![1, 0])),
            ("/invocations?outputs=a%20b&outputs=label", Some(vec![2, 0])),
        ] {
            assert_eq!(of(uri, None).unwrap(), places, "{uri}");
        }
        assert_eq!(
            of("/invocations", Some(&["scores"])).unwrap(),
            Some(vec![1])
        );
    }

    #[test]
    fn what_cannot_be_given_is_refused() {
        for (uri, body) in [
            ("/invocations?outputs=", None),
            ("/invocations?outputs=secret", None),
            ("/invocations?outputs=label,label", None),
            ("/invocations?outputs=label", Some(["label"].as_slice())),
            ("/invocations", Some(&[])),
            ("/invocations?outputs=%ff", None),
        ] {
            let message = of(uri, body).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
