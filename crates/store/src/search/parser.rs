//! Tokens to comparisons, and comparisons to a tree.
//!
//! ```text
//! filter     = conjunction { OR conjunction }
//! conjunction = term { [AND] term }
//! term       = "(" filter ")" | identifier operator value | identifier IS [NOT] NULL
//! identifier = name [ "." name { "." name } ]
//! value      = number | text | "(" element { "," element } ")"
//! element    = number | text
//! ```
//! `AND` may be left out and may stand at an end, because MLflow allows it.

use crate::error::StoreError;
use crate::search::lexer::{Placed, Token, shown, tokens};
use crate::search::{ALL_PATTERN_BYTES, Filter, Operator, PATTERN_BYTES};

/// Parentheses within parentheses.
const DEEPEST: usize = 32;
/// What a comparison begins with.
const NAME: &str = "a name such as `metrics.accuracy`";
/// Comparisons of one filter.
const MOST_COMPARISONS: usize = 200;

/// `entity.key`, or a key alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// What stands before the first dot.
    pub entity: Option<String>,
    /// The rest.
    pub key: String,
}

/// The right side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number as it was written.
    Number(String),
    /// A quoted text.
    Text(String),
    /// Numbers and texts in parentheses; at least one.
    List(Vec<Item>),
    /// Nothing: of `IS NULL` and `IS NOT NULL`.
    Nothing,
}

/// An element of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A number as it was written.
    Number(String),
    /// A quoted text.
    Text(String),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What is compared.
    pub identifier: Identifier,
    /// How.
    pub operator: Operator,
    /// With what.
    pub value: Value,
}

/// Reads a filter; a blank one matches everything.
///
/// # Errors
/// When it is not of the grammar; the text says from where on.
pub fn parse(text: &str) -> Result<Filter<Comparison>, StoreError> {
    if text.trim().is_empty() {
        return Ok(Filter::everything());
    }
    let mut parser = Parser::new(text)?;
    let filter = parser.disjunction(0)?;
    match parser.peek() {
        None => Ok(filter),
        Some(_) => Err(parser.unexpected("`AND`, `OR` or the end")),
    }
}

