//! The form of the response that `Accept` asks for (RFC 9110, 12.5.1).
//!
//! MLflow's server does not look at it, so what cannot be given is no error: then it is JSON.

use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use mlrs_http::answer;
use mlrs_payload::{AnswerShape, Form};

use crate::content_type::{NPY, is_json_lines};

/// The form of the response to a request whose payload asks for `shape`, and its content type.
/// `csv_header` says whether CSV has a header where `Accept` does not.
pub fn form_of(headers: &HeaderMap, shape: AnswerShape, csv_header: bool) -> (Form, HeaderValue) {
    let mut best = (0.0, Form::Json(shape), answer::JSON);
    for value in headers.get_all(ACCEPT) {
        for range in value.to_str().unwrap_or_default().split(',') {
            let Some((form, content_type)) = form(range, shape, csv_header) else {
                continue;
            };
            let weight = weight(range);
            if weight > best.0 {
                best = (weight, form, content_type);
            }
        }
    }
    (best.1, best.2)
}

/// What a media range asks for, if it can be given.
fn form(range: &str, shape: AnswerShape, csv_header: bool) -> Option<(Form, HeaderValue)> {
    let (media_type, parameters) = range.split_once(';').unwrap_or((range, ""));
    let media_type = media_type.trim();
    let is = |name: &str| media_type.eq_ignore_ascii_case(name);
    if is("text/csv") {
        let header = match parameter(parameters, "header") {
            Some(value) => !value.eq_ignore_ascii_case("absent"),
            None => csv_header,
        };
        let csv = HeaderValue::from_static("text/csv; charset=utf-8");
        return Some((Form::Csv { header }, csv));
    }
    if is_json_lines(media_type) {
        let name = HeaderValue::from_str(&media_type.to_ascii_lowercase()).ok()?;
        return Some((Form::Lines, name));
    }
    if is(NPY) {
        return Some((Form::Npy, HeaderValue::from_static(NPY)));
    }
    let json = is("application/json") || is("application/*") || is("*/*");
    json.then_some((Form::Json(shape), answer::JSON))
}

fn parameter<'p>(parameters: &'p str, name: &str) -> Option<&'p str> {
    let mut pairs = parameters
        .split(';')
        .filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"'))
}

/// The weight of a media range: 1 unless it says otherwise.
fn weight(range: &str) -> f32 {
    let (_, parameters) = range.split_once(';').unwrap_or((range, ""));
    parameter(parameters, "q").map_or(1.0, |weight| weight.parse().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &str) -> (Form, String) {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]);
        let (form, content_type) = form_of(&headers, AnswerShape::Records, true);
        (form, content_type.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_is_asked_for_is_given() {
        let csv = |header| (Form::Csv { header }, "text/csv; charset=utf-8".to_owned());
        assert_eq!(of("text/csv"), csv(true));
        assert_eq!(of("text/csv; header=absent"), csv(false));
        assert_eq!(of("application/json;q=0.5, Text/CSV"), csv(true));
        assert_eq!(
            of("application/x-ndjson"),
            (Form::Lines, "application/x-ndjson".to_owned())
        );
        assert_eq!(of(NPY), (Form::Npy, NPY.to_owned()));
    }

    #[test]
    fn everything_else_is_json() {
        let json = (
            Form::Json(AnswerShape::Records),
            "application/json".to_owned(),
        );
        for accept in [
            "*/*",
            "",
            "text/html, */*;q=0.8",
            "text/html",
            "text/csv;q=0",
            "text/csv;q=x",
            "text/csv;q=0.1, application/json",
            "application/json, text/csv",
        ] {
            assert_eq!(of(accept), json, "{accept}");
        }
        let (form, _) = form_of(&HeaderMap::new(), AnswerShape::Tensors, true);
        assert_eq!(form, Form::Json(AnswerShape::Tensors));
    }
}
