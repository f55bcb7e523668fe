//! Statements that are put together at run time.
//!
//! Their text is made of `&'static str` only, so what a user sent cannot become part of it.

use crate::connection::{Dialect, Value};

/// Values of a list that have places of their own; databases bound how many a statement has.
const MOST_PLACES: usize = 100;

const SQLITE_LIST: (&str, &str) = ("(SELECT value FROM json_each(", "))");

/// The text of a statement and the values bound in it.
#[derive(Debug, Default)]
pub struct Statement<'a> {
    text: String,
    values: Vec<Value<'a>>,
}

impl<'a> Statement<'a> {
    /// A statement that begins with `text`.
    pub fn new(text: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds text of the program.
    pub fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds a value.
    pub fn bind(&mut self, value: impl Into<Value<'a>>) -> &mut Self {
        self.text.push('?');
        self.values.push(value.into());
        self
    }

    /// Adds whole numbers in parentheses, for `IN`.
    pub fn integers(
        &mut self,
        dialect: Dialect,
        values: impl IntoIterator<Item = i64>,
    ) -> &mut Self {
        let values: Vec<i64> = values.into_iter().collect();
        if values.len() <= MOST_PLACES {
            return self.list(values);
        }
        self.json_integers(dialect, serde_json::Value::from(values).to_string())
    }

    /// Adds texts in parentheses, for `IN`.
    pub fn texts(
        &mut self,
        dialect: Dialect,
        values: impl IntoIterator<Item = &'a String>,
    ) -> &mut Self {
        let values: Vec<&str> = values.into_iter().map(String::as_str).collect();
        if values.len() <= MOST_PLACES {
            return self.list(values);
        }
        self.json_texts(dialect, serde_json::Value::from(values).to_string())
    }

    /// Adds numbers in parentheses, for `IN`.
    pub fn reals(&mut self, dialect: Dialect, values: impl IntoIterator<Item = f64>) -> &mut Self {
        let values: Vec<f64> = values.into_iter().collect();
        if values.len() <= MOST_PLACES {
            return self.list(values);
        }
        let (before, after) = match dialect {
            Dialect::Sqlite => SQLITE_LIST,
            Dialect::Postgres => (
                "(SELECT CAST(value AS double precision) FROM json_array_elements_text(CAST(",
                " AS json)))",
            ),
        };
        let json = serde_json::Value::from(values).to_string();
        self.push(before).bind(json).push(after)
    }

    /// Adds the whole numbers of a JSON array, for `IN`: one value, however many they are.
    pub fn json_integers(&mut self, dialect: Dialect, json: impl Into<Value<'a>>) -> &mut Self {
        let (before, after) = match dialect {
            Dialect::Sqlite => SQLITE_LIST,
            Dialect::Postgres => (
                "(SELECT CAST(value AS bigint) FROM json_array_elements_text(CAST(",
                " AS json)))",
            ),
        };
        self.push(before).bind(json).push(after)
    }

    /// Adds the texts of a JSON array, for `IN`: one value, however many they are.
    pub fn json_texts(&mut self, dialect: Dialect, json: impl Into<Value<'a>>) -> &mut Self {
        let (before, after) = match dialect {
            Dialect::Sqlite => SQLITE_LIST,
            Dialect::Postgres => (
                "(SELECT value FROM json_array_elements_text(CAST(",
                " AS json)))",
            ),
        };
        self.push(before).bind(json).push(after)
    }

    /// Adds the elements of a JSON array as rows with the column `value`, for `FROM`.
    pub fn json_rows(&mut self, dialect: Dialect, json: impl Into<Value<'a>>) -> &mut Self {
        let (before, after) = match dialect {
            Dialect::Sqlite => ("json_each(", ")"),
            Dialect::Postgres => ("json_array_elements(CAST(", " AS json))"),
        };
        self.push(before).bind(json).push(after)
    }

    fn list<T: Into<Value<'a>>>(&mut self, values: Vec<T>) -> &mut Self {
        self.push("(");
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            self.bind(value);
        }
        self.push(")")
    }

    /// The text, with `?` for each value.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values in the order of their places.
    pub fn values(&self) -> &[Value<'a>] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_places_and_are_not_text() {
        let mut statement = Statement::new("SELECT 1 WHERE a = ");
        statement
            .bind("'; DROP TABLE runs")
            .push(" AND b IN ")
            .integers(Dialect::Sqlite, [1, 2]);
        assert_eq!(statement.text(), "SELECT 1 WHERE a = ? AND b IN (?, ?)");
        assert_eq!(statement.values().len(), 3);
    }

    #[test]
    fn long_lists_are_one_value() {
        let texts: Vec<String> = (0..1000).map(|number| format!("'{number}\"")).collect();
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let mut statement = Statement::new("");
            statement.texts(dialect, &texts).integers(dialect, 0..1000);
            statement.reals(dialect, (0..1000).map(f64::from));
            assert_eq!(statement.values().len(), 3);
            assert!(!statement.text().contains("999"), "{}", statement.text());
        }
    }
}
