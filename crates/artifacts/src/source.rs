//! What is to be stored: a file of this machine, or bytes. Unlike a stream it has a length, and can be
//! sent again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio_util::io::ReaderStream;

/// Bytes read from a file at a time.
const PIECE: usize = 1 << 20;

/// Is told how many bytes have been read in this attempt.
type Observer = Arc<dyn Fn(u64) + Send + Sync>;

/// Content with a length.
#[derive(Clone)]
pub struct Source {
    origin: Origin,
    observer: Option<Observer>,
}

#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Bytes(Bytes),
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(path) => write!(formatter, "Source({})", path.display()),
            Origin::Bytes(bytes) => write!(formatter, "Source({} bytes)", bytes.len()),
        }
    }
}

impl Source {
    /// The content of a file, read when it is sent.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::of(Origin::File(path.into()))
    }

    /// These bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::of(Origin::Bytes(bytes.into()))
    }

    fn of(origin: Origin) -> Self {
        Self {
            origin,
            observer: None,
        }
    }

    /// Tells `observer` after each piece how many bytes have been read; it starts anew when the
    /// content is sent again.
    #[must_use]
    pub fn observed(mut self, observer: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File(path) => Some(path),
            Origin::Bytes(_) => None,
        }
    }

    /// The length in bytes and the content from its beginning.
    ///
    /// # Errors
    /// When the file cannot be opened, or is a folder.
    pub async fn open(&self) -> std::io::Result<(u64, BoxStream<'static, std::io::Result<Bytes>>)> {
        let (length, stream) = match &self.origin {
            Origin::Bytes(bytes) => {
                let pieces: Vec<_> = Some(bytes.clone())
                    .filter(|bytes| !bytes.is_empty())
                    .map(Ok)
                    .into_iter()
                    .collect();
                (bytes.len() as u64, stream::iter(pieces).boxed())
            }
            Origin::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                let metadata = file.metadata().await?;
                if metadata.is_dir() {
                    return Err(std::io::ErrorKind::IsADirectory.into());
                }
                let stream = ReaderStream::with_capacity(file, PIECE).boxed();
                (metadata.len(), stream)
            }
        };
        let Some(observer) = self.observer.clone() else {
            return Ok((length, stream));
        };
        let mut done = 0;
        let stream = stream.inspect(move |piece| {
            done += piece.as_ref().map_or(0, Bytes::len) as u64;
            observer(done);
        });
        Ok((length, stream.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn content_can_be_read_twice_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, vec![7; PIECE + 1]).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        let source = Source::file(&path).observed(move |done| shared.lock().unwrap().push(done));
        for _ in 0..2 {
            let (length, stream) = source.open().await.unwrap();
            let read: usize = stream
                .map(|piece| piece.unwrap().len())
                .fold(0, |sum, one| async move { sum + one })
                .await;
            assert_eq!((length, read), (PIECE as u64 + 1, PIECE + 1));
            assert_eq!(seen.lock().unwrap().last(), Some(&length));
        }
        let (length, stream) = Source::bytes(Bytes::new()).open().await.unwrap();
        assert_eq!((length, stream.count().await), (0, 0));
        assert!(Source::file(folder.path()).open().await.is_err());
    }
}
