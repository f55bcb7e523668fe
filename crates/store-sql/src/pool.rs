//! Connections that are used again, and a bound on how many work at once.

use std::sync::{Arc, Mutex, PoisonError};

use mlrs_store::StoreError;
use tokio::sync::Semaphore;

/// Idle connections, and the places of those that work.
pub(crate) struct Pool<C> {
    idle: Mutex<Vec<C>>,
    /// How many stay idle.
    kept: usize,
    places: Arc<Semaphore>,
}

impl<C> Pool<C> {
    /// A pool in which `most` pieces of work go on at once, and of whose connections `kept` stay
    /// when there is less to do.
    pub(crate) fn new(most: usize, kept: usize) -> Self {
        Self {
            idle: Mutex::new(Vec::new()),
            kept,
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<C>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
