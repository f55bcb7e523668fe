//! Relative artifact paths that are safe to join to a folder.
//!
//! Paths arrive from servers and from archives, so they are hostile until [`ArtifactPath::parse`]
//! took them. A path that becomes dangerous after percent-decoding is refused as well, because
//! a server or a file system layer may decode it once more. Like MLflow's `validate_path_is_safe`,
//! but it refuses instead of rewriting.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

/// Longest path accepted, in bytes; what Linux allows for a whole path.
const MAX_BYTES: usize = 4096;
/// Most segments in a path.
const MAX_SEGMENTS: usize = 128;
/// How often a path is percent-decoded to look for a trick; MLflow's own limit.
const MAX_DECODINGS: usize = 10;

/// A relative path with `/` between its segments; empty for the root of a store.
///
/// No segment is empty, `.` or `..`; there is no backslash, no control character, no drive letter.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactPath(String);

/// Why a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("artifact path `{path}` is not safe: {reason}")]
pub struct PathError {
    /// The path, shortened and with control characters escaped.
    pub path: String,
    /// Which rule it breaks.
    pub reason: &'static str,
}

impl ArtifactPath {
    /// The root of a store.
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Checks a path; the empty text is the root. One slash at the end, as some servers write
    /// folders, is dropped.
    ///
    /// # Errors
    /// When the path, or what it is after percent-decoding, could lead out of its folder.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let text = text
            .strip_suffix('/')
            .filter(|rest| !rest.is_empty())
            .unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::root());
        }
        let refuse = |reason| PathError {
            path: printable(text),
            reason,
        };
        check(text).map_err(refuse)?;
        let mut decoded = text.to_owned();
        for _ in 0..MAX_DECODINGS {
            let next = percent_decode_str(&decoded)
                .decode_utf8_lossy()
                .into_owned();
            if next == decoded {
                return Ok(Self(text.to_owned()));
            }
            check(&next).map_err(|_| refuse("it is not safe after percent-decoding"))?;
            decoded = next;
        }
        Err(refuse("it is percent-encoded too often"))
    }

    /// The path as text, without slashes at either end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The segments from the root on.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// The last segment; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The folder that this is in; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let folder = self.0.rsplit_once('/').map_or("", |(folder, _)| folder);
        Some(Self(folder.to_owned()))
    }

    /// The path of `child` below this one.
    ///
    /// # Errors
    /// When both together are longer than a path may be.
    pub fn join(&self, child: &Self) -> Result<Self, PathError> {
        match (self.is_root(), child.is_root()) {
            (true, _) => Ok(child.clone()),
            (_, true) => Ok(self.clone()),
            _ => Self::parse(&format!("{}/{}", self.0, child.0)),
        }
    }

    /// This path seen from `base`, when it is below it.
    pub fn relative_to(&self, base: &Self) -> Option<Self> {
        if base.is_root() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(base.as_str())?;
        match rest.strip_prefix('/') {
            Some(rest) => Some(Self(rest.to_owned())),
            None => rest.is_empty().then(Self::root),
        }
    }

    /// The place of this artifact below a local folder.
    pub fn below(&self, folder: &Path) -> PathBuf {
        let mut path = folder.to_path_buf();
        path.extend(self.segments());
        path
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The rules, on one spelling of the path.
fn check(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_BYTES {
        return Err("it is too long");
    }
    if text.starts_with('/') {
        return Err("it is absolute");
    }
    if text.contains('\\') {
        return Err("it has a backslash");
    }
    if text.chars().any(char::is_control) {
        return Err("it has a control character");
    }
    if text.as_bytes().get(1) == Some(&b':')
        && text.as_bytes()[0].is_ascii_alphabetic()
        && (cfg!(windows) || text.as_bytes().get(2) == Some(&b'/'))
    {
        return Err("it has a drive letter");
    }
    let mut segments = 0;
    for segment in text.split('/') {
        segments += 1;
        match segment {
            "" => return Err("it has an empty segment"),
            "." | ".." => return Err("it has a segment of dots"),
            _ if segment.len() > 255 => return Err("it has a segment of more than 255 bytes"),
            _ => {}
        }
    }
    if segments > MAX_SEGMENTS {
        return Err("it has too many segments");
    }
    Ok(())
}

/// The text for a message: short, and nothing in it that could drive a terminal.
fn printable(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(120)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(120).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_are_kept_as_they_are() {
        for path in [
            "MLmodel",
            "data/model.onnx",
            "a b/ä/日本.txt",
            "..hidden",
            "a..b/c...",
            "100%/x",
            "a%20b",
            "x#y?z",
            "a:b",
        ] {
            assert_eq!(ArtifactPath::parse(path).unwrap().as_str(), path);
        }
        assert!(ArtifactPath::parse("").unwrap().is_root());
        assert_eq!(ArtifactPath::parse("folder/").unwrap().as_str(), "folder");
    }

    #[test]
    fn hostile_paths_are_refused() {
        let long = "a/".repeat(200) + "b";
        let wide = "x".repeat(256);
        for path in [
            "/etc/passwd",
            "/",
            "//x",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "./a",
            "a/./b",
            "a//b",
            "a//",
            "a\\..\\b",
            "..\\x",
            "C:/x",
            "a\0b",
            "a\nb",
            "%2e%2e/x",
            "%2e%2e%2fx",
            "a/%2E%2E/x",
            "%252e%252e/x",
            "%25252e%25252e%25252fx",
            "%2fetc",
            "a%5cb",
            "a%00b",
            "a%2f%2fb",
            "%43:/x",
            long.as_str(),
            wide.as_str(),
        ] {
            let error = ArtifactPath::parse(path).expect_err(path);
            assert!(
                error.path.len() < 700 && !error.path.contains('\n'),
                "{error}"
            );
        }
    }

    #[test]
    fn endless_encoding_is_refused() {
        let mut path = String::from("a%25");
        for _ in 0..12 {
            path = path.replace('%', "%25");
        }
        assert_eq!(
            ArtifactPath::parse(&path).unwrap_err().reason,
            "it is percent-encoded too often"
        );
    }

    #[test]
    fn joining_and_taking_apart_are_inverse() {
        let base = ArtifactPath::parse("a/b").unwrap();
        let child = ArtifactPath::parse("c/d").unwrap();
        let whole = base.join(&child).unwrap();
        assert_eq!(whole.as_str(), "a/b/c/d");
        assert_eq!(whole.relative_to(&base), Some(child.clone()));
        assert_eq!(base.relative_to(&base), Some(ArtifactPath::root()));
        assert_eq!(
            ArtifactPath::parse("a/bc").unwrap().relative_to(&base),
            None
        );
        assert_eq!(ArtifactPath::root().join(&child).unwrap(), child);
        assert_eq!(whole.name(), "d");
        assert_eq!(whole.parent().unwrap().as_str(), "a/b/c");
        assert_eq!(
            ArtifactPath::parse("a").unwrap().parent(),
            Some(ArtifactPath::root())
        );
        assert_eq!(ArtifactPath::root().parent(), None);
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below_its_folder(text in "[a./%\\\\25ef:CZ\u{0}-\u{1f} ]{0,24}") {
            if let Ok(path) = ArtifactPath::parse(&text) {
                let place = path.below(Path::new("/base/folder"));
                prop_assert!(place.starts_with("/base/folder"));
                let climbs = place.components().any(|part| part == std::path::Component::ParentDir);
                prop_assert!(!climbs);
                prop_assert_eq!(place.strip_prefix("/base/folder").unwrap().components().count(),
                    path.segments().count());
            }
        }
    }
}
