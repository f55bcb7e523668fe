//! A small blocking client that sends exactly what it is told and takes every answer as an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Error;

/// An HTTP answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The `Content-Type` header, empty when there is none.
    pub content_type: String,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
}

/// An answer with all its headers, their names in lower case.
#[derive(Clone, Debug)]
pub struct Headed {
    /// The answer.
    pub answer: Answer,
    /// The last value of each header.
    pub headers: BTreeMap<String, String>,
}

/// Keeps connections open between requests. Ignores proxies: the tests only ask this machine.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client that waits a minute for each answer.
    pub fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_mins(1)))
            .build();
        Self {
            agent: config.into(),
        }
    }

    /// Asks for a resource.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, url: &str) -> Result<Answer, Error> {
        read(url, self.agent.get(url).call())
    }

    /// The bytes of a resource.
    ///
    /// # Errors
    /// When there is no answer, or another than 200.
    pub fn bytes(&self, url: &str) -> Result<Vec<u8>, Error> {
        let no_answer = |reason: String| Error::NoAnswer {
            url: url.to_owned(),
            reason,
        };
        let answer = self.agent.get(url).call();
        let mut answer = answer.map_err(|error| no_answer(error.to_string()))?;
        if answer.status() != 200 {
            return Err(no_answer(answer.status().to_string()));
        }
        let body = answer.body_mut().with_config().limit(u64::MAX);
        body.read_to_vec()
            .map_err(|error| no_answer(error.to_string()))
    }

    /// Posts a body; without a content type, no such header is sent.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn post(
        &self,
        url: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<Answer, Error> {
        let mut request = self.agent.post(url);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        read(url, request.send(body))
    }

    /// Sends a request without a body, with these headers.
    ///
    /// # Errors
    /// When the method or the URL is none, or there is no answer.
    pub fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Headed, Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).map_err(|error| Error::NoAnswer {
            url: url.to_owned(),
            reason: error.to_string(),
        })?;
        let response = self.agent.run(request);
        let text = |value: &ureq::http::HeaderValue| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        let headers = response.iter().flat_map(ureq::http::Response::headers);
        let headers = headers.map(|(name, value)| (name.to_string(), text(value)));
        let headers = headers.collect();
        Ok(Headed {
            headers,
            answer: read(url, response)?,
        })
    }

    /// Sends a request with any method and body; without a content type, no such header is sent.
    ///
    /// # Errors
    /// When the method or the URL is none, or there is no answer.
    pub fn send(
        &self,
        method: &str,
        url: &str,
        content_type: Option<&str>,
        body: Option<&[u8]>,
    ) -> Result<Answer, Error> {
        let no_request = |error: ureq::http::Error| Error::NoAnswer {
            url: url.to_owned(),
            reason: error.to_string(),
        };
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let Some(body) = body else {
            return read(url, self.agent.run(request.body(()).map_err(no_request)?));
        };
        // DELETE with a body is how MLflow's client deletes.
        let request = request.body(body).map_err(no_request)?;
        let request = self
            .agent
            .configure_request(request)
            .allow_non_standard_methods(true)
            .build();
        read(url, self.agent.run(request))
    }
}

/// Reads the whole answer.
fn read(
    url: &str,
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Answer, Error> {
    let no_answer = |error: ureq::Error| Error::NoAnswer {
        url: url.to_owned(),
        reason: error.to_string(),
    };
    let mut response = response.map_err(no_answer)?;
    let content_type = response
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let bytes = response.body_mut().read_to_vec().map_err(no_answer)?;
    Ok(Answer {
        status: response.status().as_u16(),
        content_type,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    })
}