/// Reads `identifier [ASC|DESC]`; without a direction it is ascending.
///
/// # Errors
/// When it is something else.
pub fn parse_order(text: &str) -> Result<(Identifier, bool), StoreError> {
    let refused = || {
        StoreError::invalid(format!(
            "Invalid order_by clause '{text}'. Could not be parsed."
        ))
    };
    let mut parser = Parser::new(text).map_err(|_| refused())?;
    let identifier = parser.identifier().map_err(|_| refused())?;
    let ascending = match parser.next() {
        None => true,
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("asc") => true,
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("desc") => false,
        Some(_) if parser.peek().is_none() => {
            return Err(StoreError::invalid(format!(
                "Invalid ordering key in order_by clause '{text}'."
            )));
        }
        Some(_) => return Err(refused()),
    };
    match parser.peek() {
        None => Ok((identifier, ascending)),
        Some(_) => Err(refused()),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Placed<'a>>,
    position: usize,
    comparisons: usize,
    /// Bytes of the patterns so far.
    patterns: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, StoreError> {
        Ok(Self {
            text,
            tokens: tokens(text)?,
            position: 0,
            comparisons: 0,
            patterns: 0,
        })
    }

    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.position).map(|placed| &placed.token)
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek().cloned();
        self.position += usize::from(token.is_some());
        token
    }

    /// Whether the next token is this keyword; then it is taken.
    fn takes(&mut self, keyword: &str) -> bool {
        let found =
            matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.position += usize::from(found);
        found
    }

    /// The text from a token on.
    fn rest_from(&self, position: usize) -> &'a str {
        let placed = self.tokens.get(position);
        let start = placed.map_or(self.text.len(), |placed| placed.start);
        self.text.get(start..).unwrap_or_default()
    }

    fn rest(&self) -> &'a str {
        self.rest_from(self.position)
    }

    /// Where the next token stands, and what it is.
    fn place(&self) -> String {
        let Some(placed) = self.tokens.get(self.position) else {
            return "its end".to_owned();
        };
        let (before, from) = self.text.split_at(placed.start);
        let word = from.get(..placed.end - placed.start).unwrap_or_default();
        let character = before.chars().count() + 1;
        format!("character {character}, '{}'", shown(word))
    }

    fn unexpected(&self, expected: &str) -> StoreError {
        self.unexpected_in(self.position, expected)
    }

    /// What is no clause from the token `start` on, because something else was expected at the next
    /// one.
    fn unexpected_in(&self, start: usize, expected: &str) -> StoreError {
        let rest = self.rest_from(start);
        let clause = if rest.is_empty() { "its end" } else { rest };
        StoreError::invalid(format!(
            "Invalid clause(s) in filter string: '{}'. Expected {expected} at {}.",
            shown(clause),
            self.place()
        ))
    }

    fn disjunction(&mut self, depth: usize) -> Result<Filter<Comparison>, StoreError> {
        let mut parts = vec![self.conjunction(depth)?];
        while self.takes("or") {
            parts.push(self.conjunction(depth)?);
        }
        Ok(match parts.len() {
            1 => parts.swap_remove(0),
            _ => Filter::Any(parts),
        })
    }

    fn conjunction(&mut self, depth: usize) -> Result<Filter<Comparison>, StoreError> {
        let start = self.position;
        let mut parts = Vec::new();
        loop {
            let separated = self.takes("and");
            match self.peek() {
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("or") => break,
                Some(Token::Word(_) | Token::Quoted(_) | Token::Open) => {
                    parts.push(self.term(depth)?);
                }
                _ if separated => {}
                _ => break,
            }
        }
        match parts.len() {
            // Only separators are everything in MLflow; next to `OR` that would be a surprise.
            0 if start > 0 || depth > 0 || self.peek().is_some() => Err(self.unexpected(NAME)),
            1 => Ok(parts.swap_remove(0)),
            _ => Ok(Filter::All(parts)),
        }
    }

    fn term(&mut self, depth: usize) -> Result<Filter<Comparison>, StoreError> {
        if self.peek() != Some(&Token::Open) {
            return self.comparison().map(Filter::Is);
        }
        if depth == DEEPEST {
            return Err(StoreError::invalid(format!(
                "The filter string has more than {DEEPEST} parentheses within each other"
            )));
        }
        self.position += 1;
        let inner = self.disjunction(depth + 1)?;
        match self.peek() {
            Some(Token::Close) => {
                self.position += 1;
                Ok(inner)
            }
            _ => Err(self.unexpected("`AND`, `OR` or `)`")),
        }
    }

    fn comparison(&mut self) -> Result<Comparison, StoreError> {
        self.comparisons += 1;
        if self.comparisons > MOST_COMPARISONS {
            return Err(StoreError::invalid(format!(
                "The filter string has more than {MOST_COMPARISONS} comparisons"
            )));
        }
        let start = self.position;
        let identifier = self.identifier()?;
        let behind = self.position;
        let Some(operator) = self.operator() else {
            self.position = behind;
            let expected = "a comparison such as `=`, `LIKE`, `IN (…)` or `IS NULL`";
            return Err(self.unexpected_in(start, expected));
        };
        let value = match operator {
            Operator::IsNull | Operator::IsNotNull => Some(Value::Nothing),
            Operator::In | Operator::NotIn => return self.in_list(identifier, operator),
            _ => self.value(),
        };
        let Some(value) = value else {
            return Err(StoreError::invalid(format!(
                "Expected a number or a quoted string value (e.g. 'my-value') for '{}' at {}.",
                identifier.key,
                self.place()
            )));
        };
        if let (Operator::Like | Operator::ILike, Value::Text(pattern)) = (operator, &value) {
            self.check_pattern(&identifier, operator, pattern)?;
        }
        Ok(Comparison {
            identifier,
            operator,
            value,
        })
    }

    /// Each row may be compared with every pattern, byte by byte, so both have a limit.
    fn check_pattern(
        &mut self,
        identifier: &Identifier,
        operator: Operator,
        pattern: &str,
    ) -> Result<(), StoreError> {
        let (key, operator) = (&identifier.key, operator.text());
        if pattern.len() > PATTERN_BYTES {
            return Err(StoreError::invalid(format!(
                "The pattern of `{} {operator}` has {} bytes; a pattern may have {PATTERN_BYTES}",
                shown(key),
                pattern.len()
            )));
        }
        self.patterns += pattern.len();
        if self.patterns > ALL_PATTERN_BYTES {
            return Err(StoreError::invalid(format!(
                "The patterns of the filter string have more than {ALL_PATTERN_BYTES} bytes \
                 together, from that of `{} {operator}` on: use fewer or shorter ones",
                shown(key)
            )));
        }
        let escapes = pattern
            .chars()
            .rev()
            .take_while(|last| *last == '\\')
            .count();
        if escapes % 2 == 1 {
            return Err(StoreError::invalid(format!(
                "The pattern of `{} {operator}` ends with a single `\\`, which makes the next \
                 character literal: write `\\\\` for one backslash",
                shown(key)
            )));
        }
        Ok(())
    }

    fn identifier(&mut self) -> Result<Identifier, StoreError> {
        let mut names = vec![self.name()?];
        while self.peek() == Some(&Token::Dot) {
            self.position += 1;
            names.push(self.name()?);
        }
        if names.len() == 1 {
            return Ok(Identifier {
                entity: None,
                key: names.swap_remove(0),
            });
        }
        let entity = names.remove(0);
        Ok(Identifier {
            entity: Some(entity),
            key: names.join("."),
        })
    }

    fn name(&mut self) -> Result<String, StoreError> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word.to_owned()),
            Some(Token::Quoted(text)) => Ok(text),
            other => {
                self.position -= usize::from(other.is_some());
                Err(self.unexpected(NAME))
            }
        }
    }

    fn operator(&mut self) -> Option<Operator> {
        let token = self.next()?;
        match token {
            Token::Sign("=" | "==") => Some(Operator::Equal),
            Token::Sign("!=" | "<>") => Some(Operator::NotEqual),
            Token::Sign("<") => Some(Operator::Less),
            Token::Sign("<=") => Some(Operator::LessOrEqual),
            Token::Sign(">") => Some(Operator::Greater),
            Token::Sign(">=") => Some(Operator::GreaterOrEqual),
            Token::Word(word) => self.operator_of(&word.to_ascii_lowercase()),
            _ => None,
        }
    }

    fn operator_of(&mut self, word: &str) -> Option<Operator> {
        match word {
            "like" => Some(Operator::Like),
            "ilike" => Some(Operator::ILike),
            "in" => Some(Operator::In),
            "not" => self.takes("in").then_some(Operator::NotIn),
            "is" => {
                let negated = self.takes("not");
                let operator = if negated {
                    Operator::IsNotNull
                } else {
                    Operator::IsNull
                };
                self.takes("null").then_some(operator)
            }
            _ => None,
        }
    }

    fn value(&mut self) -> Option<Value> {
        let value = match self.peek()? {
            Token::Number(number) => Value::Number((*number).to_owned()),
            Token::Single(text) | Token::Quoted(text) => Value::Text(text.clone()),
            _ => return None,
        };
        self.position += 1;
        Some(value)
    }

    fn in_list(
        &mut self,
        identifier: Identifier,
        operator: Operator,
    ) -> Result<Comparison, StoreError> {
        if self.next() != Some(Token::Open) {
            self.position -= 1;
            return Err(self.not_a_list());
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Some(Token::Close) => break,
                Some(Token::Single(text) | Token::Quoted(text)) => values.push(Item::Text(text)),
                Some(Token::Number(number)) => values.push(Item::Number(number.to_owned())),
                _ => return Err(self.not_a_list()),
            }
            match self.next() {
                Some(Token::Comma) => {}
                Some(Token::Close) => break,
                _ => return Err(self.not_a_list()),
            }
        }
        if values.is_empty() {
            return Err(StoreError::invalid(
                "While parsing a list in the query, expected a non-empty list of string values, \
                 but got empty list",
            ));
        }
        Ok(Comparison {
            identifier,
            operator,
            value: Value::List(values),
        })
    }

    fn not_a_list(&self) -> StoreError {
        StoreError::invalid(format!(
            "While parsing a list in the query, expected string value, punctuation, or whitespace, \
             but got different type in list: '{}'",
            shown(self.rest())
        ))
    }
}

#[cfg(test)]
mod tests;
