//! Looks at a file that should be the shared library of ONNX Runtime, before the engine uses it.
//!
//! The binding panics on a wrong library; here each way of being wrong is a [`LibraryError`] that
//! names the file. [`inspect`] gives the version of a good one.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The oldest version that works: the binding uses its C API.
pub const MINIMUM_VERSION: Version = Version {
    major: 1,
    minor: ort::sys::ORT_API_VERSION,
    patch: 0,
};

/// A version of ONNX Runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First part; always 1 so far.
    pub major: u32,
    /// Second part; also the version of the C API.
    pub minor: u32,
    /// Third part.
    pub patch: u32,
}

impl Version {
    /// Reads `1.31.1`, `1.31` or `1.32.0-dev`; `None` when there is no leading number.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let digits = part
                .find(|letter: char| !letter.is_ascii_digit())
                .unwrap_or(part.len());
            part[..digits].parse::<u32>().ok()
        });
        let major = parts.next().flatten()?;
        let mut next = || parts.next().flatten().unwrap_or(0);
        Some(Self {
            major,
            minor: next(),
            patch: next(),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Why a file cannot be used as the library of ONNX Runtime.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say what the variants are")]
pub enum LibraryError {
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{}` is not a shared library for this machine: {why}", path.display())]
    NotALibrary { path: PathBuf, why: &'static str },
    #[error("`{}` cannot be loaded", path.display())]
    Unloadable {
        path: PathBuf,
        source: libloading::Error,
    },
    #[error("`{}` is a library, but not ONNX Runtime: it has no `OrtGetApiBase`", path.display())]
    OtherLibrary { path: PathBuf },
    #[error("`{}` is ONNX Runtime {version}, but at least {} is needed", path.display(), MINIMUM_VERSION)]
    TooOld { path: PathBuf, version: String },
}

/// The version of the ONNX Runtime library at `path`, which is loaded into the process.
///
/// # Errors
/// When it is no library for this machine, another library, or too old.
pub fn inspect(path: &Path) -> Result<Version, LibraryError> {
    check_header(path)?;
    // SAFETY: loading runs the initialisers of the library. The path is one that the operator named
    // or installed, and nothing of a model or a request reaches it.
    let library =
        unsafe { libloading::Library::new(path) }.map_err(|source| LibraryError::Unloadable {
            path: path.to_path_buf(),
            source,
        })?;
    let version = version_of(&library, path)?;
    // Its threads and exit handlers do not survive unloading.
    std::mem::forget(library);
    Ok(version)
}

fn version_of(library: &libloading::Library, path: &Path) -> Result<Version, LibraryError> {
    type GetApiBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    let other = || LibraryError::OtherLibrary {
        path: path.to_path_buf(),
    };
    // SAFETY: the signature is that of `onnxruntime_c_api.h`; the name belongs to ONNX Runtime alone.
    let base = unsafe {
        let get = library
            .get::<GetApiBase>(b"OrtGetApiBase")
            .map_err(|_| other())?;
        get().as_ref().ok_or_else(other)?
    };
    // SAFETY: `base` is the static table of the library, whose layout has never changed; the text is
    // static and ends with NUL.
    let text = unsafe { std::ffi::CStr::from_ptr((base.GetVersionString)()) }.to_string_lossy();
    let too_old = || LibraryError::TooOld {
        path: path.to_path_buf(),
        version: text.to_string(),
    };
    let version = Version::parse(&text)
        .filter(|version| *version >= MINIMUM_VERSION)
        .ok_or_else(too_old)?;
    // SAFETY: as above; the call answers null for an API version that the library does not have.
    let api = unsafe { (base.GetApi)(ort::sys::ORT_API_VERSION) };
    if api.is_null() {
        Err(too_old())
    } else {
        Ok(version)
    }
}

/// Checks the ELF header on Linux, so that a wrong file gets a clear answer.
fn check_header(path: &Path) -> Result<(), LibraryError> {
    let unreadable = |source| LibraryError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut header = Vec::with_capacity(20);
    (&mut file)
        .take(20)
        .read_to_end(&mut header)
        .map_err(unreadable)?;
    match elf_problem(&header) {
        Some(why) if cfg!(target_os = "linux") => Err(LibraryError::NotALibrary {
            path: path.to_path_buf(),
            why,
        }),
        _ => Ok(()),
    }
}

/// What is wrong with the first 20 bytes of a 64-bit ELF file for this machine, if anything.
pub(crate) fn elf_problem(header: &[u8]) -> Option<&'static str> {
    let machine: u8 = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    if header.len() < 20 || !header.starts_with(b"\x7fELF") {
        return Some("it is not an ELF file");
    }
    if header[4] != 2 || header[5] != 1 || header[18] != machine || header[19] != 0 {
        return Some("it is built for another processor");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        let version = |major, minor, patch| {
            Some(Version {
                major,
                minor,
                patch,
            })
        };
        assert_eq!(Version::parse("1.31.1"), version(1, 31, 1));
        assert_eq!(Version::parse("1.32.0-dev"), version(1, 32, 0));
        assert_eq!(Version::parse("1"), version(1, 0, 0));
        assert_eq!(Version::parse("so"), None);
        assert_eq!(Version::parse(""), None);
        assert_eq!(Version::parse("99999999999.1"), None);
        assert!(Version::parse("1.9.0") < Version::parse("1.10.0"));
        assert_eq!(Version::parse("1.31.1").unwrap().to_string(), "1.31.1");
    }

    #[test]
    fn says_what_a_wrong_file_is() {
        let directory = tempfile::tempdir().unwrap();
        let text = directory.path().join("text.so");
        std::fs::write(&text, "no library at all, only text").unwrap();
        let error = inspect(&text).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "`{}` is not a shared library for this machine: it is not an ELF file",
                text.display()
            )
        );
        let absent = inspect(&directory.path().join("absent.so")).unwrap_err();
        assert!(absent.to_string().ends_with("absent.so` cannot be read"));
        let mut header = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        header.truncate(64);
        let stub = directory.path().join("stub.so");
        std::fs::write(&stub, &header).unwrap();
        assert!(
            inspect(&stub)
                .unwrap_err()
                .to_string()
                .ends_with("cannot be loaded")
        );
        header[18] = 8;
        std::fs::write(&stub, &header).unwrap();
        assert!(
            inspect(&stub)
                .unwrap_err()
                .to_string()
                .contains("another processor")
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn tells_another_library_apart() {
        let folders = [
            "/lib/x86_64-linux-gnu",
            "/lib/aarch64-linux-gnu",
            "/lib64",
            "/lib",
        ];
        let other = folders
            .iter()
            .map(|folder| Path::new(folder).join("libm.so.6"))
            .find(|path| path.exists());
        let error = inspect(&other.expect("a C library with libm.so.6")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("is a library, but not ONNX Runtime"),
            "{error}"
        );
    }
}
