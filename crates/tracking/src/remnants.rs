//! What uploads left behind whose server is gone: found and removed while a server runs.

use std::path::PathBuf;
use std::time::Duration;

use mlrs_artifacts::LocalStore;
use tokio::time::sleep;

/// How long a remnant has not changed: longer than an upload may pause.
const UNCHANGED: Duration = Duration::from_mins(2);

/// Time between two looks.
const EVERY: Duration = Duration::from_mins(5);

/// Removes remnants in local directories of artifacts, at once and then every five minutes; never ends.
pub async fn remove_remnants(roots: Vec<PathBuf>) {
    let stores: Vec<LocalStore> = roots.into_iter().map(LocalStore::new).collect();
    loop {
        for store in &stores {
            match store.remove_remnants(UNCHANGED).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "removed what ended uploads had left"),
                Err(error) => tracing::warn!(%error, "what ended uploads left cannot be removed"),
            }
        }
        sleep(EVERY).await;
    }
}
