//! What kind of failure PostgreSQL tells.

use tokio_postgres::error::SqlState;

use crate::connection::SqlError;

/// A server that does not answer.
pub(super) fn silent() -> SqlError {
    SqlError::Unavailable("the database does not answer".into())
}

/// What kind of failure it is. Its details may hold values of a request, so they are left behind.
pub(super) fn failed(error: &tokio_postgres::Error) -> SqlError {
    let Some(refused) = error.as_db_error() else {
        return match std::error::Error::source(error) {
            Some(source) if source.is::<NulError>() => SqlError::Value(Box::new(NulError)),
            // The connection: the driver has no other errors for statements that fit their types.
            Some(source) => SqlError::Unavailable(format!("{error}: {source}").into()),
            None => SqlError::Unavailable(error.to_string().into()),
        };
    };
    let code = refused.code();
    let cause = format!("{} ({})", refused.message(), code.code()).into();
    match code {
        code if *code == SqlState::UNIQUE_VIOLATION => SqlError::Unique(cause),
        code if [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(code) =>
        {
            SqlError::Conflict(cause)
        }
        code if [
            SqlState::INVALID_ESCAPE_SEQUENCE,
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            SqlState::UNTRANSLATABLE_CHARACTER,
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
        ]
        .contains(code) =>
        {
            SqlError::Value(cause)
        }
        // By this server, or by a time limit of the database's own.
        code if *code == SqlState::QUERY_CANCELED => SqlError::Ended,
        code if is_passing(code) => SqlError::Unavailable(cause),
        _ => SqlError::Other(cause),
    }
}

/// Whether it may work later: by the class of the code, its first two characters.
fn is_passing(code: &SqlState) -> bool {
    // Connection, authorisation of a server that starts, resources, state, operator, system.
    const CLASSES: [&str; 6] = ["08", "28", "53", "55", "57", "58"];
    let read_only = *code == SqlState::READ_ONLY_SQL_TRANSACTION;
    read_only || CLASSES.iter().any(|class| code.code().starts_with(class))
}

/// A text that PostgreSQL cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL has no texts with the character NUL (U+0000)")]
pub(super) struct NulError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_by_its_class() {
        for (code, passing) in [
            ("57P01", true),
            ("53300", true),
            ("25006", true),
            ("42P01", false),
            ("23503", false),
        ] {
            assert_eq!(is_passing(&SqlState::from_code(code)), passing, "{code}");
        }
    }
}
