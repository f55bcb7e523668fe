//! The content cache: complete downloads, by what they are of.
//!
//! Layout below the cache folder: `<entry>/artifacts/` with `<entry>/index.json` beside it, which
//! lists every file with its size; `.staging/<entry>/` while it is downloaded; `.locks/<entry>` so
//! that two processes do not download the same thing. An entry appears by one rename, so what is
//! there is complete; a hit is checked against the index all the same.

use std::path::{Path, PathBuf};

use mlrs_mlmodel::disk::{FileError, create_folder, failed};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::download::{COMPLETE, FileRecord};
use crate::files::{remove_folder, rename, write_durably};

/// Version of the layout of the index.
const FORMAT: u32 = 1;
/// Name of the index.
const INDEX: &str = "index.json";
/// Largest index that is read, in bytes.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// What is cached under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Version of this layout.
    pub format: u32,
    /// What the entry is of; guards against a collision of names.
    pub key: String,
    /// Where it came from, without secrets.
    pub source: String,
    /// The name of the file, when the entry is a single file.
    pub single_file: Option<String>,
    /// Every file with its size.
    pub files: Vec<FileRecord>,
}

/// The place of one download in the cache.
#[derive(Debug, Clone)]
pub struct CacheEntry {
    key: String,
    folder: PathBuf,
    staging: PathBuf,
    lock: PathBuf,
}

/// Holds the lock of an entry; dropping it gives the lock back.
#[derive(Debug)]
pub struct EntryLock {
    _file: std::fs::File,
}

impl CacheEntry {
    /// The place for `key` below `cache`. `label` makes the folder's name readable for people.
    pub fn new(cache: &Path, label: &str, key: &str) -> Self {
        let readable: String = label
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
                    c
                } else {
                    '_'
                }
            })
            .take(60)
            .collect();
        let digest = hex::encode(&Sha256::digest(key)[..12]);
        let name = format!("{readable}-{digest}");
        Self {
            key: key.to_owned(),
            folder: cache.join(&name),
            staging: cache.join(".staging").join(&name),
            lock: cache.join(".locks").join(&name),
        }
    }

    /// Where the download grows.
    pub fn staging(&self) -> &Path {
        &self.staging
    }

    /// The finished download, if it is there and complete: the folder, or the single file.
    /// `source` must be where it came from, unless that could not be asked.
    pub fn find(&self, source: Option<&str>) -> Option<PathBuf> {
        let path = self.folder.join(INDEX);
        if std::fs::metadata(&path).ok()?.len() > MAX_INDEX_BYTES {
            return None;
        }
        let index: Index = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        let fits = index.format == FORMAT
            && index.key == self.key
            && source.is_none_or(|source| source == index.source);
        let complete = self.folder.join(COMPLETE);
        let is_there = |record: &FileRecord| {
            mlrs_artifacts::ArtifactPath::parse(&record.path).is_ok_and(|path| {
                std::fs::metadata(path.below(&complete))
                    .is_ok_and(|found| found.is_file() && found.len() == record.size)
            })
        };
        (fits && complete.is_dir() && index.files.iter().all(is_there))
            .then(|| place(&complete, index.single_file.as_deref()))
    }

    /// Waits until no other process downloads the same thing.
    ///
    /// # Errors
    /// When the file of the lock cannot be made.
    pub async fn lock(&self) -> Result<EntryLock, FileError> {
        let path = self.lock.clone();
        let locked = tokio::task::spawn_blocking(move || {
            if let Some(folder) = path.parent() {
                create_folder(folder)?;
            }
            let file = std::fs::File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(failed("open the lock", &path))?;
            if file.try_lock().is_err() {
                tracing::info!(lock = %path.display(), "another download of the same model runs, waiting");
                file.lock().map_err(failed("lock", &path))?;
            }
            Ok(EntryLock { _file: file })
        });
        locked
            .await
            .unwrap_or_else(|error| Err(failed("lock", &self.lock)(std::io::Error::other(error))))
    }

    /// Makes the staged download the content of the entry. The caller holds the lock.
    ///
    /// # Errors
    /// When files cannot be written or moved.
    pub fn commit(
        &self,
        source: &str,
        single_file: Option<String>,
        files: Vec<FileRecord>,
    ) -> Result<PathBuf, FileError> {
        let index = Index {
            format: FORMAT,
            key: self.key.clone(),
            source: source.to_owned(),
            single_file,
            files,
        };
        let text = serde_json::to_vec_pretty(&index).unwrap_or_default();
        write_durably(&self.staging.join(INDEX), &text)?;
        remove_folder(&self.staging.join("partial"))?;
        if self.folder.exists() {
            // Moved away first: a reader sees the old one, none or the new one, never a mixture.
            let old = self.staging.with_extension("old");
            remove_folder(&old)?;
            rename(&self.folder, &old)?;
            rename(&self.staging, &self.folder)?;
            remove_folder(&old)?;
        } else {
            rename(&self.staging, &self.folder)?;
        }
        Ok(place(
            &self.folder.join(COMPLETE),
            index.single_file.as_deref(),
        ))
    }
}

