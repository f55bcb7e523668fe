//! What a registry says: its challenge, a manifest or an index, a configuration, divided by lines `---`.
//! Whatever it says, a base image is pulled or refused, and what is pulled is what its digests say.
#![no_main]

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use mlrs_image::registry::RegistrySettings;
use mlrs_image::{ImageName, pull_base, silent};
use tokio::runtime::Runtime;

/// What the registry says now.
#[derive(Clone, Default)]
struct Said {
    challenge: String,
    manifest: String,
    config: String,
}

type Shared = Arc<Mutex<Said>>;

struct Fixture {
    runtime: Runtime,
    said: Shared,
    registry: String,
}

async fn respond(State(said): State<Shared>, request: Request) -> Response {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let path = request.uri().path();
    if path.contains("/manifests/") {
        return said.manifest.into_response();
    }
    if path.contains("/blobs/") {
        return said.config.into_response();
    }
    match HeaderValue::from_str(&said.challenge) {
        Ok(challenge) if !challenge.is_empty() => {
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response()
        }
        _ => StatusCode::OK.into_response(),
    }
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let said = Shared::default();
        let router = Router::new().fallback(respond).with_state(said.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let registry = listener.local_addr().expect("an address").to_string();
        runtime.spawn(async move { axum::serve(listener, router).await });
        Fixture {
            runtime,
            said,
            registry,
        }
    })
}

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, "\n---\n").map(str::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    let fixture = fixture();
    *fixture.said.lock().unwrap_or_else(PoisonError::into_inner) = Said {
        challenge: part(),
        manifest: part(),
        config: part(),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let name: ImageName = format!("{}/team/base:1", fixture.registry)
        .parse()
        .expect("a name");
    let settings = RegistrySettings {
        patience: Duration::from_secs(1),
        ..RegistrySettings::default()
    };
    let platform = "linux/amd64".parse().expect("a platform");
    let report = silent();
    let pulled = pull_base(&name, platform, &settings, folder.path(), &report);
    if let Ok(base) = fixture.runtime.block_on(pulled) {
        assert!(base.identity().1.starts_with("sha256:"));
    }
});
