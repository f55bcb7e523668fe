//! Locales of the GNU C library: [`files`] finds the compiled files of one.
//!
//! A locale is a folder with a file for each category, or a record of `locale-archive`, which is taken
//! apart here (`locale/locarchive.h` of glibc). In an image it is always a folder. Both are of the system
//! that libraries come from, and are read with care all the same.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::plan::Content;

/// Where the GNU C library looks for locales.
pub const LOCALE_FOLDER: &str = "/usr/lib/locale";

/// Categories by their number in an archive; 6 is `LC_ALL`. Messages are a folder of their own.
const CATEGORIES: [(usize, &str); 12] = [
    (0, "LC_CTYPE"),
    (1, "LC_NUMERIC"),
    (2, "LC_TIME"),
    (3, "LC_COLLATE"),
    (4, "LC_MONETARY"),
    (5, "LC_MESSAGES/SYS_LC_MESSAGES"),
    (7, "LC_PAPER"),
    (8, "LC_NAME"),
    (9, "LC_ADDRESS"),
    (10, "LC_TELEPHONE"),
    (11, "LC_MEASUREMENT"),
    (12, "LC_IDENTIFICATION"),
];

/// `AR_MAGIC`, with which an archive begins.
const MAGIC: u32 = 0xde02_0109;

/// The longest piece of an archive that is read at once, in bytes: the largest category has 3 MB.
const PIECE_LIMIT: u64 = 64 << 20;

/// A locale that an image needs is not there, or is none.
#[derive(Debug, thiserror::Error)]
pub enum LocaleError {
    /// No folder and no archive has it.
    #[error(
        "the model needs the locale `{name}`, which is not in {}",
        listed(folders)
    )]
    Missing {
        /// Its name.
        name: String,
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// A name that is a path, or far too long.
    #[error("the model needs the locale `{name}`, which is no name of a locale")]
    Name {
        /// The name, as it can be shown.
        name: String,
    },
    /// The archive cannot be read.
    #[error("cannot read `{}`", path.display())]
    Unreadable {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl LocaleError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { name, .. } => Some(format!(
                "make it there: `localedef -i {} -f UTF-8 {name}` (Debian: package `locales`); or name a \
                 system that has it with `--sysroot`",
                name.split(['.', '@']).next().unwrap_or(name)
            )),
            Self::Name { .. } => {
                Some("export the model with another locale, such as `C.UTF-8`".to_owned())
            }
            Self::Unreadable { .. } => None,
        }
    }
}

fn listed(folders: &[PathBuf]) -> String {
    let folders = folders
        .iter()
        .map(|folder| format!("`{}`", folder.display()));
    folders.collect::<Vec<_>>().join(" or ")
}

