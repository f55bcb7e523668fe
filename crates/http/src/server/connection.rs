//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tower::Service;

use super::ServerSettings;
use super::activity::{Activity, TrackedBody};
use super::head;
use super::stream::Stream;

/// Bytes of a response that wait to be taken, in this process and unsent in the system: a client that
/// does not read costs so much and no more.
const WAITING_BYTES: usize = 128 << 10;

/// What all connections share.
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) settings: ServerSettings,
    pub(super) builder: http1::Builder,
    /// Responses close their connections.
    pub(super) closing: AtomicBool,
}

impl Shared {
    pub(super) fn new(router: Router, settings: ServerSettings) -> Arc<Self> {
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_read_timeout)
            .max_buf_size(WAITING_BYTES.max(settings.header_bytes * 2));
        head::allow(&mut builder, &settings);
        Arc::new(Self {
            router,
            settings,
            builder,
            closing: AtomicBool::new(false),
        })
    }

    async fn call(
        &self,
        activity: &Arc<Activity>,
        request: Request<Incoming>,
    ) -> Result<Response<TrackedBody>, Infallible> {
        let busy = activity.begin();
        let mut response = match head::check(request, &self.settings).await {
            // A router is a shared pointer, and always ready.
            Ok(request) => self.router.clone().call(request).await?,
            Err(refused) => refused,
        };
        if self.closing.load(Ordering::Acquire) {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Ok(response.map(|body| TrackedBody::new(body, busy)))
    }
}

/// Answers the requests of a connection until one side closes it.
pub(super) async fn run(
    shared: &Shared,
    activity: &Arc<Activity>,
    socket: TcpStream,
    peer: SocketAddr,
) {
    set_options(&socket, peer);
    let stream = Stream::new(socket, Arc::clone(activity), &shared.settings);
    let service = service_fn(|request| shared.call(activity, request));
    let mut served = pin!(
        shared
            .builder
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut first_head = pin!(sleep(shared.settings.first_head_timeout));
    let mut is_new = true;
    let outcome = loop {
        tokio::select! {
            outcome = served.as_mut() => break outcome,
            () = first_head.as_mut(), if is_new => {
                if activity.requests() == 0 {
                    tracing::debug!(%peer, "no request came in time");
                    return;
                }
                is_new = false;
            }
            // Its stream ends when it is looked at again.
            () = activity.told() => {}
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "the connection ended early");
    }
}

fn set_options(socket: &TcpStream, peer: SocketAddr) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, %error, "the connection stays with delayed writes");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(socket).set_tcp_notsent_lowat(WAITING_BYTES as u32) {
        tracing::debug!(%peer, %error, "the system buffers more of a response than it needs");
    }
}
