//! What a program or a library needs to be started: its loader and its shared libraries.
//!
//! [`ElfFile`] is what one file says of itself. [`closure`] follows the names to files, as the loader
//! would: the search path of the file that needs them first, then the folders that the system's loader
//! is configured for, then its built-in ones. `LD_LIBRARY_PATH` is not asked: what an image holds must
//! not depend on the shell that builds it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, ReadCache, ReadRef};

use crate::platform::{Architecture, Platform};

/// Why a program's needs cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is no program or library of Linux.
    #[error("`{}` is no 64-bit program or library of Linux", .0.display())]
    NotElf(PathBuf),
    /// It is for a processor that images are not made for.
    #[error("`{}` is for a processor that no image can be made for (ELF machine {machine})", path.display())]
    Machine {
        /// The file.
        path: PathBuf,
        /// The number of the processor in the file.
        machine: u16,
    },
    /// It is for another processor.
    #[error("`{}` is for {found}, and the image is for {wanted}", path.display())]
    OtherPlatform {
        /// The file.
        path: PathBuf,
        /// What it is for.
        found: Platform,
        /// What the image is for.
        wanted: Platform,
    },
    /// It names its loader or a library by a path that no image can have.
    #[error("`{}` needs `{name}`, which is no place in an image", needed_by.display())]
    Path {
        /// What needs it.
        needed_by: PathBuf,
        /// The loader or the library.
        name: String,
    },
    /// A library is not on this machine.
    #[error("`{}` needs the library `{library}`, which is not in `{}`", needed_by.display(), root.display())]
    NoLibrary {
        /// What needs it.
        needed_by: PathBuf,
        /// Its name.
        library: String,
        /// Below which folder it was looked for.
        root: PathBuf,
    },
}

impl ElfError {
    /// What to do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotElf(_) => Some("name an `mlrs` that was built for Linux with --binary"),
            Self::OtherPlatform { .. } => Some(
                "name files for that platform with --binary and --onnxruntime, and the folder with its \
                 libraries with --sysroot; or choose the platform of the binary with --platform",
            ),
            Self::NoLibrary { .. } => {
                Some("install it, or name the folder of a system that has it with --sysroot")
            }
            Self::Path { .. } => Some(
                "build it anew: libraries are named without their folders (their `soname`), and the \
                 loader by its absolute path",
            ),
            Self::Unreadable { .. } | Self::Machine { .. } => None,
        }
    }
}

/// What a program or a library says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfFile {
    /// What it runs on.
    pub platform: Platform,
    /// The loader that starts it; a library and a static program have none.
    pub interpreter: Option<String>,
    /// The names of the libraries that it needs.
    pub needed: Vec<String>,
    /// Where it wants them to be looked for first; `$ORIGIN` is its own folder.
    pub search: Vec<String>,
}

