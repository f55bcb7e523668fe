//! Artifacts on their way: how many at the same time, what is held of them, and how slow a client may be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::BodyDataStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mlrs_artifacts::Content;
use mlrs_http::{BytesInFlight, Permit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::artifacts::AccessError;

/// Bytes of a file that is sent that are in memory: two pieces that are read, one that is handed over, and
/// what waits to be taken by the client.
const HELD: usize = 320 << 10;

/// Time that a transfer waits for another one to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that a client must send in the time in which the server waits for it.
const LEAST_RECEIVED: usize = 64 << 10;

/// The places of all transfers of a server.
#[derive(Clone, Debug)]
pub(crate) struct Transfers {
    sending: Arc<Semaphore>,
    receiving: Arc<Semaphore>,
    patience: Duration,
}

/// A place among the files that are sent, and the bytes that are held of it.
#[derive(Debug)]
pub(crate) struct Sending {
    _place: OwnedSemaphorePermit,
    _bytes: Permit,
}

impl Transfers {
    /// So many files that are sent, and as many that are received, at the same time.
    pub(crate) fn new(most: usize) -> Self {
        let places = || Arc::new(Semaphore::new(most.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            sending: places(),
            receiving: places(),
            patience: PATIENCE,
        }
    }

    /// A place for a file of this length.
    pub(crate) async fn send(
        &self,
        length: u64,
        budget: &BytesInFlight,
    ) -> Result<Sending, AccessError> {
        let place = self.wait(&self.sending).await?;
        let held = usize::try_from(length).unwrap_or(HELD).min(HELD);
        let bytes = budget.try_admit(held).ok_or(AccessError::Busy)?;
        Ok(Sending {
            _place: place,
            _bytes: bytes,
        })
    }

    /// A place for a file that a client sends.
    pub(crate) async fn receive(&self) -> Result<OwnedSemaphorePermit, AccessError> {
        self.wait(&self.receiving).await
    }

    async fn wait(&self, places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, AccessError> {
        match timeout(self.patience, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(AccessError::Busy),
        }
    }
}

/// A body as it comes in. A client that is waited for longer than `within` before it has sent
/// [`LEAST_RECEIVED`] more ends it.
pub(crate) fn received(pieces: &mut BodyDataStream, within: Duration) -> Content<'_> {
    let begin = (pieces, within, 0);
    stream::unfold(begin, move |(pieces, left, count)| async move {
        let asked = Instant::now();
        let piece = match timeout(left, pieces.try_next()).await {
            Ok(Ok(None)) => return None,
            Ok(Ok(Some(piece))) => piece,
            Ok(Err(error)) => return Some((Err(error.into()), (pieces, left, count))),
            Err(_) => {
                return Some((
                    Err("the client sends too slowly".into()),
                    (pieces, left, count),
                ));
            }
        };
        let count = count + piece.len();
        let next = if count >= LEAST_RECEIVED {
            (pieces, within, 0)
        } else {
            (pieces, left.saturating_sub(asked.elapsed()), count)
        };
        Some((Ok(piece), next))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Body;
    use axum::response::Response;
    use bytes::Bytes;
    use http_body_util::BodyExt as _;
    use mlrs_artifacts::{CloudSettings, LocalStore};
    use mlrs_store::rules::HostPolicy;
    use tower::ServiceExt as _;

    use super::*;
    use crate::{Artifacts, TrackingSettings, TrackingState, router};

    /// What a server with this directory says to a GET.
    async fn ask(state: &TrackingState, path: &str) -> Response {
        let request = http::Request::get(format!("/api/2.0/mlflow-artifacts{path}"));
        let request = request.body(Body::empty()).unwrap();
        let answered = router(state.clone(), "", None).oneshot(request).await;
        answered.unwrap()
    }

    #[tokio::test]
    async fn what_a_client_has_not_read_counts_as_bytes_in_flight() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("large"), vec![7; 1 << 20]).unwrap();
        let artifacts = Artifacts {
            destination: Some(Arc::new(LocalStore::new(directory.path()))),
            cloud: CloudSettings::default(),
            allowed_roots: mlrs_artifacts::AllowedRoots::default(),
            working_directory: "/srv".into(),
            hosts: HostPolicy::default(),
        };
        let settings = TrackingSettings {
            body_bytes: HELD,
            bytes_in_flight: HELD,
            ..TrackingSettings::default()
        };
        let state = TrackingState::new(None, artifacts, None, settings).unwrap();
        let budget = state.budget();

        let listed = ask(&state, "/artifacts").await;
        assert_eq!(listed.status(), 200);
        let held = budget.used();
        let json = listed.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(held, json.len());
        drop(json);
        assert_eq!(budget.used(), 0);

        let mut sent = ask(&state, "/artifacts/large").await;
        let piece = sent.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(piece.into_data().unwrap().len(), 64 << 10);
        assert_eq!(budget.used(), HELD);
        for path in ["/artifacts/large", "/artifacts"] {
            let refused = ask(&state, path).await;
            assert_eq!(refused.status(), 503, "{path}");
            assert!(refused.headers().contains_key("retry-after"), "{path}");
        }
        let rest = sent.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(rest.len(), (1 << 20) - (64 << 10));
        assert_eq!(budget.used(), 0);
        assert_eq!(ask(&state, "/artifacts").await.status(), 200);
    }

    #[tokio::test]
    async fn files_that_are_sent_have_places_and_hold_bytes() {
        let budget = BytesInFlight::new(2 * HELD + 10);
        let transfers = Transfers {
            patience: Duration::from_millis(50),
            ..Transfers::new(3)
        };
        let large = transfers.send(u64::MAX, &budget).await.unwrap();
        let small = transfers.send(10, &budget).await.unwrap();
        assert_eq!(budget.used(), HELD + 10);
        let next = transfers.send(1 << 30, &budget).await.unwrap();
        let without_place = transfers.send(0, &budget).await;
        assert!(matches!(without_place, Err(AccessError::Busy)));
        drop(small);
        let without_bytes = transfers.send(1 << 30, &budget).await;
        assert!(matches!(without_bytes, Err(AccessError::Busy)));
        drop((large, next));
        assert_eq!(budget.used(), 0);
        // Those that are received have places of their own.
        let _received = transfers.receive().await.unwrap();
        transfers.send(1, &budget).await.unwrap();
    }

    /// What is received of pieces that come so far apart.
    async fn take(piece: usize, pause: Duration, count: usize) -> Result<usize, String> {
        let pieces = stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(Bytes::from(vec![0; piece]))
        });
        let mut body = Body::from_stream(pieces).into_data_stream();
        let content = received(&mut body, Duration::from_millis(300));
        let sizes = content.map_ok(|piece| piece.len());
        let sizes = sizes.try_fold(0, |sum, size| std::future::ready(Ok(sum + size)));
        sizes.await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_client_that_sends_drop_by_drop_is_not_waited_for() {
        let pause = Duration::from_millis(40);
        let dropped = take(1, pause, 100).await;
        assert_eq!(dropped.unwrap_err(), "the client sends too slowly");
        // Longer than the time in all, and fast enough.
        assert_eq!(
            take(LEAST_RECEIVED / 2, pause, 20).await,
            Ok(10 * LEAST_RECEIVED)
        );
        assert_eq!(take(1, pause, 3).await, Ok(3));
    }
}
