//! What an archive says about its entries, checked before anything is written: [`plan`].

use std::collections::HashSet;
use std::io::{Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::read::ZipFileEntry;

use super::{ArchiveError, Limits};
use crate::manifest::FILE_NAME;
use crate::signature::shorten;

/// File systems allow no longer names.
const LONGEST_PART: usize = 255;
/// Far below the limit of the operating system, which counts the destination too.
const LONGEST_NAME: usize = 2048;
/// How many folders may nest.
const DEEPEST: usize = 64;

/// An entry that will be written.
#[derive(Debug)]
pub(super) struct Planned {
    /// Its place in the archive.
    pub index: usize,
    /// Its path, relative to the model directory; `/` between the parts.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Its size as the archive declares it, in bytes.
    pub size: u64,
}

/// All entries to write, parents before children, with the single top folder removed.
pub(super) fn plan<R: Read + Seek>(
    archive: &ZipArchive<R>,
    path: &Path,
    limits: &Limits,
) -> Result<Vec<Planned>, ArchiveError> {
    if archive.len() > limits.entries {
        return Err(ArchiveError::TooManyEntries {
            entries: archive.len() as u64,
            limit: limits.entries,
        });
    }
    let damaged = |source| ArchiveError::NotAnArchive {
        path: path.to_owned(),
        source,
    };
    let mut entries = Vec::with_capacity(archive.len());
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index).map_err(damaged)?;
        let name = entry.name().map_err(damaged)?;
        // Finder adds these beside the model.
        if name.starts_with("__MACOSX/") || name == ".DS_Store" {
            continue;
        }
        entries.push(check(&entry, index, &name)?);
    }
    refuse_collisions(&entries)?;
    let mut entries = strip_top(entries).ok_or_else(|| ArchiveError::NoManifest {
        path: path.to_owned(),
    })?;
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(entries)
}

fn check(entry: &ZipFileEntry<'_>, index: usize, name: &str) -> Result<Planned, ArchiveError> {
    let shown = || shorten(name);
    let path = name.strip_suffix('/').unwrap_or(name);
    if let Some(problem) = unsafe_name(path) {
        return Err(ArchiveError::UnsafeName {
            entry: shown(),
            problem,
        });
    }
    let is_directory = kind(entry, name).map_err(|kind| ArchiveError::UnsafeKind {
        entry: shown(),
        kind,
    })?;
    if entry.encrypted() {
        return Err(ArchiveError::Encrypted { entry: shown() });
    }
    let method = entry.compression();
    if method != zip::CompressionMethod::Stored && method != zip::CompressionMethod::Deflated {
        return Err(ArchiveError::Method {
            entry: shown(),
            method: method.to_string(),
        });
    }
    let size = if is_directory { 0 } else { entry.size() };
    Ok(Planned {
        index,
        name: path.to_owned(),
        is_directory,
        size,
    })
}

/// Whether it is a directory; else what it is that it may not be.
fn kind(entry: &ZipFileEntry<'_>, name: &str) -> Result<bool, &'static str> {
    let said = entry.unix_mode().map_or(0, |mode| mode & 0o170_000);
    let is_directory = name.ends_with('/') || said == 0o040_000;
    match said {
        0o120_000 => Err("symbolic link"),
        0o010_000 => Err("named pipe"),
        0o140_000 => Err("socket"),
        0o020_000 | 0o060_000 => Err("device"),
        _ if is_directory && entry.size() > 0 => Err("directory with content"),
        _ => Ok(is_directory),
    }
}

/// What is wrong with a name; nothing when it is a plain relative path.
fn unsafe_name(name: &str) -> Option<&'static str> {
    let bytes = name.as_bytes();
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.starts_with('/') {
        return Some("it is absolute");
    }
    if name.contains('\\') {
        return Some("it has a backslash");
    }
    if bytes.len() > 1 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
        return Some("it names a drive");
    }
    if name.chars().any(char::is_control) {
        return Some("it has control characters");
    }
    if name.len() > LONGEST_NAME || name.split('/').count() > DEEPEST {
        return Some("it is too long or too deep");
    }
    name.split('/').find_map(|part| match part {
        "" => Some("it has an empty part"),
        "." => Some("it has a `.`"),
        ".." => Some("it has a `..`"),
        long if long.len() > LONGEST_PART => Some("it is too long or too deep"),
        _ => None,
    })
}

/// The reader of the archive sees identical raw names only; here `a` meets `a/`, and `a/b`.
fn refuse_collisions(entries: &[Planned]) -> Result<(), ArchiveError> {
    let mut files = HashSet::with_capacity(entries.len());
    let mut directories = HashSet::new();
    for entry in entries {
        let set = if entry.is_directory {
            &mut directories
        } else {
            &mut files
        };
        if !set.insert(entry.name.as_str()) {
            return Err(ArchiveError::Duplicate {
                entry: shorten(&entry.name),
            });
        }
    }
    for entry in entries {
        let above = entry
            .name
            .match_indices('/')
            .map(|(end, _)| &entry.name[..end]);
        let own = entry.is_directory.then_some(entry.name.as_str());
        if let Some(both) = above.chain(own).find(|directory| files.contains(directory)) {
            return Err(ArchiveError::Conflict {
                entry: shorten(both),
            });
        }
    }
    Ok(())
}

/// The entries relative to the folder with the `MLmodel` file: the root, or the only top folder.
fn strip_top(mut entries: Vec<Planned>) -> Option<Vec<Planned>> {
    let is_manifest = |entry: &Planned, name: &str| !entry.is_directory && entry.name == name;
    if entries.iter().any(|entry| is_manifest(entry, FILE_NAME)) {
        return Some(entries);
    }
    let top = entries.first()?.name.split('/').next()?.to_owned();
    let inside = format!("{top}/");
    let only = entries
        .iter()
        .all(|entry| entry.name == top || entry.name.starts_with(&inside));
    if !only
        || !entries
            .iter()
            .any(|entry| is_manifest(entry, &format!("{inside}{FILE_NAME}")))
    {
        return None;
    }
    entries.retain(|entry| entry.name != top);
    for entry in &mut entries {
        entry.name.drain(..inside.len());
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_names_are_found() {
        for name in [
            "", "/a", "../a", "a/../b", "a/..", "./a", "a//b", "a\\b", "C:/a", "c:a", "a\0b",
            "a\nb",
        ] {
            assert!(unsafe_name(name).is_some(), "{name:?}");
        }
        assert!(unsafe_name(&"a/".repeat(70)).is_some());
        assert!(unsafe_name(&"a".repeat(300)).is_some());
    }

    #[test]
    fn common_names_are_safe() {
        for name in [
            "MLmodel",
            "data/model.onnx",
            "a..b",
            "...",
            "ä/ö",
            "with space",
            "trailing.",
        ] {
            assert_eq!(unsafe_name(name), None, "{name:?}");
        }
    }
}
