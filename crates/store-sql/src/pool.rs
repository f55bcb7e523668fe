//! Connections that are used again, and a bound on how many work at once.

use std::sync::{Arc, Mutex, PoisonError};

use mlrs_store::StoreError;
use tokio::sync::Semaphore;

/// Idle connections, and the places of those that work.
pub(crate) struct Pool<C> {
    idle: Mutex<Vec<C>>,
    places: Arc<Semaphore>,
}

impl<C> Pool<C> {
    /// A pool in which `most` pieces of work go on at once.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            idle: Mutex::new(Vec::new()),
            places: Arc::new(Semaphore::new(most)),
        }
    }

    /// Runs work on a thread that may wait, as soon as there is a place. It goes on to its end,
    /// whether or not somebody still waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|error| StoreError::Internal(Box::new(error)))?;
        tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(place);
            outcome
        })
        .await
        .map_err(|error| StoreError::Internal(Box::new(error)))?
    }

    /// The connection that was used last: those that are never needed grow old together.
    pub(crate) fn take(&self) -> Option<C> {
        self.lock().pop()
    }

    /// Keeps a connection for the next that asks. One whose work panicked never comes back.
    pub(crate) fn put_back(&self, connection: C) {
        self.lock().push(connection);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<C>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
