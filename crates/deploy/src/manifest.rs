//! Objects as YAML documents, for `kubectl apply -f -` and for a repository.

use crate::objects::Object;
use crate::yaml::Node;

/// The objects as one text, each a document, in their order.
pub fn yaml(objects: &[Object]) -> String {
    let documents = objects
        .iter()
        .map(|object| Node::from(&object.body).document());
    documents.collect::<Vec<_>>().join("---\n")
}
