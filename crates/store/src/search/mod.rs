//! MLflow's search grammar: text to a tree that says what is meant, and knows nothing of SQL.
//!
//! A filter is comparisons joined with `AND`, as in MLflow, and beyond it with `OR` and parentheses.
//! [`parser`] reads the form that all entities share; [`runs`] and [`experiments`] say which
//! identifiers there are and what they may be compared with.

pub mod experiments;
mod lexer;
pub mod logged_models;
pub mod page_token;
pub mod parser;
pub mod registry;
pub mod runs;
mod typed;

use mlrs_api::enums::ViewType;

pub use experiments::{ExperimentClause, ExperimentOrder};
pub use logged_models::{LoggedModelClause, LoggedModelOrder, LoggedModelSearch};
pub use registry::{ModelVersionSearch, RegisteredModelSearch, RegistryClause, RegistryOrder};
pub use runs::{RunClause, RunOrder};
pub use typed::{NumberTest, TextTest};

/// Bytes of one pattern of `LIKE` or `ILIKE`.
pub const PATTERN_BYTES: usize = 1024;
/// Bytes of all patterns of a filter together: each row may be compared with all of them, byte by
/// byte.
pub const ALL_PATTERN_BYTES: usize = 8192;

/// Comparisons joined with `AND` and `OR`.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter<T> {
    /// One comparison.
    Is(T),
    /// All of them; none matches everything.
    All(Vec<Filter<T>>),
    /// Any of them.
    Any(Vec<Filter<T>>),
}

impl<T> Filter<T> {
    /// Matches everything.
    pub const fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// The same tree with each comparison replaced.
    ///
    /// # Errors
    /// The first error of `convert`.
    pub fn try_map<U, E>(
        self,
        convert: &mut impl FnMut(T) -> Result<U, E>,
    ) -> Result<Filter<U>, E> {
        Ok(match self {
            Self::Is(comparison) => Filter::Is(convert(comparison)?),
            Self::All(parts) => Filter::All(map_all(parts, convert)?),
            Self::Any(parts) => Filter::Any(map_all(parts, convert)?),
        })
    }
}

fn map_all<T, U, E>(
    parts: Vec<Filter<T>>,
    convert: &mut impl FnMut(T) -> Result<U, E>,
) -> Result<Vec<Filter<U>>, E> {
    parts
        .into_iter()
        .map(|part| part.try_map(convert))
        .collect()
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`, `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `LIKE`: `%` is any text and `_` any character; upper and lower case differ.
    Like,
    /// `ILIKE`: the same without regard to case.
    ILike,
    /// `IN`
    In,
    /// `NOT IN`
    NotIn,
    /// `IS NULL`
    IsNull,
    /// `IS NOT NULL`
    IsNotNull,
}

impl Operator {
    /// How it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Like => "LIKE",
            Self::ILike => "ILIKE",
            Self::In => "IN",
            Self::NotIn => "NOT IN",
            Self::IsNull => "IS NULL",
            Self::IsNotNull => "IS NOT NULL",
        }
    }
}

/// A key to order by, and the direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy<K> {
    /// By what.
    pub key: K,
    /// Smallest first.
    pub ascending: bool,
}

/// Which runs are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSearch {
    /// Where to look; none finds nothing.
    pub experiment_ids: Vec<i64>,
    /// Which lifecycle stages.
    pub view: ViewType,
    /// What must be true of them.
    pub filter: Filter<RunClause>,
    /// In which order; then the latest started first, then by id.
    pub order: Vec<OrderBy<RunOrder>>,
    /// How many at most.
    pub limit: u64,
    /// How many to leave out.
    pub offset: u64,
}

/// Which experiments are looked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentSearch {
    /// Which lifecycle stages.
    pub view: ViewType,
    /// What must be true of them.
    pub filter: Filter<ExperimentClause>,
    /// In which order; the latest made first when empty.
    pub order: Vec<OrderBy<ExperimentOrder>>,
    /// How many at most.
    pub limit: u64,
    /// How many to leave out.
    pub offset: u64,
}
