//! Decodes an ONNX file from the disk in pieces: what nobody asked for is skipped by seeking, so a
//! model of gigabytes costs 64 KiB.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use bytes::Buf;

use crate::ExamineError;
use crate::wire::Model;

/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;

/// Decodes the model in the file.
pub(crate) fn decode(path: &Path) -> Result<Model, ExamineError> {
    let mut source = Source::open(path).map_err(ExamineError::Read)?;
    let decoded = <Model as prost::Message>::decode(&mut source);
    match source.failed {
        Some(error) => Err(ExamineError::Read(error)),
        None => decoded.map_err(ExamineError::Decode),
    }
}

/// A file as the buffer that `prost` decodes from. A buffer cannot fail, so a file that does ends
/// here, and the error is kept.
struct Source {
    file: File,
    piece: Vec<u8>,
    /// Where the unread part of the piece begins.
    start: usize,
    remaining: usize,
    failed: Option<io::Error>,
}

impl Source {
    fn open(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        // A named pipe would block for ever.
        if !metadata.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let mut source = Self {
            file: File::open(path)?,
            piece: Vec::with_capacity(PIECE),
            start: 0,
            remaining: usize::try_from(metadata.len()).unwrap_or(usize::MAX),
            failed: None,
        };
        source.read_piece()?;
        Ok(source)
    }

    fn read_piece(&mut self) -> io::Result<()> {
        self.piece.clear();
        self.start = 0;
        let wanted = self.remaining.min(PIECE);
        let read = (&mut self.file)
            .take(wanted as u64)
            .read_to_end(&mut self.piece)?;
        if read < wanted {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(())
    }

    fn skip(&mut self, count: usize) -> io::Result<()> {
        if count > 0 {
            let count = i64::try_from(count).map_err(io::Error::other)?;
            self.file.seek(SeekFrom::Current(count))?;
        }
        self.read_piece()
    }
}

impl Buf for Source {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.piece.get(self.start..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        let count = count.min(self.remaining);
        let unread = self.piece.len() - self.start;
        self.remaining -= count;
        if count < unread {
            self.start += count;
        } else if let Err(error) = self.skip(count - unread) {
            self.failed = Some(error);
            self.piece.clear();
            self.start = 0;
            self.remaining = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::wire::{Graph, Node, Tensor, TensorFields};

    #[test]
    fn large_weights_are_skipped_and_small_ones_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.onnx");
        let tensor = |name: &str, values: usize| {
            Tensor(TensorFields {
                dims: vec![values as i64],
                data_type: 7,
                name: name.to_owned(),
                raw_data: (0..values as i64).flat_map(i64::to_le_bytes).collect(),
                ..TensorFields::default()
            })
        };
        let graph = Graph {
            node: vec![Node {
                op_type: "Relu".to_owned(),
                ..Node::default()
            }],
            initializer: vec![tensor("large", 100_000), tensor("small", 3)],
            ..Graph::default()
        };
        let model = Model {
            ir_version: 9,
            graph: Some(graph),
            ..Model::default()
        };
        std::fs::write(&path, model.encode_to_vec()).unwrap();
        let read = decode(&path).unwrap().graph.unwrap();
        assert_eq!(read.initializer[0].integers(), None);
        assert_eq!(
            read.initializer[1].integers(),
            Some(vec![Some(0), Some(1), Some(2)])
        );
        assert_eq!(read.node[0].op_type, "Relu");
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.onnx");
        for content in [&b"\xff\xff\xff\xff"[..], b"\x3a\xff\xff\x03"] {
            std::fs::write(&path, content).unwrap();
            assert!(matches!(decode(&path), Err(ExamineError::Decode(_))));
        }
        assert!(matches!(decode(folder.path()), Err(ExamineError::Read(_))));
    }
}
