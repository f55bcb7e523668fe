//! Where the shared library of ONNX Runtime is looked for.
//!
//! In this order: the path that the user named, the one of the environment, what was installed into
//! the cache, the folders of the system. A path that was named but holds no library is an error, not
//! a reason to look further. The main type is [`Locator`].

use std::fmt;
use std::path::{Path, PathBuf};

use mlrs_backend::Refusal;

use crate::install;
use crate::library::Version;

const HINT: &str = "run `mlrs onnxruntime install`, or set ORT_DYLIB_PATH to the library";

/// The places to look in. The command line fills it; nothing here reads the environment.
#[derive(Clone, Debug)]
pub struct Locator {
    /// The path of `--onnxruntime`: the library, or a folder with it.
    pub explicit: Option<PathBuf>,
    /// The value of `ORT_DYLIB_PATH`: the library, or a folder with it. Empty counts as not set.
    pub environment: Option<PathBuf>,
    /// The cache directory that [`install::from_wheel`] installs into.
    pub cache: Option<PathBuf>,
    /// The folders of the system.
    pub system: Vec<PathBuf>,
}

impl Default for Locator {
    fn default() -> Self {
        Self {
            explicit: None,
            environment: None,
            cache: None,
            system: system_folders(Path::new("/etc/ld.so.conf")),
        }
    }
}

/// A library, and which rule found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub path: PathBuf,
    /// The rule.
    pub origin: Origin,
}

/// The rule that found a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was named on the command line.
    Explicit,
    /// It was named by the environment.
    Environment,
    /// It was installed into the cache.
    Installed,
    /// It belongs to the system.
    System,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Explicit => "command line",
            Self::Environment => "environment",
            Self::Installed => "installed",
            Self::System => "system",
        })
    }
}

impl Locator {
    /// The library to use. It exists; whether it works, [`crate::inspect`] says.
    ///
    /// # Errors
    /// When there is none, or a named path holds none.
    pub fn locate(&self) -> Result<Located, Refusal> {
        if let Some(path) = &self.explicit {
            return named(path, Origin::Explicit, "--onnxruntime");
        }
        if let Some(path) = self
            .environment
            .as_ref()
            .filter(|path| !path.as_os_str().is_empty())
        {
            return named(path, Origin::Environment, "ORT_DYLIB_PATH");
        }
        let installed = self
            .cache
            .as_deref()
            .and_then(|cache| install::installed(cache).into_iter().next());
        if let Some(newest) = installed {
            return Ok(Located {
                path: newest.path,
                origin: Origin::Installed,
            });
        }
        let found = self.system.iter().find_map(|folder| newest_in(folder));
        let located = found.map(|path| Located {
            path,
            origin: Origin::System,
        });
        located.ok_or_else(|| {
            Refusal::new("the shared library of ONNX Runtime is not on this machine")
                .with_hint(HINT)
        })
    }
}

fn named(path: &Path, origin: Origin, by: &str) -> Result<Located, Refusal> {
    let file = if path.is_dir() {
        newest_in(path)
    } else {
        path.is_file().then(|| path.to_path_buf())
    };
    let path = file.ok_or_else(|| {
        let reason = format!(
            "`{}`, named by {by}, holds no library of ONNX Runtime",
            path.display()
        );
        Refusal::new(reason).with_hint(HINT)
    })?;
    // Relative paths mean the working directory; the loader would search its own folders.
    let path = std::path::absolute(&path).unwrap_or(path);
    Ok(Located { path, origin })
}

/// The version that a file name carries: `libonnxruntime.so.1.31.1`. `None` for other names; version
/// 0 for a name without one.
pub(crate) fn library_name(name: &str) -> Option<Version> {
    let none = Version {
        major: 0,
        minor: 0,
        patch: 0,
    };
    match name.strip_prefix("libonnxruntime.so")? {
        "" => Some(none),
        rest => Version::parse(rest.strip_prefix('.')?),
    }
}

fn newest_in(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let libraries = entries
        .filter_map(|entry| Some((library_name(entry.file_name().to_str()?)?, entry.path())));
    libraries
        .filter(|(_, path)| path.is_file())
        .max()
        .map(|(_, path)| path)
}

/// The folders that the loader's configuration names, then the usual ones; each once.
fn system_folders(configuration: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    configured(configuration, &mut folders, 0);
    let usual = [
        "/usr/local/lib",
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib/aarch64-linux-gnu",
    ];
    let more = [
        "/usr/lib/aarch64-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/lib",
        "/usr/lib",
    ];
    for folder in usual.into_iter().chain(more).map(PathBuf::from) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// Reads a file of the format of ld.so.conf(5): a folder a line, `include PATTERN`, `#` comments.
fn configured(file: &Path, folders: &mut Vec<PathBuf>, depth: usize) {
    let Ok(text) = std::fs::read_to_string(file) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        match line.strip_prefix("include ") {
            Some(pattern) if depth < 4 => included(file, pattern.trim(), folders, depth),
            None if line.starts_with('/') && !folders.contains(&PathBuf::from(line)) => {
                folders.push(line.into());
            }
            _ => {}
        }
    }
}

