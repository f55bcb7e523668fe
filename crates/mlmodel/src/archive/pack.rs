//! Packs a model directory: [`pack`]. Same directory, same bytes: names sorted, one time, one mode.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use super::{ArchiveError, PIECE, Progress};
use crate::manifest::FILE_NAME;
use crate::staging::Partial;

/// Files from here on get the larger sizes of ZIP64; a bit below 4 GiB, as deflate can add some.
const LARGE: u64 = 0xf000_0000;

/// What was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// How many files.
    pub files: usize,
    /// Their bytes together, before compression.
    pub bytes: u64,
    /// The size of the archive in bytes.
    pub archive_bytes: u64,
}

/// Packs all files of a model directory into a zip archive, which replaces what is at that path.
/// The `MLmodel` file ends up at the root of the archive.
///
/// # Errors
/// When there is no `MLmodel` file, something is neither a file nor a directory, a name is not UTF-8,
/// or the archive would lie inside the directory. No archive is left behind then.
pub fn pack(
    directory: &Path,
    archive: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Packed, ArchiveError> {
    if !directory.join(FILE_NAME).is_file() {
        return Err(ArchiveError::NoManifest {
            path: directory.to_owned(),
        });
    }
    refuse_inside(directory, archive)?;
    let items = items(directory)?;
    let total = items
        .iter()
        .fold(0_u64, |total, item| total.saturating_add(item.size));
    let (partial, file) = Partial::file_beside(archive)?;
    let unwritable = |source| ArchiveError::Io {
        action: "write",
        path: archive.to_owned(),
        source,
    };
    let mut writer = ZipWriter::new(BufWriter::new(file));
    let mut packed = Packed {
        files: 0,
        bytes: 0,
        archive_bytes: 0,
    };
    for item in &items {
        write_item(
            &mut writer,
            item,
            archive,
            &mut packed,
            |name, done_bytes| {
                progress(Progress {
                    name,
                    done_bytes,
                    total_bytes: total,
                });
            },
        )?;
    }
    let buffered = writer.finish().map_err(|error| unwritable(error.into()))?;
    let file = buffered
        .into_inner()
        .map_err(|error| unwritable(error.into_error()))?;
    packed.archive_bytes = file.metadata().map_err(unwritable)?.len();
    file.sync_all().map_err(unwritable)?;
    partial.finish(archive)?;
    Ok(packed)
}

fn refuse_inside(directory: &Path, archive: &Path) -> Result<(), ArchiveError> {
    let parent = archive
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let inside = fs::canonicalize(parent.unwrap_or(Path::new(".")))
        .and_then(|parent| Ok(parent.starts_with(fs::canonicalize(directory)?)));
    if inside.unwrap_or(false) {
        return Err(ArchiveError::InsideItself {
            path: archive.to_owned(),
        });
    }
    Ok(())
}

/// Something below a model directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its path relative to the directory, with slashes.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is a directory; everything else is a file.
    pub is_directory: bool,
    /// Its size in bytes; 0 for a directory.
    pub size: u64,
}

/// Everything below the directory, sorted by name. Empty directories are kept.
///
/// # Errors
/// When something is neither a file nor a directory, a symbolic link among them, a name is not UTF-8,
/// or a directory cannot be read.
pub fn items(directory: &Path) -> Result<Vec<Item>, ArchiveError> {
    let mut items = Vec::new();
    let mut waiting = vec![(directory.to_owned(), String::new())];
    while let Some((path, prefix)) = waiting.pop() {
        let unreadable = |source| ArchiveError::Io {
            action: "read",
            path: path.clone(),
            source,
        };
        for entry in fs::read_dir(&path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let item = item(&entry, &prefix)?;
            if item.is_directory {
                waiting.push((item.path.clone(), format!("{}/", item.name)));
            }
            items.push(item);
        }
    }
    items.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(items)
}

fn item(entry: &fs::DirEntry, prefix: &str) -> Result<Item, ArchiveError> {
    let path = entry.path();
    let refused = |problem| ArchiveError::NotPackable {
        path: path.clone(),
        problem,
    };
    let unreadable = |source| ArchiveError::Io {
        action: "read",
        path: path.clone(),
        source,
    };
    let name = entry
        .file_name()
        .into_string()
        .map_err(|_| refused("its name is not UTF-8"))?;
    if name.contains('\\') || name.chars().any(char::is_control) {
        return Err(refused("its name has a backslash or control characters"));
    }
    let kind = entry.file_type().map_err(unreadable)?;
    if kind.is_symlink() {
        return Err(refused("it is a symbolic link"));
    }
    if !kind.is_dir() && !kind.is_file() {
        return Err(refused("it is neither a file nor a directory"));
    }
    let size = if kind.is_file() {
        entry.metadata().map_err(unreadable)?.len()
    } else {
        0
    };
    Ok(Item {
        name: format!("{prefix}{name}"),
        is_directory: kind.is_dir(),
        size,
        path,
    })
}

fn write_item<W: Write + Seek>(
    writer: &mut ZipWriter<W>,
    item: &Item,
    archive: &Path,
    packed: &mut Packed,
    mut progress: impl FnMut(&str, u64),
) -> Result<(), ArchiveError> {
    let unwritable = |source: io::Error| ArchiveError::Io {
        action: "write",
        path: archive.to_owned(),
        source,
    };
    let unreadable = |source: io::Error| ArchiveError::Io {
        action: "read",
        path: item.path.clone(),
        source,
    };
    let options = SimpleFileOptions::default()
        .last_modified_time(DateTime::DEFAULT)
        .system(System::Unix);
    if item.is_directory {
        let options = options
            .compression_method(CompressionMethod::Stored)
            .unix_permissions(0o755);
        return writer
            .add_directory(&*item.name, options)
            .map_err(|error| unwritable(error.into()));
    }
    let options = options
        .compression_method(CompressionMethod::Deflated)
        .unix_permissions(0o644)
        .large_file(item.size >= LARGE);
    writer
        .start_file(&*item.name, options)
        .map_err(|error| unwritable(error.into()))?;
    let mut file = File::open(&item.path).map_err(unreadable)?;
    let mut piece = vec![0_u8; PIECE];
    loop {
        progress(&item.name, packed.bytes);
        let count = file.read(&mut piece).map_err(unreadable)?;
        if count == 0 {
            break;
        }
        writer.write_all(&piece[..count]).map_err(unwritable)?;
        packed.bytes += count as u64;
    }
    packed.files += 1;
    Ok(())
}
