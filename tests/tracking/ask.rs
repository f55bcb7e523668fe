//! How tests ask a server.

use mlrs_testing::{Answer, Client, MlrsServer};
use serde_json::Value;

/// The address of an endpoint.
pub fn api(server: &MlrsServer, path: &str) -> String {
    format!("{}/api/2.0/mlflow/{path}", server.address())
}

/// The address of the artifacts that go through the server.
pub fn artifacts(server: &MlrsServer) -> String {
    format!("{}/api/2.0/mlflow-artifacts/artifacts", server.address())
}

/// Sends JSON; the server may be gone.
pub fn post(client: &Client, url: &str, body: &Value) -> Result<Answer, mlrs_testing::Error> {
    client.post(url, Some("application/json"), body.to_string().as_bytes())
}

/// An answer as JSON.
pub fn parsed(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}
