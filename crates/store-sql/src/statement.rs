//! Statements that are put together at run time.
//!
//! Their text is made of `&'static str` only, so what a user sent cannot become part of it.

use crate::connection::Value;

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

    /// Adds several values in parentheses, for `IN`.
    pub fn list<T: Into<Value<'a>>>(&mut self, values: impl IntoIterator<Item = T>) -> &mut Self {
        self.text.push('(');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.text.push_str(", ");
            }
            self.bind(value);
        }
        self.text.push(')');
        self
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
            .list([1_i64, 2]);
        assert_eq!(statement.text(), "SELECT 1 WHERE a = ? AND b IN (?, ?)");
        assert_eq!(statement.values().len(), 3);
    }
}
