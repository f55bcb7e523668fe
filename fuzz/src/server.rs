//! A tracking server in this process, for the targets that send it requests.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use mlrs_artifacts::{AllowedRoots, CloudSettings, LocalStore};
use mlrs_store::rules::HostPolicy;
use mlrs_store_sql::{DatabaseUri, SqlStore};
use mlrs_tracking::{Artifacts, Stores, TrackingSettings, TrackingState, router};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// The longest response that is looked at, in bytes.
const RESPONSE_LIMIT: usize = 64 << 20;

/// A file that is there, below the root of artifacts.
pub const FILE: &str = "0/file.bin";

/// What the file holds.
pub const FILE_BYTES: usize = 100_000;

struct Server {
    runtime: Runtime,
    router: Router,
    _folder: tempfile::TempDir,
}

/// What was answered.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The length that its head says, if it says one.
    pub length: Option<usize>,
    /// The body.
    pub body: Vec<u8>,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("artifacts");
        let file = root.join(FILE);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, vec![7; FILE_BYTES]).expect("a file");
        let uri = format!("sqlite:///{}", folder.path().join("mlflow.db").display());
        let uri = DatabaseUri::parse(&uri).expect("a URI");
        let runtime = Runtime::new().expect("a runtime");
        let store = runtime.block_on(SqlStore::open(&uri, "mlflow-artifacts:/"));
        let store = Arc::new(store.expect("a database"));
        let mut allowed_roots = AllowedRoots::default();
        allowed_roots
            .allow(&root.to_string_lossy())
            .expect("a root");
        let artifacts = Artifacts {
            destination: Some(Arc::new(LocalStore::new(&root))),
            cloud: CloudSettings::default(),
            allowed_roots,
            hosts: HostPolicy::default(),
            working_directory: folder.path().to_owned(),
        };
        let stores = Stores {
            tracking: store.clone(),
            registry: store,
        };
        let settings = TrackingSettings::default();
        let state = TrackingState::new(Some(stores), artifacts, None, settings).expect("a state");
        Server {
            runtime,
            router: router(state, "", None),
            _folder: folder,
        }
    })
}

/// Sends a request; nothing for one that no client can send.
///
/// The sender is at fault, or nobody is: a status of 500 is a fault of the server.
pub fn send(
    method: &Method,
    target: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
) -> Option<Response> {
    let uri: Uri = target.parse().ok()?;
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request = request.header(name, HeaderValue::from_bytes(value).ok()?);
    }
    let request = request.body(Body::from(body.to_vec())).ok()?;
    let server = server();
    server.runtime.block_on(async {
        let response = server.router.clone().oneshot(request).await;
        let (head, body) = response.expect("a router answers").into_parts();
        assert_ne!(
            head.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{method} {target}"
        );
        let length = head.headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let body = to_bytes(body, RESPONSE_LIMIT).await.expect("a body");
        Some(Response {
            status: head.status,
            length,
            body: body.to_vec(),
        })
    })
}
