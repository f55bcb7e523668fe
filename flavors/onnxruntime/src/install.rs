//! Takes the shared library of ONNX Runtime out of an official wheel, and lists what is installed.
//!
//! A wheel is a zip archive; the library is `onnxruntime/capi/libonnxruntime.so.VERSION`. Nothing
//! else of it is needed. The wheel is hostile until checked: its digest when one is given, sizes,
//! and the header of the library. Downloading is not done here.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::library::{MINIMUM_VERSION, Version, elf_problem};
use crate::locate::library_name;

/// No wheel of ONNX Runtime comes near it.
const LARGEST_WHEEL: u64 = 1 << 30;
/// Nor does its library.
const LARGEST_LIBRARY: u64 = 512 << 20;
const FOLDER: &str = "onnxruntime/capi/";

/// An installed library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installed {
    /// Its version.
    pub version: Version,
    /// The file.
    pub path: PathBuf,
}

/// Why a wheel was not installed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say what the variants are")]
pub enum InstallError {
    #[error("`{}` cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("`{}` is not a wheel", path.display())]
    NotAWheel {
        path: PathBuf,
        source: zip::result::ZipError,
    },
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("`{}` has the SHA-256 digest {found}, not {wanted}", path.display())]
    Digest {
        path: PathBuf,
        found: String,
        wanted: String,
    },
    #[error("`{}` holds no `{FOLDER}libonnxruntime.so.VERSION`", path.display())]
    NoLibrary { path: PathBuf },
    #[error("`{}` holds a library that does not fit: {why}", path.display())]
    Unfit { path: PathBuf, why: &'static str },
    #[error("`{}` holds ONNX Runtime {version}, but at least {} is needed", path.display(), MINIMUM_VERSION)]
    TooOld { path: PathBuf, version: Version },
}

impl InstallError {
    /// What the user can do, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { .. } | Self::Write { .. } => None,
            Self::Digest { .. } => {
                Some("the file is not the one that the digest is of: download both again")
            }
            _ => Some(
                "download the `onnxruntime` wheel for this platform again, or run `mlrs onnxruntime install` without --wheel",
            ),
        }
    }
}

