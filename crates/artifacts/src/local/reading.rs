//! Listing directories, and reading files piece by piece.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use cap_std::fs::{Dir, DirEntry, Metadata, OpenOptions, OpenOptionsExt as _};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::task::spawn_blocking;

use super::{LocalStore, UPLOADS};
use crate::path::ArtifactPath;
use crate::store::{Entry, Opened, Stat, StoreError};

/// Bytes read at a time, and held for a reader who is slow.
const PIECE: u64 = 64 << 10;

/// What is in a directory.
#[derive(Default)]
struct Listing {
    found: Vec<Found>,
    /// Names of what cannot be read through the store: links that lead out or nowhere, pipes, and names
    /// that are no text.
    left_out: Vec<String>,
}

struct Found {
    name: String,
    size: Option<u64>,
}

impl LocalStore {
    /// Everything that is listed can be read.
    pub(super) async fn list_directory(
        &self,
        path: &ArtifactPath,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut listing = match self.beneath(path, list).await {
            Err(StoreError::NotFound { .. }) => return Ok(Vec::new()),
            other => other?,
        };
        let mut entries = Vec::with_capacity(listing.found.len());
        for Found { name, size } in listing.found {
            match ArtifactPath::parse(&name).and_then(|name| path.join(&name)) {
                Ok(path) => entries.push(Entry {
                    path,
                    is_directory: size.is_none(),
                    size,
                }),
                Err(_) => listing.left_out.push(name),
            }
        }
        if let Some(example) = listing.left_out.first() {
            let (store, directory) = (self.location.as_str(), path.as_str());
            let count = listing.left_out.len();
            tracing::warn!(
                store,
                directory,
                count,
                example,
                "a listing leaves out what is no artifact: links that lead out or nowhere, pipes, unsafe names"
            );
        }
        entries.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(entries)
    }

    pub(super) async fn stat_of(&self, path: &ArtifactPath) -> Result<Stat, StoreError> {
        let metadata = self
            .beneath(path, |root, place| root.metadata(place))
            .await?;
        let is_directory = metadata.is_dir();
        if !is_directory && !metadata.is_file() {
            return Err(self.not_found(path));
        }
        let size = if is_directory { 0 } else { metadata.len() };
        let modified = metadata
            .modified()
            .ok()
            .map(cap_std::time::SystemTime::into_std);
        let since = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let entity_tag = since.map(|time| format!("{:x}-{size:x}", time.as_nanos()));
        Ok(Stat {
            is_directory,
            size,
            modified,
            entity_tag,
        })
    }

    pub(super) async fn open_file(
        &self,
        path: &ArtifactPath,
        offset: u64,
    ) -> Result<Opened, StoreError> {
        let (file, length) = self.beneath(path, open).await?;
        let place = path.below(&self.root);
        let stream = pieces(file, offset, length)
            .map(move |piece| {
                piece.map_err(|source| StoreError::Local {
                    path: place.clone(),
                    source,
                })
            })
            .boxed();
        Ok(Opened {
            offset,
            length: Some(length),
            entity_tag: None,
            stream,
        })
    }
}

fn list(root: &Dir, place: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in root.open_dir(place)?.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        let shown = name.to_string_lossy().into_owned();
        if shown.eq_ignore_ascii_case(UPLOADS) {
            continue;
        }
        match look_at(root, place, &entry, &shown) {
            Ok(Some(found)) if name.to_str().is_some() => listing.found.push(found),
            // Removed since its name was read, unless it is a link to nowhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link(&entry) => {}
            _ => listing.left_out.push(shown),
        }
    }
    Ok(listing)
}

fn is_link(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_symlink())
}

/// A file or a directory; nothing for what is neither.
fn look_at(root: &Dir, place: &Path, entry: &DirEntry, name: &str) -> io::Result<Option<Found>> {
    let metadata: Metadata = if is_link(entry) {
        root.metadata(place.join(entry.file_name()))?
    } else {
        entry.metadata()?
    };
    let is_file = metadata.is_file();
    Ok((is_file || metadata.is_dir()).then(|| Found {
        name: name.to_owned(),
        size: is_file.then_some(metadata.len()),
    }))
}

/// A file and its length. A pipe is not waited for, and not read.
fn open(root: &Dir, place: &Path) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = root.open_with(place, &options)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok((file.into_std(), metadata.len()))
}

/// The bytes of a file from one place to another. One piece is read while the one before it is sent; a
/// file that was cut since ends earlier.
fn pieces(file: File, from: u64, to: u64) -> BoxStream<'static, io::Result<Bytes>> {
    let file = Arc::new(file);
    let starts = (from..to).step_by(PIECE as usize);
    stream::iter(starts)
        .map(move |start| {
            let (file, length) = (Arc::clone(&file), (to - start).min(PIECE) as usize);
            // It begins before it is waited for.
            let reading = spawn_blocking(move || read_at(&file, start, length));
            async move {
                reading
                    .await
                    .unwrap_or_else(|error| Err(io::Error::other(error)))
            }
        })
        .buffered(2)
        .try_take_while(|piece| std::future::ready(Ok(!piece.is_empty())))
        .boxed()
}

fn read_at(file: &File, start: u64, length: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut piece[filled..], start + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    piece.truncate(filled);
    Ok(piece.into())
}