/// Only the pattern that distributions use, `FOLDER/*.conf`, and plain files.
fn included(file: &Path, pattern: &str, folders: &mut Vec<PathBuf>, depth: usize) {
    let base = file.parent().unwrap_or(Path::new("/"));
    let Some(folder) = pattern.strip_suffix("/*.conf") else {
        return configured(&base.join(pattern), folders, depth + 1);
    };
    let Ok(entries) = std::fs::read_dir(base.join(folder)) else {
        return;
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for path in files
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "conf"))
    {
        configured(path, folders, depth + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, name: &str) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, b"library").unwrap();
        path
    }

    fn nowhere() -> Locator {
        Locator {
            explicit: None,
            environment: None,
            cache: None,
            system: Vec::new(),
        }
    }

    #[test]
    fn looks_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let explicit = put(root, "explicit.so");
        let environment = put(&root.join("folder"), "libonnxruntime.so.1.30.0");
        let installed = put(
            &root.join("cache/onnxruntime/1.31.1"),
            "libonnxruntime.so.1.31.1",
        );
        put(
            &root.join("cache/onnxruntime/1.9.0"),
            "libonnxruntime.so.1.9.0",
        );
        put(&root.join("system"), "libonnxruntime.so");
        let system = put(&root.join("system"), "libonnxruntime.so.1.25.0");
        let mut locator = Locator {
            explicit: Some(explicit.clone()),
            environment: Some(root.join("folder")),
            cache: Some(root.join("cache")),
            system: vec![root.join("absent"), root.join("system")],
        };
        let found = |locator: &Locator| {
            locator
                .locate()
                .map(|found| (found.path, found.origin))
                .unwrap()
        };
        assert_eq!(found(&locator), (explicit, Origin::Explicit));
        locator.explicit = None;
        assert_eq!(found(&locator), (environment, Origin::Environment));
        locator.environment = Some(PathBuf::new());
        assert_eq!(found(&locator), (installed, Origin::Installed));
        locator.cache = Some(root.join("empty"));
        assert_eq!(found(&locator), (system, Origin::System));
    }

    #[test]
    fn a_named_path_without_a_library_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let absent = Some(directory.path().join("absent.so"));
        let error = Locator {
            environment: absent,
            ..nowhere()
        }
        .locate()
        .unwrap_err();
        assert!(
            error
                .reason
                .contains("named by ORT_DYLIB_PATH, holds no library"),
            "{}",
            error.reason
        );
        let empty = Some(directory.path().to_path_buf());
        let error = Locator {
            explicit: empty,
            ..nowhere()
        }
        .locate()
        .unwrap_err();
        assert!(
            error
                .reason
                .contains("named by --onnxruntime, holds no library"),
            "{}",
            error.reason
        );
    }

    #[test]
    fn says_what_to_do_when_there_is_none() {
        let error = nowhere().locate().unwrap_err();
        assert_eq!(
            error.reason,
            "the shared library of ONNX Runtime is not on this machine"
        );
        assert!(error.hint.unwrap().contains("mlrs onnxruntime install"));
    }

    #[test]
    fn knows_the_names_of_the_library() {
        let version = |name| library_name(name).map(|version| version.to_string());
        assert_eq!(
            version("libonnxruntime.so.1.31.1").as_deref(),
            Some("1.31.1")
        );
        assert_eq!(version("libonnxruntime.so").as_deref(), Some("0.0.0"));
        assert_eq!(version("libonnxruntime_providers_shared.so"), None);
        assert_eq!(version("libonnxruntime.so.debug"), None);
    }

    #[test]
    fn reads_the_configuration_of_the_loader() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir(root.join("conf.d")).unwrap();
        std::fs::write(
            root.join("ld.so.conf"),
            "# head\ninclude conf.d/*.conf\n/opt/last # why\n",
        )
        .unwrap();
        std::fs::write(root.join("conf.d/b.conf"), "/opt/b\n/opt/a\n").unwrap();
        std::fs::write(root.join("conf.d/a.conf"), "/opt/a\nrelative\n").unwrap();
        std::fs::write(root.join("conf.d/loop.conf"), "include loop.conf\n").unwrap();
        let folders = system_folders(&root.join("ld.so.conf"));
        let expected = ["/opt/a", "/opt/b", "/opt/last"].map(PathBuf::from);
        assert_eq!(folders[..3], expected);
        assert!(folders.contains(&PathBuf::from("/usr/lib")));
    }
}
