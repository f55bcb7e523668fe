//! What a layer is to hold: [`LayerPlan`], paths and where their content comes from.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where the content of a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A file of this machine; a symbolic link is followed.
    File(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

/// One path of a layer. Everything belongs to root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A folder.
    Folder {
        /// Its permissions, such as 0o755.
        mode: u32,
    },
    /// A file.
    File {
        /// Its content.
        content: Content,
        /// Its permissions, such as 0o644.
        mode: u32,
    },
}

/// What part of an image a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerKind {
    /// The loader, libraries, certificates, time zones, users.
    System,
    /// The program.
    Binary,
    /// ONNX Runtime, and the libraries that only it needs.
    Engine,
    /// The model directory.
    Model,
    /// A layer of the base image.
    Base,
}

impl LayerKind {
    /// A word for tables and progress.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Binary => "mlrs",
            Self::Engine => "engine",
            Self::Model => "model",
            Self::Base => "base",
        }
    }
}

/// The content of a layer, sorted by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerPlan {
    /// What the layer is.
    pub kind: LayerKind,
    /// A line for the history of the image.
    pub comment: String,
    /// Path without a leading slash → entry. Folders above a path are there, too.
    entries: BTreeMap<String, Entry>,
}

impl LayerPlan {
    /// An empty layer.
    pub fn new(kind: LayerKind, comment: impl Into<String>) -> Self {
        Self {
            kind,
            comment: comment.into(),
            entries: BTreeMap::new(),
        }
    }

    /// Adds a file; folders above it come with permissions 0o755.
    pub fn file(&mut self, path: &str, content: Content, mode: u32) {
        self.put(path, Entry::File { content, mode });
    }

    /// Adds a folder.
    pub fn folder(&mut self, path: &str, mode: u32) {
        self.put(path, Entry::Folder { mode });
    }

    fn put(&mut self, path: &str, entry: Entry) {
        let path = path.trim_matches('/');
        for (slash, _) in path.match_indices('/') {
            let above = path[..slash].to_owned();
            self.entries
                .entry(above)
                .or_insert(Entry::Folder { mode: 0o755 });
        }
        self.entries.insert(path.to_owned(), entry);
    }

    /// The paths, in their order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_above_a_file_come_before_it() {
        let mut plan = LayerPlan::new(LayerKind::Model, "");
        plan.folder("/tmp", 0o1777);
        plan.file("/tmp/a/b", Content::Bytes(Vec::new()), 0o644);
        let entries: Vec<_> = plan.entries().collect();
        assert_eq!(
            entries.iter().map(|entry| entry.0).collect::<Vec<_>>(),
            ["tmp", "tmp/a", "tmp/a/b"]
        );
        assert_eq!(entries[0].1, &Entry::Folder { mode: 0o1777 });
    }
}
