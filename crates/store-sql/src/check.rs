//! What a database is, without changing anything of it.

use std::sync::Arc;

use mlrs_store::StoreError;

use crate::connection::Connection;
use crate::open::OpenError;
use crate::pool::Share;
use crate::postgres::Postgres;
use crate::relative::{self, RelativeLocations};
pub use crate::schema::State;
use crate::schema::look;
use crate::sqlite;
use crate::uri::DatabaseUri;

/// Looks at a database.
///
/// # Errors
/// When it cannot be reached or read.
pub async fn check(uri: &DatabaseUri) -> Result<State, OpenError> {
    match uri {
        DatabaseUri::Sqlite(path) if !path.exists() => Ok(State::Empty),
        _ => read(uri, look).await,
    }
}

/// The columns of a database with MLflow's schema that have relative locations of artifacts.
///
/// # Errors
/// When it cannot be reached or read.
pub async fn relative_locations(uri: &DatabaseUri) -> Result<Vec<RelativeLocations>, OpenError> {
    read(uri, relative::look).await
}

async fn read<T: Send + 'static>(
    uri: &DatabaseUri,
    work: fn(&mut dyn Connection) -> Result<T, StoreError>,
) -> Result<T, OpenError> {
    let failed = |error| OpenError::of(uri, error);
    match uri {
        DatabaseUri::Sqlite(path) => {
            sqlite::look(path, work).map_err(|error| failed(Box::new(error)))
        }
        DatabaseUri::Postgres(uri) => {
            let database = Postgres::new(uri).map_err(|error| failed(Box::new(error)))?;
            let found = Arc::new(database).read(Share::All, None, work).await;
            found.map_err(|error| failed(Box::new(error)))
        }
    }
}
