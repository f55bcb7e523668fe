//! Locations of artifacts that are relative local paths.
//!
//! Each client takes such a location for a directory below its own working directory, so files are
//! scattered and the server lists none. Neither MLflow nor this program stores them; earlier versions
//! of this program did.

use std::path::Path;

use mlrs_store::StoreError;
use mlrs_store::rules::relative::{is_relative, resolve};

use crate::connection::{Connection, Value, all};
use crate::open::SqlStore;

/// Relative locations in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelativeLocations {
    /// Table and column, for people.
    pub column: &'static str,
    /// How many rows have one.
    pub rows: usize,
    /// One of them.
    pub example: String,
}

/// A column of locations.
struct Column {
    name: &'static str,
    /// What a row is known by, and the location. Each absolute location has a slash at its beginning
    /// or behind its scheme.
    select: &'static str,
    update: &'static str,
    /// Whether somebody else than the server may have chosen the location, which is left alone then
    /// unless it lies in one of an experiment.
    is_chosen: bool,
}

macro_rules! column {
    ($table:literal, $key:literal, $location:literal, $is_chosen:literal) => {
        Column {
            name: concat!($table, ".", $location),
            select: concat!(
                "SELECT ",
                $key,
                ", ",
                $location,
                " FROM ",
                $table,
                " WHERE ",
                $location,
                " <> '' AND ",
                $location,
                " NOT LIKE '/%' AND ",
                $location,
                " NOT LIKE '%:/%'"
            ),
            update: concat!(
                "UPDATE ",
                $table,
                " SET ",
                $location,
                " = ? WHERE ",
                $key,
                " = ?"
            ),
            is_chosen: $is_chosen,
        }
    };
}

/// Experiments first: the others are compared with theirs. Those of experiments and versions are few,
/// and known by their location itself.
const COLUMNS: [Column; 5] = [
    column!(
        "experiments",
        "artifact_location",
        "artifact_location",
        false
    ),
    column!("runs", "run_uuid", "artifact_uri", false),
    column!("logged_models", "model_id", "artifact_location", false),
    column!("model_versions", "source", "source", true),
    column!(
        "model_versions",
        "storage_location",
        "storage_location",
        true
    ),
];

/// A key and the location that is known by it.
type Located = (String, String);

/// Keys and relative locations of each column.
fn rows(
    connection: &mut dyn Connection,
) -> Result<Vec<(&'static Column, Vec<Located>)>, StoreError> {
    let mut roots: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for column in &COLUMNS {
        let mut rows = all(connection, column.select, &[], |row| {
            Ok((row.string(0)?, row.string(1)?))
        })?;
        let is_in_root = |location: &str| {
            roots.iter().any(|root| {
                let rest = location.strip_prefix(root.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.starts_with('/'))
            })
        };
        rows.retain(|(_, location)| {
            is_relative(location) && (!column.is_chosen || is_in_root(location))
        });
        if !column.is_chosen {
            roots.extend(rows.iter().map(|(_, location)| location.clone()));
        }
        found.push((column, rows));
    }
    Ok(found)
}

/// The columns that have relative locations.
pub(crate) fn look(connection: &mut dyn Connection) -> Result<Vec<RelativeLocations>, StoreError> {
    let found = rows(connection)?.into_iter();
    let of_column = |(column, rows): (&Column, Vec<Located>)| {
        let (_, example) = rows.first()?.clone();
        Some(RelativeLocations {
            column: column.name,
            rows: rows.len(),
            example,
        })
    };
    Ok(found.filter_map(of_column).collect())
}

/// Makes them absolute, and tells which there were.
fn resolve_all(
    connection: &mut dyn Connection,
    base: &Path,
) -> Result<Vec<RelativeLocations>, StoreError> {
    let found = look(connection)?;
    for (column, rows) in rows(connection)? {
        let mut changes = Vec::with_capacity(rows.len());
        for (key, location) in rows {
            changes.push([resolve(&location, base)?, key]);
        }
        let values = |change: [String; 2]| change.map(Value::from).to_vec();
        connection.execute_rows(column.update, &mut changes.into_iter().map(values))?;
    }
    Ok(found)
}

impl SqlStore {
    /// Makes all relative locations of artifacts absolute, as paths below `base`, and tells which
    /// there were. No file is moved.
    ///
    /// # Errors
    /// When a location would be too long, or the database fails; then nothing is changed.
    pub async fn resolve_locations(
        &self,
        base: &Path,
    ) -> Result<Vec<RelativeLocations>, StoreError> {
        let base = base.to_owned();
        self.write(move |connection| resolve_all(connection, &base))
            .await
    }

    /// The columns that have relative locations of artifacts.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn relative_locations(&self) -> Result<Vec<RelativeLocations>, StoreError> {
        self.read(look).await
    }
}