/// Installs the library of the wheel at `wheel` as `CACHE/onnxruntime/VERSION/libonnxruntime.so.VERSION`.
///
/// The library appears whole or not at all. `sha256` is the expected digest of the wheel in
/// hexadecimal; `progress` is called with the bytes written and the bytes in all.
///
/// # Errors
/// When the wheel is not what it should be, or the cache cannot be written.
pub fn from_wheel(
    wheel: &Path,
    cache: &Path,
    sha256: Option<&str>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Installed, InstallError> {
    let unreadable = |source| InstallError::Read {
        path: wheel.to_path_buf(),
        source,
    };
    let mut file = File::open(wheel).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() > LARGEST_WHEEL {
        return Err(InstallError::TooLarge {
            path: wheel.to_path_buf(),
            limit: LARGEST_WHEEL,
        });
    }
    if let Some(wanted) = sha256 {
        check_digest(wheel, &mut file, wanted)?;
    }
    let mut archive = ZipArchive::new(file).map_err(|source| not_a_wheel(wheel, source))?;
    let (index, version) = find(&archive).ok_or_else(|| InstallError::NoLibrary {
        path: wheel.to_path_buf(),
    })?;
    if version < MINIMUM_VERSION {
        return Err(InstallError::TooOld {
            path: wheel.to_path_buf(),
            version,
        });
    }
    let folder = cache.join("onnxruntime").join(version.to_string());
    std::fs::create_dir_all(&folder).map_err(|source| InstallError::Write {
        path: folder.clone(),
        source,
    })?;
    let path = folder.join(format!("libonnxruntime.so.{version}"));
    extract(wheel, &mut archive, index, &path, progress)?;
    Ok(Installed { version, path })
}

/// What is installed in the cache, newest first; versions that are too old are left out.
pub fn installed(cache: &Path) -> Vec<Installed> {
    let Ok(folders) = std::fs::read_dir(cache.join("onnxruntime")) else {
        return Vec::new();
    };
    let mut found: Vec<Installed> = folders
        .flatten()
        .filter_map(|folder| {
            let version = Version::parse(folder.file_name().to_str()?)?;
            let path = folder.path().join(format!("libonnxruntime.so.{version}"));
            (version >= MINIMUM_VERSION && path.is_file()).then_some(Installed { version, path })
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found
}

fn not_a_wheel(wheel: &Path, source: zip::result::ZipError) -> InstallError {
    InstallError::NotAWheel {
        path: wheel.to_path_buf(),
        source,
    }
}

fn check_digest(wheel: &Path, file: &mut File, wanted: &str) -> Result<(), InstallError> {
    let unreadable = |source| InstallError::Read {
        path: wheel.to_path_buf(),
        source,
    };
    let mut digest = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let count = file.read(&mut buffer).map_err(unreadable)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
    }
    file.rewind().map_err(unreadable)?;
    let found = hex::encode(digest.finalize());
    if found.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(InstallError::Digest {
        path: wheel.to_path_buf(),
        found,
        wanted: wanted.to_owned(),
    })
}

/// The member that is the library, and its version. A wheel has the same file under two names at
/// most; the full version wins.
fn find(archive: &ZipArchive<File>) -> Option<(usize, Version)> {
    let libraries = archive.file_names().filter_map(|name| {
        let name = name.ok()?;
        let version = library_name(name.strip_prefix(FOLDER)?)?;
        Some((archive.index_for_name(&name)?, version))
    });
    libraries
        .filter(|(_, version)| version.major > 0)
        .max_by_key(|(_, version)| *version)
}

fn extract(
    wheel: &Path,
    archive: &mut ZipArchive<File>,
    index: usize,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), InstallError> {
    let unwritable = |source| InstallError::Write {
        path: path.to_path_buf(),
        source,
    };
    let mut member = archive
        .by_index(index)
        .map_err(|source| not_a_wheel(wheel, source))?;
    let total = member.size();
    if total > LARGEST_LIBRARY {
        return Err(InstallError::TooLarge {
            path: wheel.to_path_buf(),
            limit: LARGEST_LIBRARY,
        });
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    // A temporary file in the same folder: renaming is atomic, and a failure removes it.
    let mut target = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    copy(
        wheel,
        path,
        &mut member,
        target.as_file_mut(),
        total,
        progress,
    )?;
    target.as_file().sync_all().map_err(unwritable)?;
    target
        .persist(path)
        .map_err(|error| unwritable(error.error))?;
    // The name must survive a power failure too.
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(unwritable)
}

fn copy(
    wheel: &Path,
    path: &Path,
    member: &mut dyn Read,
    target: &mut File,
    total: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), InstallError> {
    let mut buffer = vec![0_u8; 1 << 18];
    let mut written = 0_u64;
    loop {
        let count = fill(member, &mut buffer).map_err(|source| InstallError::Read {
            path: wheel.to_path_buf(),
            source,
        })?;
        if written == 0
            && let Some(why) = elf_problem(&buffer[..count])
        {
            return Err(InstallError::Unfit {
                path: wheel.to_path_buf(),
                why,
            });
        }
        if count == 0 {
            return Ok(());
        }
        written += count as u64;
        if written > total {
            return Err(InstallError::TooLarge {
                path: wheel.to_path_buf(),
                limit: total,
            });
        }
        let unwritable = |source| InstallError::Write {
            path: path.to_path_buf(),
            source,
        };
        target.write_all(&buffer[..count]).map_err(unwritable)?;
        progress(written, total);
    }
}

/// Reads until the buffer is full or the end is reached.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use zip::write::SimpleFileOptions;

    use super::*;

    fn library() -> Vec<u8> {
        let mut bytes = vec![0_u8; 600_000];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18] = if cfg!(target_arch = "aarch64") {
            183
        } else {
            62
        };
        bytes
    }

    fn wheel(folder: &Path, members: &[(&str, &[u8])]) -> PathBuf {
        let path = folder.join("some.whl");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in members {
            writer
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn install(wheel: &Path, cache: &Path) -> Result<Installed, InstallError> {
        from_wheel(wheel, cache, None, &mut |_, _| {})
    }

    #[test]
    fn installs_the_library_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("cache");
        let bytes = library();
        let members: [(&str, &[u8]); 3] = [
            (
                "onnxruntime/capi/libonnxruntime_providers_shared.so",
                b"other",
            ),
            ("onnxruntime/capi/libonnxruntime.so.1.31.1", &bytes),
            ("onnxruntime/__init__.py", b"python"),
        ];
        let wheel = wheel(directory.path(), &members);
        let digest = hex::encode(Sha256::digest(std::fs::read(&wheel).unwrap()));
        let mut steps = Vec::new();
        let done = from_wheel(
            &wheel,
            &cache,
            Some(&digest.to_uppercase()),
            &mut |at, all| steps.push((at, all)),
        )
        .unwrap();
        assert_eq!(
            done.path,
            cache.join("onnxruntime/1.31.1/libonnxruntime.so.1.31.1")
        );
        assert_eq!(std::fs::read(&done.path).unwrap(), bytes);
        assert_eq!(steps.last(), Some(&(600_000, 600_000)));
        assert!(steps.len() > 1 && steps.is_sorted());
        assert_eq!(
            std::fs::read_dir(cache.join("onnxruntime/1.31.1"))
                .unwrap()
                .count(),
            1
        );
        assert_eq!(installed(&cache), [done]);
        assert!(install(&wheel, &cache).is_ok(), "installing again replaces");
    }

    #[test]
    fn refuses_a_wrong_digest() {
        let directory = tempfile::tempdir().unwrap();
        let wheel = wheel(
            directory.path(),
            &[("onnxruntime/capi/libonnxruntime.so.1.31.1", &library())],
        );
        let error = from_wheel(&wheel, directory.path(), Some("00"), &mut |_, _| {}).unwrap_err();
        assert!(matches!(error, InstallError::Digest { .. }), "{error}");
        assert!(installed(directory.path()).is_empty());
    }

    #[test]
    fn refuses_what_is_not_the_library() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let bytes = library();
        let mut foreign = bytes.clone();
        foreign[18] = 8;
        let cases: [(&str, &[u8], &str); 5] = [
            ("onnxruntime/capi/other.so", &bytes, "holds no"),
            (
                "../onnxruntime/capi/libonnxruntime.so.1.31.1",
                &bytes,
                "holds no",
            ),
            (
                "onnxruntime/capi/libonnxruntime.so.1.31.1",
                b"text",
                "not an ELF file",
            ),
            (
                "onnxruntime/capi/libonnxruntime.so.1.31.1",
                &foreign,
                "another processor",
            ),
            (
                "onnxruntime/capi/libonnxruntime.so.1.9.0",
                &bytes,
                "at least",
            ),
        ];
        for (name, content, text) in cases {
            let error = install(&wheel(root, &[(name, content)]), root).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        let error = install(&wheel(root, &[]), root).unwrap_err();
        assert!(matches!(error, InstallError::NoLibrary { .. }));
        std::fs::write(root.join("text.whl"), b"text").unwrap();
        assert!(matches!(
            install(&root.join("text.whl"), root).unwrap_err(),
            InstallError::NotAWheel { .. }
        ));
        assert!(matches!(
            install(&root.join("absent"), root).unwrap_err(),
            InstallError::Read { .. }
        ));
        assert!(installed(root).is_empty(), "nothing half-written stays");
    }

    #[test]
    fn lists_the_newest_first() {
        let directory = tempfile::tempdir().unwrap();
        for version in ["1.30.2", "1.31.10", "1.31.9", "1.2.0", "junk"] {
            let folder = directory.path().join("onnxruntime").join(version);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("libonnxruntime.so.{version}")), b"").unwrap();
        }
        std::fs::create_dir_all(directory.path().join("onnxruntime/1.40.0")).unwrap();
        let versions: Vec<String> = installed(directory.path())
            .iter()
            .map(|one| one.version.to_string())
            .collect();
        assert_eq!(versions, ["1.31.10", "1.31.9", "1.30.2"]);
    }
}
