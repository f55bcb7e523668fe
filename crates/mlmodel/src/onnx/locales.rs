//! The locales that an ONNX file's operators need of the machine.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use prost::Message as _;

use super::wire::{Attribute, Graph, Model, Node};
use super::{Malformed, OnnxError, read};

/// What ONNX Runtime takes where the operator names none, except on Windows.
const DEFAULT_LOCALE: &str = "en_US.UTF-8";

/// The names of the locales that an engine needs for the ONNX file at this path.
///
/// # Errors
/// When it cannot be read, or is no ONNX file.
pub fn locales_of(path: &Path) -> Result<BTreeSet<String>, OnnxError> {
    locales(&read(path)?).map_err(|problem| problem.at(path))
}

/// The names of the locales that an engine needs for an ONNX model: those that the operator
/// `StringNormalizer` changes or compares the case of letters by.
///
/// # Errors
/// When the content is no ONNX model.
pub fn locales(content: &[u8]) -> Result<BTreeSet<String>, Malformed> {
    let model = Model::decode(content).map_err(Malformed::Message)?;
    let mut found = BTreeSet::new();
    let functions = model.functions.iter().flat_map(|function| &function.nodes);
    let nodes = model.graph.iter().flat_map(|graph| &graph.nodes);
    for node in nodes.chain(functions) {
        visit(node, &mut found);
    }
    Ok(found)
}

/// Nesting is bounded by the decoder.
fn visit(node: &Node, found: &mut BTreeSet<String>) {
    if node.operator == "StringNormalizer" {
        found.extend(locale_of(node));
    }
    let inner = node.attributes.iter().flat_map(graphs);
    for node in inner.flat_map(|graph| &graph.nodes) {
        visit(node, found);
    }
}

fn graphs(attribute: &Attribute) -> impl Iterator<Item = &Graph> {
    attribute.graph.iter().chain(&attribute.graphs)
}

fn locale_of(node: &Node) -> Option<String> {
    let attribute = |name: &str| node.attributes.iter().find(|found| found.name == name);
    let text = |name: &str| attribute(name).map(|found| String::from_utf8_lossy(&found.text));
    let changes_case = text("case_change_action").is_some_and(|action| action != "NONE");
    let is_case_sensitive = attribute("is_case_sensitive").is_some_and(|found| found.number != 0);
    let has_stop_words = attribute("stopwords").is_some_and(|found| !found.texts.is_empty());
    let needs = changes_case || (has_stop_words && !is_case_sensitive);
    let locale = text("locale").map_or_else(|| DEFAULT_LOCALE.to_owned(), Cow::into_owned);
    needs.then_some(locale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, text: &str) -> Attribute {
        Attribute {
            name: name.to_owned(),
            text: text.as_bytes().to_vec(),
            ..Attribute::default()
        }
    }

    fn normalizer(attributes: Vec<Attribute>) -> Node {
        Node {
            operator: "StringNormalizer".to_owned(),
            attributes,
        }
    }

    fn found(nodes: Vec<Node>) -> Vec<String> {
        let model = Model {
            ir_version: 10,
            graph: Some(Graph {
                nodes,
                ..Graph::default()
            }),
            ..Model::default()
        };
        locales(&model.encode_to_vec())
            .unwrap()
            .into_iter()
            .collect()
    }

    #[test]
    fn the_locale_is_that_of_the_operator_or_the_engines_default() {
        let lower = || text("case_change_action", "LOWER");
        assert_eq!(found(vec![normalizer(vec![lower()])]), ["en_US.UTF-8"]);
        let named = normalizer(vec![lower(), text("locale", "tr_TR")]);
        let branch = Node {
            operator: "If".to_owned(),
            attributes: vec![Attribute {
                name: "then_branch".to_owned(),
                graph: Some(Graph {
                    nodes: vec![named.clone()],
                    ..Graph::default()
                }),
                ..Attribute::default()
            }],
        };
        assert_eq!(found(vec![branch]), ["tr_TR"]);
        let other = Node {
            operator: "Tokenizer".to_owned(),
            ..named
        };
        assert!(found(vec![other]).is_empty());
    }

    #[test]
    fn words_as_they_are_need_no_locale() {
        let stop = || Attribute {
            name: "stopwords".to_owned(),
            texts: vec![b"the".to_vec()],
            ..Attribute::default()
        };
        let sensitive = |number| Attribute {
            name: "is_case_sensitive".to_owned(),
            number,
            ..Attribute::default()
        };
        let kept = || text("case_change_action", "NONE");
        let name = || text("locale", "de_DE");
        assert_eq!(found(vec![normalizer(vec![stop(), name()])]), ["de_DE"]);
        assert_eq!(
            found(vec![normalizer(vec![stop(), kept(), sensitive(0), name()])]),
            ["de_DE"]
        );
        assert!(found(vec![normalizer(vec![stop(), kept(), sensitive(1), name()])]).is_empty());
        assert!(found(vec![normalizer(vec![kept(), name()])]).is_empty());
    }
}
