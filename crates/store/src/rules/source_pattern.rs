//! What the source of a model version must look like, by the operator's choice.
//!
//! MLflow matches with Python's `re.search`. Patterns that mean the same in both are taken; what
//! Python alone knows (look-around, references back), and what both know with different meanings, is
//! refused rather than taken for something else. One difference stays, on the safe side: `$` does
//! not match before a line break at the end.

use regex::Regex;
use regex_syntax::ast::{self, AssertionKind, Ast, ClassSetBinaryOp, ClassSetItem};

use crate::error::StoreError;

/// A pattern that is found somewhere in every source; by default any source.
#[derive(Debug, Clone, Default)]
pub struct SourcePattern(Option<Regex>);

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` for sources of model versions cannot be used: {reason}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl SourcePattern {
    /// A pattern; an empty one takes any source.
    ///
    /// # Errors
    /// When it is no pattern, or Python reads it otherwise.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        if pattern.is_empty() {
            return Ok(Self::default());
        }
        let refused = |reason| PatternError {
            pattern: pattern.to_owned(),
            reason,
        };
        let at = |kind: &dyn std::fmt::Display, span: &ast::Span| {
            refused(format!("{kind}, at character {}", span.start.column))
        };
        let tree = ast::parse::Parser::new().parse(pattern);
        let tree = tree.map_err(|error| at(error.kind(), error.span()))?;
        ast::visit(&tree, Alike).map_err(|(what, span)| at(&what, &span))?;
        regex_syntax::parse(pattern).map_err(|error| match &error {
            regex_syntax::Error::Parse(error) => at(error.kind(), error.span()),
            regex_syntax::Error::Translate(error) => at(error.kind(), error.span()),
            _ => refused("it cannot be parsed".to_owned()),
        })?;
        let compiled = Regex::new(pattern);
        let compiled = compiled.map_err(|_| refused("it is too large".to_owned()))?;
        Ok(Self(Some(compiled)))
    }

    /// Refuses a source in which the pattern is not found.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, source: &str) -> Result<(), StoreError> {
        match &self.0 {
            Some(pattern) if !pattern.is_match(source) => Err(StoreError::invalid(format!(
                "Invalid model version source: '{source}'."
            ))),
            _ => Ok(()),
        }
    }
}

/// Finds what Python reads otherwise, with its place.
struct Alike;

type Found = (&'static str, ast::Span);

impl ast::Visitor for Alike {
    type Output = ();
    type Err = Found;

    fn finish(self) -> Result<(), Found> {
        Ok(())
    }

    fn visit_pre(&mut self, tree: &Ast) -> Result<(), Found> {
        match tree {
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText
                | AssertionKind::WordBoundary
                | AssertionKind::NotWordBoundary => Ok(()),
                _ => Err(("Python has no such word boundary", assertion.span)),
            },
            Ast::Repetition(outer) if matches!(*outer.ast, Ast::Repetition(_)) => Err((
                "possessive and multiple repetition is not supported",
                outer.op.span,
            )),
            _ => Ok(()),
        }
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Found> {
        match item {
            ClassSetItem::Bracketed(_) | ClassSetItem::Ascii(_) => Err((
                "a `[` within a character class must be written as `\\[`",
                *item.span(),
            )),
            _ => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, operation: &ClassSetBinaryOp) -> Result<(), Found> {
        let reason = "operations on character classes are not supported";
        Err((reason, operation.span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, source: &str) -> bool {
        SourcePattern::parse(pattern).unwrap().check(source).is_ok()
    }

    #[test]
    fn a_pattern_is_searched_for_unless_it_is_anchored() {
        assert!(takes("", "anything"));
        assert!(takes("box", "s3://my-box/x"));
        assert!(takes("^s3://(a|b)-box/", "s3://b-box/x"));
        assert!(!takes("^s3://", "x s3://box"));
        assert!(takes(
            r"^mlflow-artifacts:/\d+/\w{32}/artifacts/.+$",
            &format!("mlflow-artifacts:/1/{}/artifacts/m", "a".repeat(32))
        ));
        assert!(!takes("^s3://box/x$", "s3://box/x/y"));
        assert!(takes("(?i)^S3:", "s3:x"));
        assert!(takes("(?P<scheme>s3|gs)://[a-z.-]+?/", "gs://b.x/y"));
    }

    #[test]
    fn what_python_reads_otherwise_is_refused_with_its_place() {
        for (pattern, place) in [
            ("(?=x)", "look-around"),
            (r"(a)\1", "backreferences"),
            ("(", "unclosed group"),
            ("s3://[", "unclosed character class"),
            (r"\<box\>", "word boundary, at character 1"),
            ("[a&&b]", "operations on character classes"),
            ("x[[:alpha:]]", "`\\[`, at character 3"),
            ("a++b", "possessive"),
            ("a{5,2}", "invalid repetition"),
            (r"\w{1000}{1000}", "repetition"),
            (r"(\w{1000}){1000}", "too large"),
        ] {
            let error = SourcePattern::parse(pattern).unwrap_err();
            assert!(error.reason.contains(place), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