/// The files of a locale, by their paths below its folder. None for one that the library has built in.
///
/// # Errors
/// When no folder has it, and when an archive cannot be read.
pub(crate) fn files(
    name: &str,
    folders: &[PathBuf],
) -> Result<Vec<(&'static str, Content)>, LocaleError> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_.-@+".contains(letter);
    if name.len() > 100 || !name.chars().all(is_name) || name.starts_with('.') {
        let name = name
            .chars()
            .take(100)
            .map(|letter| if is_name(letter) { letter } else { '?' });
        return Err(LocaleError::Name {
            name: name.collect(),
        });
    }
    if ["", "C", "POSIX"].contains(&name) {
        return Ok(Vec::new());
    }
    for folder in folders {
        for spelled in spellings(name) {
            if let Some(found) = in_folder(&folder.join(&spelled)) {
                return Ok(found);
            }
            let path = folder.join("locale-archive");
            let found = in_archive(&path, &spelled)
                .map_err(|source| LocaleError::Unreadable { path, source })?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }
    // Built in since version 2.35; older ones have it in a folder.
    if name.starts_with("C.") {
        return Ok(Vec::new());
    }
    Err(LocaleError::Missing {
        name: name.to_owned(),
        folders: folders.to_vec(),
    })
}

/// A name as it is, and with its character set as the library writes it: `en_US.UTF-8`, `en_US.utf8`.
fn spellings(name: &str) -> Vec<String> {
    let mut spellings = vec![name.to_owned()];
    if let Some((language, rest)) = name.split_once('.') {
        let (set, modifier) = match rest.split_once('@') {
            Some((set, modifier)) => (set, format!("@{modifier}")),
            None => (rest, String::new()),
        };
        let letters = set.chars().filter(char::is_ascii_alphanumeric);
        let set: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
        let is_number = set.chars().all(|letter| letter.is_ascii_digit());
        let iso = if is_number { "iso" } else { "" };
        spellings.push(format!("{language}.{iso}{set}{modifier}"));
    }
    spellings
}

fn in_folder(folder: &Path) -> Option<Vec<(&'static str, Content)>> {
    let files = CATEGORIES.map(|(_, name)| (name, folder.join(name)));
    let is_whole = files.iter().all(|(_, path)| path.is_file());
    is_whole.then(|| files.map(|(name, path)| (name, Content::File(path))).into())
}

/// The files of a locale in an archive; `None` when there is no archive, or it has no such locale.
fn in_archive(path: &Path, name: &str) -> io::Result<Option<Vec<(&'static str, Content)>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut archive = Archive(file);
    let Some(record) = archive.record(name)? else {
        return Ok(None);
    };
    let mut files = Vec::with_capacity(CATEGORIES.len());
    for (number, category) in CATEGORIES {
        // After a count of uses, offset and length for each category.
        let place = archive.numbers(record + 4 + 8 * number as u64, 2)?;
        let content = archive.bytes(place[0].into(), place[1].into())?;
        files.push((category, Content::Bytes(content)));
    }
    Ok(Some(files))
}

/// An archive of locales, its numbers in the order of this machine's bytes.
struct Archive(File);

impl Archive {
    fn bytes(&mut self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        if length > PIECE_LIMIT {
            return Err(io::Error::other("it is damaged: a piece has no end"));
        }
        self.0.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; length as usize];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn numbers(&mut self, offset: u64, count: u64) -> io::Result<Vec<u32>> {
        let bytes = self.bytes(offset, 4 * count)?;
        let (numbers, _) = bytes.as_chunks::<4>();
        Ok(numbers
            .iter()
            .map(|number| u32::from_le_bytes(*number))
            .collect())
    }

    /// Where the record of a locale is.
    fn record(&mut self, name: &str) -> io::Result<Option<u64>> {
        // Magic, serial number; then offset, used and size of: names by hash, texts, records, sums.
        let head = self.numbers(0, 14)?;
        if head[0] != MAGIC {
            return Err(io::Error::other("it is no archive of locales"));
        }
        let (hashes, hash_count) = (head[2], head[4]);
        let (texts, text_bytes) = (head[5], head[6]);
        let names = self.numbers(hashes.into(), 3 * u64::from(hash_count))?;
        let text = self.bytes(texts.into(), text_bytes.into())?;
        for entry in names.chunks_exact(3) {
            let (text_offset, record) = (entry[1], entry[2]);
            let start = text_offset.checked_sub(texts).map(|start| start as usize);
            let found = start
                .and_then(|start| text.get(start..))
                .unwrap_or_default();
            let found = found.split(|byte| *byte == 0).next().unwrap_or_default();
            if record != 0 && found == name.as_bytes() {
                return Ok(Some(record.into()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn names_are_spelled_as_the_library_does() {
        assert_eq!(spellings("en_US"), ["en_US"]);
        assert_eq!(spellings("en_US.UTF-8"), ["en_US.UTF-8", "en_US.utf8"]);
        assert_eq!(
            spellings("de_DE.ISO-8859-15@euro")[1],
            "de_DE.iso885915@euro"
        );
        assert_eq!(spellings("ru_RU.8859-5")[1], "ru_RU.iso88595");
    }

    #[test]
    fn a_locale_that_is_not_there_is_an_error_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let error = files("tr_TR.UTF-8", &folders).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the model needs the locale `tr_TR.UTF-8`, which is not in `{}`",
                folder.path().display()
            )
        );
        assert!(
            error
                .hint()
                .unwrap()
                .contains("localedef -i tr_TR -f UTF-8 tr_TR.UTF-8")
        );
        for built_in in ["C", "POSIX", "C.UTF-8", ""] {
            assert!(files(built_in, &folders).unwrap().is_empty(), "{built_in}");
        }
        for path in ["../../etc", "/etc", "en US", "a\u{1b}[2J"] {
            let error = files(path, &folders).unwrap_err();
            assert!(matches!(error, LocaleError::Name { .. }), "{error}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
        std::fs::write(folder.path().join("locale-archive"), [7; 400]).unwrap();
        let error = files("tr_TR.UTF-8", &folders).unwrap_err();
        assert!(matches!(error, LocaleError::Unreadable { .. }), "{error}");
    }

    /// The library's own program makes the archive.
    #[test]
    fn an_archive_gives_what_the_folder_had() {
        let compiled = Path::new(LOCALE_FOLDER).join("C.utf8");
        if in_folder(&compiled).is_none() {
            return mlrs_testing::skipped("archives of locales", "this system has no `C.utf8`");
        }
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("usr/lib/locale");
        for name in ["nl_NL.utf8", "en_US.utf8"] {
            let copied = root.path().join(name);
            std::fs::create_dir_all(copied.join("LC_MESSAGES")).unwrap();
            for (_, category) in CATEGORIES {
                std::fs::copy(compiled.join(category), copied.join(category)).unwrap();
            }
            std::fs::create_dir_all(&folder).unwrap();
            let added = Command::new("localedef")
                .arg("--prefix")
                .arg(root.path())
                .arg("--add-to-archive")
                .arg(copied)
                .output()
                .unwrap();
            assert!(added.status.success(), "{added:?}");
        }
        let found = files("en_US.UTF-8", std::slice::from_ref(&folder)).unwrap();
        assert_eq!(found.len(), CATEGORIES.len());
        for (category, content) in found {
            let Content::Bytes(bytes) = content else {
                panic!("{category} was found elsewhere");
            };
            assert!(
                bytes == std::fs::read(compiled.join(category)).unwrap(),
                "{category}"
            );
        }
        assert!(files("fr_FR.UTF-8", &[folder]).is_err());
    }
}