impl ElfFile {
    /// Reads the head of a file, and its dynamic section.
    ///
    /// # Errors
    /// When it cannot be read, is no ELF file of 64 bits, or is for a processor that is not known.
    pub fn read(path: &Path) -> Result<Self, ElfError> {
        let file = File::open(path).map_err(|source| ElfError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let data = ReadCache::new(file);
        let (machine, file) = parse(&data).map_err(|_| ElfError::NotElf(path.to_owned()))?;
        let architecture = Architecture::from_machine(machine).ok_or(ElfError::Machine {
            path: path.to_owned(),
            machine,
        })?;
        Ok(Self {
            platform: Platform { architecture },
            ..file
        })
    }
}

/// The machine, and everything but the platform.
fn parse<'data, R: ReadRef<'data>>(data: R) -> object::read::Result<(u16, ElfFile)> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let mut interpreter = None;
    let mut entries = Vec::new();
    for segment in segments {
        if let Some(path) = segment.interpreter(endian, data)? {
            interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
        for entry in segment.dynamic(endian, data)?.unwrap_or_default() {
            entries.push((entry.tag(endian), entry.val(endian)));
        }
    }
    let value = |tag| {
        let found = entries.iter().find(|entry| entry.0 == tag);
        found.map(|entry| entry.1)
    };
    let strings = match (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) {
        (Some(address), Some(size)) => segments
            .iter()
            .find_map(|segment| segment.data_range(endian, data, address, size).ok()?)
            .unwrap_or_default(),
        _ => &[],
    };
    let text = |offset: u64| {
        let rest = strings.get(usize::try_from(offset).ok()?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    };
    let texts = |tag| {
        let found = entries.iter().filter(move |entry| entry.0 == tag);
        found.filter_map(|entry| text(entry.1)).collect::<Vec<_>>()
    };
    let mut search = texts(elf::DT_RUNPATH);
    if search.is_empty() {
        search = texts(elf::DT_RPATH);
    }
    let search = search.iter().flat_map(|paths| paths.split(':'));
    let file = ElfFile {
        platform: Platform {
            architecture: Architecture::Amd64,
        },
        interpreter,
        needed: texts(elf::DT_NEEDED),
        search: search.map(str::to_owned).collect(),
    };
    // The same machine of the other byte order is another platform, which there are no images for.
    let machine = match (header.e_machine(endian), header.is_big_endian()) {
        (elf::EM_S390, _) => elf::EM_S390,
        (_, true) => elf::EM_NONE,
        (machine, false) => machine,
    };
    Ok((machine, file))
}

/// The libraries that files need, and the loader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// The path of the loader in a running system, and the file.
    pub loader: Option<(String, PathBuf)>,
    /// The name of each library, and the file.
    pub libraries: BTreeMap<String, PathBuf>,
}

/// Finds everything that these files need, below the root folder of a system.
///
/// # Errors
/// When a file cannot be read or is for another platform, or a library is not there.
pub fn closure(files: &[&Path], platform: Platform, root: &Path) -> Result<Closure, ElfError> {
    let folders = system_folders(root, platform.architecture);
    let mut closure = Closure::default();
    let mut waiting: VecDeque<PathBuf> = files.iter().map(|path| (*path).to_owned()).collect();
    while let Some(path) = waiting.pop_front() {
        let file = ElfFile::read(&path)?;
        if file.platform != platform {
            return Err(ElfError::OtherPlatform {
                path,
                found: file.platform,
                wanted: platform,
            });
        }
        check_names(&file, &path)?;
        if let Some(loader) = &file.interpreter {
            closure.loader = Some((loader.clone(), find_loader(root, loader, &path)?));
        }
        for library in &file.needed {
            if closure.has(library) {
                continue;
            }
            let found = find_library(library, &file, &path, root, &folders)?;
            waiting.push_back(found.clone());
            closure.libraries.insert(library.clone(), found);
        }
    }
    // A library may have named the loader before a program did.
    if let Some((loader, _)) = closure.loader.clone() {
        let name = loader.rsplit('/').next().unwrap_or_default();
        closure.libraries.remove(name);
    }
    Ok(closure)
}

/// Refuses names that would become paths outside of the folders that an image has for them.
fn check_names(file: &ElfFile, path: &Path) -> Result<(), ElfError> {
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('/');
    let is_place = |path: &str| {
        path.strip_prefix('/')
            .is_some_and(|inside| inside.split('/').all(is_name))
    };
    let loader = file.interpreter.iter().filter(|loader| !is_place(loader));
    let libraries = file.needed.iter().filter(|library| !is_name(library));
    match loader.chain(libraries).next() {
        None => Ok(()),
        Some(name) => Err(ElfError::Path {
            needed_by: path.to_owned(),
            name: name.clone(),
        }),
    }
}

impl Closure {
    /// Whether a library is among these, or is the loader.
    pub fn has(&self, library: &str) -> bool {
        self.libraries.contains_key(library) || self.is_loader(library)
    }

    fn is_loader(&self, library: &str) -> bool {
        let loader = self.loader.as_ref();
        loader.is_some_and(|(path, _)| path.rsplit('/').next() == Some(library))
    }
}

fn find_loader(root: &Path, loader: &str, needed_by: &Path) -> Result<PathBuf, ElfError> {
    let path = below(root, loader);
    if path.is_file() {
        return Ok(path);
    }
    Err(ElfError::NoLibrary {
        needed_by: needed_by.to_owned(),
        library: loader.to_owned(),
        root: root.to_owned(),
    })
}

fn find_library(
    library: &str,
    file: &ElfFile,
    needed_by: &Path,
    root: &Path,
    folders: &[PathBuf],
) -> Result<PathBuf, ElfError> {
    let own = needed_by.parent().unwrap_or(Path::new("."));
    let wanted = file.search.iter().map(|folder| match origin(folder) {
        Some(rest) => own.join(rest),
        None => below(root, folder),
    });
    let mut candidates = wanted
        .chain(folders.iter().cloned())
        .map(|folder| folder.join(library));
    // Folders of other architectures stand in the same lists; the loader passes over their files, too.
    let fits =
        |path: &PathBuf| ElfFile::read(path).is_ok_and(|found| found.platform == file.platform);
    candidates.find(fits).ok_or_else(|| ElfError::NoLibrary {
        needed_by: needed_by.to_owned(),
        library: library.to_owned(),
        root: root.to_owned(),
    })
}

/// What follows `$ORIGIN/` in an entry of a search path.
fn origin(folder: &str) -> Option<&str> {
    let rest = folder.strip_prefix("$ORIGIN");
    let rest = rest.or_else(|| folder.strip_prefix("${ORIGIN}"))?;
    Some(rest.trim_start_matches('/'))
}

/// The place of an absolute path in a system whose root is this folder.
pub(crate) fn below(root: &Path, absolute: &str) -> PathBuf {
    root.join(absolute.trim_start_matches('/'))
}

/// Where the loader looks: what `/etc/ld.so.conf` says, then what is built into it.
fn system_folders(root: &Path, architecture: Architecture) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut files = vec![below(root, "/etc/ld.so.conf")];
    let mut seen = 0;
    while seen < files.len() && seen < 100 {
        let text = std::fs::read_to_string(&files[seen]).unwrap_or_default();
        seen += 1;
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if let Some(pattern) = line.strip_prefix("include ") {
                files.extend(included(root, pattern.trim()));
            } else if line.starts_with('/') {
                folders.push(below(root, line));
            }
        }
    }
    let triplet = architecture.triplet();
    let built_in = [
        format!("/lib/{triplet}"),
        format!("/usr/lib/{triplet}"),
        "/lib64".to_owned(),
        "/usr/lib64".to_owned(),
        "/lib".to_owned(),
        "/usr/lib".to_owned(),
    ];
    folders.extend(built_in.iter().map(|folder| below(root, folder)));
    folders
}

