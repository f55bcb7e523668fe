//! What a handler costs that runs no model: the limit that servers are measured against.
//!
//! `/limit` reads the body and answers a constant; `/value` also parses it into a
//! `serde_json::Value`. Two tokio workers, as mlrs has on two cores.

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};

/// What both answer: a label, as the logistic model does.
const ANSWER: &str = r#"{"predictions":[{"label":1}]}"#;

/// Serves both handlers on a free port, and prints the address.
pub fn run() -> anyhow::Result<()> {
    let workers = std::thread::available_parallelism()?.get();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let router = Router::new()
            .route("/ping", get(|| async { "" }))
            .route("/limit", post(|_body: Bytes| async { ANSWER }))
            .route("/value", post(value))
            .layer(axum::extract::DefaultBodyLimit::disable());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            // Without it an answer waits for the acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        Ok(())
    })
}

async fn value(body: Bytes) -> String {
    match serde_json::from_slice::<serde_json::Value>(&body) {
        Ok(value) if value.is_object() => ANSWER.to_owned(),
        _ => "no JSON object".to_owned(),
    }
}
