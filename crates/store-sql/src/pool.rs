//! Connections that are used again, and a bound on how many work at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mlrs_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::watch::Watch;

/// Which places a piece of work may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Any of them.
    All,
    /// Three quarters: searches that cost much leave the rest to what costs little.
    Searches,
}

/// Idle connections, and the places of those that work.
pub(crate) struct Pool<C> {
    idle: Mutex<Vec<C>>,
    /// How many stay idle.
    kept: usize,
    places: Arc<Semaphore>,
    /// Those of them that searches may take.
    for_searches: Arc<Semaphore>,
}

/// A place, and with it the right to search if that was asked for.
type Place = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

impl<C> Pool<C> {
    /// A pool in which `most` pieces of work go on at once, and of whose connections `kept` stay
    /// when there is less to do.
    pub(crate) fn new(most: usize, kept: usize) -> Self {
        Self {
            idle: Mutex::new(Vec::new()),
            kept,
            places: Arc::new(Semaphore::new(most)),
            for_searches: Arc::new(Semaphore::new(most - most / 4)),
        }
    }

    /// Runs work on a thread that may wait, as soon as there is a place. The watch tells it when its
    /// time is up, and when nobody waits for it any more.
    ///
    /// # Errors
    /// When the work fails, or there is no place within `timeout`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        share: Share,
        timeout: Option<Duration>,
        work: impl FnOnce(&Watch) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = match timeout {
            None => self.place(share).await?,
            Some(timeout) => {
                let place = tokio::time::timeout(timeout, self.place(share)).await;
                place.map_err(|_| busy())??
            }
        };
        let (watch, waiting) = Watch::waited_for();
        let outcome = tokio::task::spawn_blocking(move || {
            let outcome = match watch.ended() {
                Some(_) => Err(busy()),
                None => work(&watch.begin(timeout)),
            };
            drop(place);
            outcome
        })
        .await;
        drop(waiting);
        outcome.map_err(|error| StoreError::Internal(Box::new(error)))?
    }

    /// Waits for a place.
    async fn place(&self, share: Share) -> Result<Place, StoreError> {
        let permit = async |permits: &Arc<Semaphore>| {
            let permit = Arc::clone(permits).acquire_owned().await;
            // The semaphores are never closed.
            permit.map_err(|error| StoreError::Internal(Box::new(error)))
        };
        let search = match share {
            Share::All => None,
            Share::Searches => Some(permit(&self.for_searches).await?),
        };
        Ok((permit(&self.places).await?, search))
    }

    /// The connection that was used last: those that are never needed grow old together.
    pub(crate) fn take(&self) -> Option<C> {
        self.lock().pop()
    }

    /// Keeps a connection for the next that asks, or ends it. One whose work panicked never comes
    /// back.
    pub(crate) fn put_back(&self, connection: C) {
        let mut idle = self.lock();
        if idle.len() < self.kept {
            idle.push(connection);
            return;
        }
        drop(idle);
        drop(connection);
    }

    /// Ends all idle connections.
    pub(crate) fn clear(&self) {
        let idle = std::mem::take(&mut *self.lock());
        drop(idle);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<C>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn busy() -> StoreError {
    StoreError::Unavailable("every connection to the database is in use".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn searches_leave_places_to_what_costs_little() {
        let pool: Pool<()> = Pool::new(4, 0);
        let searches = [(); 3].map(|()| pool.place(Share::Searches));
        let taken = futures_util::future::join_all(searches).await;
        let soon = Some(Duration::from_millis(20));
        let refused = pool.run(Share::Searches, soon, |_| Ok(())).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        pool.run(Share::All, soon, |_| Ok(())).await.unwrap();
        drop(taken);
        pool.run(Share::Searches, soon, |_| Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn who_leaves_ends_the_work_and_frees_its_place() {
        let pool: Arc<Pool<()>> = Arc::new(Pool::new(1, 0));
        let endless = pool.run(Share::All, None, |watch| {
            while watch.ended().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        });
        let left = tokio::time::timeout(Duration::from_millis(20), endless).await;
        assert!(left.is_err(), "the work ended by itself");
        let soon = Some(Duration::from_secs(10));
        pool.run(Share::All, soon, |_| Ok(())).await.unwrap();
    }

    #[test]
    fn what_was_used_last_is_used_again_and_the_rest_ends() {
        let pool = Pool::new(8, 2);
        let connections: Vec<Arc<()>> = (0..3).map(|_| Arc::new(())).collect();
        for connection in &connections {
            pool.put_back(Arc::clone(connection));
        }
        let left = connections.iter().map(Arc::strong_count);
        assert_eq!(left.collect::<Vec<_>>(), [2, 2, 1]);
        assert!(
            pool.take()
                .is_some_and(|last| Arc::ptr_eq(&last, &connections[1]))
        );
    }
}
