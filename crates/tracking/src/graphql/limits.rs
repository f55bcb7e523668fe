//! MLflow's limits on documents: how deep, how many fields, how many aliases.
//!
//! They are counted on what was written, before it is validated, with fragments put in their place;
//! a fragment that contains itself ends at the limit of depth.

use std::collections::{HashMap, HashSet};

use apollo_compiler::Node;
use apollo_compiler::ast::{Definition, Document, Field, Selection};

/// Levels of a document.
const DEPTH: usize = 10;
/// Fields of a document.
const SELECTIONS: usize = 1000;

/// The limits that an operator can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphqlLimits {
    /// Fields at the root of all operations: `MLFLOW_SERVER_GRAPHQL_MAX_ROOT_FIELDS`.
    pub root_fields: usize,
    /// Aliases of one level: `MLFLOW_SERVER_GRAPHQL_MAX_ALIASES`.
    pub aliases: usize,
}

impl Default for GraphqlLimits {
    /// Ten of each.
    fn default() -> Self {
        Self {
            root_fields: 10,
            aliases: 10,
        }
    }
}

/// Which limit a document exceeds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMuch {
    #[error("Query exceeds maximum depth of {DEPTH}")]
    Depth,
    #[error("Query exceeds maximum total selections of {SELECTIONS}")]
    Selections,
    #[error(
        "GraphQL queries should have at most {limit} {what}, got {found} {what}. To increase the \
         limit, set the {variable} environment variable."
    )]
    Count {
        what: &'static str,
        limit: usize,
        found: usize,
        variable: &'static str,
    },
}

impl GraphqlLimits {
    /// Checks a document.
    pub(crate) fn check(&self, document: &Document) -> Result<(), TooMuch> {
        let found = Counts::of(document)?;
        if found.root_fields > self.root_fields {
            return Err(TooMuch::Count {
                what: "root fields",
                limit: self.root_fields,
                found: found.root_fields,
                variable: "MLFLOW_SERVER_GRAPHQL_MAX_ROOT_FIELDS",
            });
        }
        if found.aliases > self.aliases {
            return Err(TooMuch::Count {
                what: "aliases",
                limit: self.aliases,
                found: found.aliases,
                variable: "MLFLOW_SERVER_GRAPHQL_MAX_ALIASES",
            });
        }
        Ok(())
    }
}

type Fragments<'a> = HashMap<&'a str, &'a [Selection]>;

#[derive(Default)]
struct Counts {
    root_fields: usize,
    /// Of the level that has most.
    aliases: usize,
    selections: usize,
}

impl Counts {
    fn of(document: &Document) -> Result<Self, TooMuch> {
        let mut fragments = Fragments::new();
        for definition in &document.definitions {
            if let Definition::FragmentDefinition(fragment) = definition {
                fragments.insert(&fragment.name, &fragment.selection_set);
            }
        }
        let mut counts = Self::default();
        for definition in &document.definitions {
            if let Definition::OperationDefinition(operation) = definition {
                counts.add(&operation.selection_set, &fragments)?;
            }
        }
        Ok(counts)
    }

    fn add(&mut self, operation: &[Selection], fragments: &Fragments) -> Result<(), TooMuch> {
        let mut levels = vec![(operation, 1)];
        while let Some((selections, depth)) = levels.pop() {
            if depth > DEPTH {
                return Err(TooMuch::Depth);
            }
            let fields = fields_of(selections, fragments);
            let aliases = fields.iter().filter(|field| field.alias.is_some()).count();
            self.aliases = self.aliases.max(aliases);
            for field in fields {
                self.root_fields += usize::from(depth == 1);
                self.selections += 1;
                if self.selections > SELECTIONS {
                    return Err(TooMuch::Selections);
                }
                if !field.selection_set.is_empty() {
                    levels.push((&field.selection_set, depth + 1));
                }
            }
        }
        Ok(())
    }
}

/// The fields of one level, also those of fragments; each fragment counts once.
fn fields_of<'a>(selections: &'a [Selection], fragments: &Fragments<'a>) -> Vec<&'a Node<Field>> {
    let mut fields = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![selections];
    while let Some(selections) = open.pop() {
        for selection in selections {
            match selection {
                Selection::Field(field) => fields.push(field),
                Selection::InlineFragment(fragment) => open.push(&fragment.selection_set),
                Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name.as_str();
                    if seen.insert(name) {
                        open.extend(fragments.get(name));
                    }
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let document = Document::parse(text, "query").unwrap();
        let checked = GraphqlLimits::default().check(&document);
        checked.map_err(|error| error.to_string())
    }

    fn aliases(count: usize) -> String {
        let aliases: Vec<_> = (0..count).map(|index| format!("a{index}: test")).collect();
        aliases.join(" ")
    }

    #[test]
    fn fields_and_aliases_are_counted() {
        check(&format!("{{ {} }}", aliases(10))).unwrap();
        let error = check(&format!("{{ {} }}", aliases(11))).unwrap_err();
        assert!(error.contains("at most 10 root fields, got 11"), "{error}");
        let error = check(&format!("{{ test {{ {} }} }}", aliases(11))).unwrap_err();
        assert!(error.contains("at most 10 aliases, got 11"), "{error}");
        let many = "test ".repeat(1000);
        let error = check(&format!("{{ test {{ {many} }} }}")).unwrap_err();
        assert_eq!(error, "Query exceeds maximum total selections of 1000");
    }

    #[test]
    fn fragments_hide_nothing() {
        let fragment = |name: &str| format!("fragment {name} on Query {{ {} }}", aliases(6));
        let text = format!(
            "{{ ...A ... {{ ...B }} }} {} {}",
            fragment("A"),
            fragment("B")
        );
        assert!(check(&text).unwrap_err().contains("got 12 root fields"));
        let endless = "{ test { ...A } } fragment A on Test { test { ...A } }";
        assert_eq!(
            check(endless).unwrap_err(),
            "Query exceeds maximum depth of 10"
        );
    }

    #[test]
    fn depth_is_counted() {
        let nested = |levels: usize| format!("{}{}", "{ a ".repeat(levels), "}".repeat(levels));
        check(&nested(10)).unwrap();
        assert!(check(&nested(11)).is_err());
    }
}