fn place(folder: &Path, single_file: Option<&str>) -> PathBuf {
    match single_file.and_then(|name| mlrs_artifacts::ArtifactPath::parse(name).ok()) {
        Some(name) => name.below(folder),
        None => folder.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(cache: &Path) -> (CacheEntry, PathBuf) {
        let entry = CacheEntry::new(cache, "reg/1", "key");
        create_folder(&entry.staging().join(COMPLETE)).unwrap();
        std::fs::write(entry.staging().join(COMPLETE).join("MLmodel"), "abc").unwrap();
        let files = vec![FileRecord {
            path: "MLmodel".into(),
            size: 3,
        }];
        let path = entry.commit("s3://b/k", None, files).unwrap();
        (entry, path)
    }

    #[test]
    fn a_complete_entry_is_found_and_a_damaged_one_is_not() {
        let cache = tempfile::tempdir().unwrap();
        let (entry, path) = filled(cache.path());
        assert_eq!(entry.find(Some("s3://b/k")), Some(path.clone()));
        assert_eq!(entry.find(None), Some(path.clone()));
        assert_eq!(entry.find(Some("s3://b/other")), None);
        std::fs::write(path.join("MLmodel"), "ab").unwrap();
        assert_eq!(entry.find(None), None);
        std::fs::remove_file(path.join("MLmodel")).unwrap();
        assert_eq!(entry.find(None), None);
    }

    #[test]
    fn an_index_that_is_not_ours_is_no_hit() {
        let cache = tempfile::tempdir().unwrap();
        let (entry, _) = filled(cache.path());
        let index = entry.folder.join(INDEX);
        for text in [
            "",
            "{}",
            r#"{"format":2,"key":"key","source":"s3://b/k","single_file":null,"files":[]}"#,
            r#"{"format":1,"key":"other","source":"s3://b/k","single_file":null,"files":[]}"#,
            r#"{"format":1,"key":"key","source":"s3://b/k","single_file":null,
                "files":[{"path":"../../x","size":1}]}"#,
        ] {
            std::fs::write(&index, text).unwrap();
            assert_eq!(entry.find(None), None, "{text}");
        }
    }

    #[test]
    fn committing_again_replaces_the_content() {
        let cache = tempfile::tempdir().unwrap();
        let (entry, _) = filled(cache.path());
        create_folder(&entry.staging().join(COMPLETE)).unwrap();
        std::fs::write(entry.staging().join(COMPLETE).join("x.zip"), "z").unwrap();
        let files = vec![FileRecord {
            path: "x.zip".into(),
            size: 1,
        }];
        let path = entry
            .commit("s3://b/new", Some("x.zip".into()), files)
            .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "z");
        assert!(!path.with_file_name("MLmodel").exists());
        assert!(!entry.staging().exists());
    }

    #[test]
    fn names_stay_inside_the_cache() {
        let entry = CacheEntry::new(Path::new("/cache"), "../../x y", "k");
        assert_eq!(entry.folder.parent(), Some(Path::new("/cache")));
        assert_ne!(
            entry.folder,
            CacheEntry::new(Path::new("/cache"), "../../x y", "l").folder
        );
    }

    #[tokio::test]
    async fn the_lock_is_exclusive() {
        let cache = tempfile::tempdir().unwrap();
        let entry = CacheEntry::new(cache.path(), "a", "k");
        let held = entry.lock().await.unwrap();
        let second = entry.clone();
        let waiting = tokio::spawn(async move { second.lock().await.map(drop) });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.unwrap().unwrap();
    }
}