/// The files of an `include` line, whose last part may be `*.conf`, which is the only form in use.
fn included(root: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = match pattern.strip_prefix('/') {
        Some(_) => below(root, pattern),
        None => below(root, "/etc").join(pattern),
    };
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name()) else {
        return Vec::new();
    };
    let Some(suffix) = name.to_str().and_then(|name| name.strip_prefix('*')) else {
        return vec![pattern];
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_needs_the_c_library_and_a_loader() {
        let program = std::env::current_exe().unwrap();
        let file = ElfFile::read(&program).unwrap();
        let found = closure(&[&program], file.platform, Path::new("/")).unwrap();
        assert!(found.libraries.contains_key("libc.so.6"), "{found:?}");
        let (loader, path) = found.loader.unwrap();
        assert_eq!(Some(loader), file.interpreter);
        assert!(path.is_file());
        // The C library needs the loader by name; it is there once.
        assert!(!found.libraries.keys().any(|name| name.starts_with("ld-")));
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let program = std::env::current_exe().unwrap();
        let file = ElfFile::read(&program).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let error = closure(&[&program], file.platform, empty.path()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("needs the library `/lib"), "{text}");
        assert!(error.hint().unwrap().contains("--sysroot"));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        for content in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &[0x7f; 4096]] {
            std::fs::write(&path, content).unwrap();
            let error = ElfFile::read(&path).unwrap_err();
            assert!(matches!(error, ElfError::NotElf(_)), "{error:?}");
        }
        // A program that was cut short.
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        std::fs::write(&path, &whole[..100]).unwrap();
        assert!(ElfFile::read(&path).is_err());
    }

    #[test]
    fn a_name_that_leads_out_of_its_folder_is_refused() {
        let file = |interpreter: &str, needed: &str| ElfFile {
            platform: "linux/amd64".parse().unwrap(),
            interpreter: Some(interpreter.to_owned()),
            needed: vec!["libc.so.6".to_owned(), needed.to_owned()],
            search: Vec::new(),
        };
        let loader = "/lib64/ld-linux-x86-64.so.2";
        let path = Path::new("program");
        check_names(&file(loader, "libm.so.6"), path).unwrap();
        for (interpreter, needed, named) in [
            (loader, "../../etc/passwd", "../../etc/passwd"),
            (loader, "/lib/libm.so.6", "/lib/libm.so.6"),
            (loader, "..", ".."),
            (loader, "", ""),
            ("lib/ld.so", "libm.so.6", "lib/ld.so"),
            ("/lib/../../ld.so", "libm.so.6", "/lib/../../ld.so"),
        ] {
            let error = check_names(&file(interpreter, needed), path).unwrap_err();
            let text = error.to_string();
            assert_eq!(
                text,
                format!("`program` needs `{named}`, which is no place in an image")
            );
        }
    }

    #[test]
    fn configured_folders_come_before_built_in_ones() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc/ld.so.conf.d");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::write(
            root.path().join("etc/ld.so.conf"),
            "include /etc/ld.so.conf.d/*.conf\n",
        )
        .unwrap();
        std::fs::write(etc.join("b.conf"), "/opt/b # why\n").unwrap();
        std::fs::write(etc.join("a.conf"), "# nothing\n/opt/a\n").unwrap();
        std::fs::write(etc.join("c.txt"), "/opt/c\n").unwrap();
        let folders = system_folders(root.path(), Architecture::Arm64);
        let shown: Vec<_> = folders
            .iter()
            .map(|folder| folder.strip_prefix(root.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            shown,
            [
                "opt/a",
                "opt/b",
                "lib/aarch64-linux-gnu",
                "usr/lib/aarch64-linux-gnu",
                "lib64",
                "usr/lib64",
                "lib",
                "usr/lib"
            ]
        );
    }
}
