//! What belongs to the rows of a page, fetched for all of them at once.
//!
//! The ids of a page are bound as one JSON text, so that a statement is the same for any page and
//! the number of statements does not grow with it.

use std::collections::HashMap;

use mlrs_store::StoreError;

use crate::connection::{Connection, Row, SqlError};
use crate::statement::Statement;

/// The ids of a page, and where each stands in it.
pub(crate) struct Owners {
    json: String,
    positions: HashMap<String, usize>,
    whole_numbers: bool,
}

impl Owners {
    /// Ids that are texts.
    pub(crate) fn of_texts<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        let ids: Vec<&str> = ids.into_iter().collect();
        Self {
            json: serde_json::Value::from(ids.clone()).to_string(),
            positions: positions(ids.iter().map(|id| (*id).to_owned())),
            whole_numbers: false,
        }
    }

    /// Ids that are whole numbers.
    pub(crate) fn of_integers(ids: &[i64]) -> Self {
        Self {
            json: serde_json::Value::from(ids).to_string(),
            positions: positions(ids.iter().map(i64::to_string)),
            whole_numbers: true,
        }
    }

    /// Runs `head (the ids) tail`, and hands over each row with the position of the id that its
    /// first column holds.
    pub(crate) fn each(
        &self,
        connection: &mut dyn Connection,
        head: &'static str,
        tail: &'static str,
        take: &mut dyn FnMut(usize, &dyn Row) -> Result<(), SqlError>,
    ) -> Result<(), StoreError> {
        if self.positions.is_empty() {
            return Ok(());
        }
        let mut statement = Statement::new(head);
        if self.whole_numbers {
            statement.json_integers(connection.dialect(), &self.json);
        } else {
            statement.json_texts(connection.dialect(), &self.json);
        }
        statement.push(tail);
        let mut run = None;
        connection.query(statement.text(), statement.values(), &mut |row| {
            // Rows of one owner come together: it is looked up once.
            let position = if self.whole_numbers {
                let id = row.integer(0)?.unwrap_or_default();
                self.positions.get(&id.to_string()).copied()
            } else {
                let id = row.text(0)?.unwrap_or_default();
                match &run {
                    Some((known, position)) if known == id => Some(*position),
                    _ => {
                        let position = self.positions.get(id).copied();
                        run = position.map(|position| (id.to_owned(), position));
                        position
                    }
                }
            };
            if let Some(position) = position {
                take(position, row)?;
            }
            Ok(())
        })
    }
}

fn positions(ids: impl Iterator<Item = String>) -> HashMap<String, usize> {
    ids.enumerate()
        .map(|(position, id)| (id, position))
        .collect()
}
