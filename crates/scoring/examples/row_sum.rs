//! Serves a model that adds up each row: for looking at `/docs` and for measuring the server
//! itself. `cargo run --release -p mlrs-scoring --example row_sum [PORT]`; beside `/invocations`
//! it has `/baseline`, a bare handler that reads the body and answers a constant.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for developers"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use axum::body::Bytes;
use axum::routing::post;
use mlrs_http::{ServerSettings, bind, serve, signals};
use mlrs_scoring::ScoringSettings;
use support::Server;

#[tokio::main]
async fn main() {
    let port = std::env::args()
        .nth(1)
        .map_or(0, |port| port.parse().unwrap());
    let server = Server::new(ScoringSettings::default());
    println!("{:?}", server.state.warm_up().await.unwrap());
    server.state.mark_ready();
    let baseline = post(|_body: Bytes| async { "{\"predictions\":[{\"sum\":3.5}]}" });
    let router = server.router().route("/baseline", baseline);
    let listener = bind("127.0.0.1", port).await.unwrap();
    println!("http://{}/docs", listener.local_addr().unwrap());
    let shutdown = signals::shutdown_signal().unwrap();
    let state = server.state.clone();
    let report = serve(listener, router, ServerSettings::default(), async move {
        shutdown.await;
        state.begin_drain();
    });
    println!("{:?}", report.await);
}
