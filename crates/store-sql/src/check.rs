//! What a database is, without changing anything of it.

use std::sync::Arc;

use crate::open::OpenError;
use crate::pool::Share;
use crate::postgres::Postgres;
pub use crate::schema::State;
use crate::schema::look;
use crate::sqlite;
use crate::uri::DatabaseUri;

/// Looks at a database.
///
/// # Errors
/// When it cannot be reached or read.
pub async fn check(uri: &DatabaseUri) -> Result<State, OpenError> {
    let failed = |error| OpenError::of(uri, error);
    match uri {
        DatabaseUri::Sqlite(path) if !path.exists() => Ok(State::Empty),
        DatabaseUri::Sqlite(path) => {
            sqlite::look(path, look).map_err(|error| failed(Box::new(error)))
        }
        DatabaseUri::Postgres(uri) => {
            let database = Postgres::new(uri).map_err(|error| failed(Box::new(error)))?;
            let found = Arc::new(database).read(Share::All, None, look).await;
            found.map_err(|error| failed(Box::new(error)))
        }
    }
}
