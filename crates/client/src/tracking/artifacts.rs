//! Artifacts of a run or below any artifact URI: list, upload, download.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mlrs_api::runs::RunInfo;
pub use mlrs_artifacts::Entry as Artifact;
use mlrs_artifacts::{ArtifactPath, ArtifactStore, Source, without_secrets};
use mlrs_mlmodel::disk::{create_folder, failed};

use super::{TrackingClient, TrackingError};
use crate::download::{COMPLETE, DownloadSettings, Progress, ProgressCallback, fetch};
use crate::files::remove_folder;
use crate::locate::locate;
use crate::plan::{Origin, Plan};
use crate::uri::ModelUri;

/// Files that are uploaded at the same time.
const UPLOADS: usize = 4;
/// Deepest nesting of folders that is uploaded.
const MAX_DEPTH: usize = 64;

/// The artifacts below one root.
#[derive(Debug, Clone)]
pub struct Artifacts {
    store: Arc<dyn ArtifactStore>,
}

impl TrackingClient {
    /// The artifacts of a run.
    ///
    /// # Errors
    /// When the run is not there, the server does not answer, or its artifacts are in a place that
    /// cannot be reached.
    pub async fn run_artifacts(&self, run_id: &str) -> Result<Artifacts, TrackingError> {
        self.artifacts_of(&self.run(run_id).await?.info)
    }

    /// The artifacts of a run that is known already.
    pub(super) fn artifacts_of(&self, run: &RunInfo) -> Result<Artifacts, TrackingError> {
        let uri = run.artifact_uri.as_deref().filter(|uri| !uri.is_empty());
        let what = || format!("the run `{}`", run.run_id);
        self.artifacts_at(uri.ok_or_else(|| TrackingError::NoLocation(what()))?)
    }

    /// The artifacts below a URI: `mlflow-artifacts:`, `s3:`, `gs:`, `abfss:`, `wasbs:`, `file:`, or a
    /// path of this machine.
    ///
    /// # Errors
    /// When the URI is not valid, or nothing here reads its scheme.
    pub fn artifacts_at(&self, uri: &str) -> Result<Artifacts, TrackingError> {
        let store = self.inner.stores.open(uri)?;
        Ok(Artifacts { store })
    }

    /// Downloads whatever a URI means, also `runs:/…` and `models:/…`, into `destination`, which is
    /// made if it is not there. Returns the path of the file or folder: below `destination` by the last
    /// name of the URI, and `destination` itself for a whole model.
    ///
    /// # Errors
    /// When it cannot be found, read or written.
    pub async fn download(
        &self,
        uri: &str,
        destination: &Path,
        progress: &ProgressCallback,
    ) -> Result<PathBuf, TrackingError> {
        let parsed = ModelUri::parse(uri)?;
        if let ModelUri::Local(path) = &parsed {
            let (folder, name) = local_parts(path)?;
            let artifacts = self.artifacts_at(&folder)?;
            return artifacts.download(&name, destination, progress).await;
        }
        self.download_located(&parsed, destination, progress).await
    }

    /// The same for an artifact of a run. Its path is a name, not part of a URI: it may have `#`, `?`
    /// and percent codes in it.
    ///
    /// # Errors
    /// When it cannot be found, read or written.
    pub async fn download_of_run(
        &self,
        run_id: &str,
        path: &str,
        destination: &Path,
        progress: &ProgressCallback,
    ) -> Result<PathBuf, TrackingError> {
        let parsed = ModelUri::Run {
            run_id: run_id.to_owned(),
            path: ArtifactPath::parse(path)?,
        };
        self.download_located(&parsed, destination, progress).await
    }

    async fn download_located(
        &self,
        parsed: &ModelUri,
        destination: &Path,
        progress: &ProgressCallback,
    ) -> Result<PathBuf, TrackingError> {
        let located = locate(self.lookups(), parsed).await?.unwrap_or_default();
        let mut origins = Vec::with_capacity(located.places.len());
        for (uri, path) in &located.places {
            let store = self.inner.stores.open(uri)?;
            let path = path.clone();
            origins.push(Origin { store, path });
        }
        let name = match &parsed {
            ModelUri::Run { path, .. } => path.name().to_owned(),
            ModelUri::Registered { path, .. } | ModelUri::LoggedModel { path, .. } => {
                path.as_str().to_owned()
            }
            _ => located
                .places
                .first()
                .map(|(_, path)| path.name().to_owned())
                .unwrap_or_default(),
        };
        let target = ArtifactPath::parse(&name)?.below(destination);
        place(&origins, &target, progress).await
    }
}

impl TrackingClient {
    /// The artifacts that a URI means, and its path in them: those that hold `file` below it.
    ///
    /// # Errors
    /// When the URI is that of a registered model or of this machine, names nothing, or `file` is not
    /// there.
    pub async fn artifacts_holding(
        &self,
        uri: &str,
        file: &str,
    ) -> Result<(Artifacts, String), TrackingError> {
        let located = locate(self.lookups(), &ModelUri::parse(uri)?).await?;
        // Later places win where several have a file.
        for (root, path) in located.unwrap_or_default().places.iter().rev() {
            let artifacts = self.artifacts_at(root)?;
            let listed = match artifacts.list(path.as_str()).await {
                Err(error) if error.is_not_found() => Vec::new(),
                listed => listed?,
            };
            if listed.iter().any(|entry| entry.path.name() == file) {
                return Ok((artifacts, path.as_str().to_owned()));
            }
        }
        Err(TrackingError::NoFile {
            uri: without_secrets(uri),
            file: file.to_owned(),
        })
    }
}

/// The folder that a local path is in, and its name there.
fn local_parts(path: &Path) -> Result<(String, String), TrackingError> {
    let refused = || TrackingError::Name(path.to_owned());
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(refused)?;
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder
        .unwrap_or(Path::new("."))
        .to_str()
        .ok_or_else(refused)?;
    Ok((folder.to_owned(), name.to_owned()))
}

impl Artifacts {
    /// The root, without secrets.
    pub fn location(&self) -> &str {
        self.store.location()
    }

    /// One level of files and folders below a path, by name; the root when it is empty. Paths are
    /// relative to the root.
    ///
    /// # Errors
    /// When the path is not safe, or the store does not answer.
    pub async fn list(&self, path: &str) -> Result<Vec<Artifact>, TrackingError> {
        let path = ArtifactPath::parse(path)?;
        let mut found = self.store.list(&path).await?;
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }

    /// Uploads a file into a folder, or to the root, and tells `progress` how far it is.
    ///
    /// # Errors
    /// When the file cannot be read, or the store does not take it.
    pub async fn upload_file(
        &self,
        file: &Path,
        folder: Option<&str>,
        progress: &ProgressCallback,
    ) -> Result<(), TrackingError> {
        let folder = ArtifactPath::parse(folder.unwrap_or_default())?;
        let metadata = std::fs::metadata(file).map_err(failed("look at", file))?;
        let path = name_of(file)?;
        let file = LocalFile {
            place: file.to_owned(),
            path: path.clone(),
            size: metadata.len(),
        };
        self.upload_files(&[(folder.join(&path)?, file)], progress)
            .await
    }

    /// Uploads bytes as the file at a path.
    ///
    /// # Errors
    /// When the path is not safe, or the store does not take it.
    pub async fn upload_bytes(&self, path: &str, bytes: Vec<u8>) -> Result<(), TrackingError> {
        let path = ArtifactPath::parse(path)?;
        self.store.upload(&path, &Source::bytes(bytes)).await?;
        Ok(())
    }

    /// Uploads everything in a folder of this machine, several files at a time, and tells `progress`
    /// how far it is. Links to files are followed, links to folders are not, empty folders are nothing.
    ///
    /// # Errors
    /// When a file cannot be read, has a name that no artifact can have, or is not taken. What was
    /// uploaded before stays.
    pub async fn upload_folder(
        &self,
        directory: &Path,
        folder: Option<&str>,
        progress: &ProgressCallback,
    ) -> Result<(), TrackingError> {
        let folder = ArtifactPath::parse(folder.unwrap_or_default())?;
        let mut files = Vec::new();
        for file in files_below(directory)? {
            files.push((folder.join(&file.path)?, file));
        }
        self.upload_files(&files, progress).await
    }

    /// Uploads these files to these places.
    pub(super) async fn upload_files(
        &self,
        files: &[(ArtifactPath, LocalFile)],
        progress: &ProgressCallback,
    ) -> Result<(), TrackingError> {
        let counter = Counter::new(files);
        progress(counter.progress());
        let uploads = files.iter().enumerate().map(|(index, (path, file))| {
            let counter = Arc::clone(&counter);
            async move {
                let observing = Arc::clone(&counter);
                let source =
                    Source::file(&file.place).observed(move |sent| observing.sent(index, sent));
                self.store.upload(path, &source).await?;
                counter.complete(index, file.size);
                progress(counter.progress());
                Ok::<(), TrackingError>(())
            }
        });
        let mut done = stream::iter(uploads).buffer_unordered(UPLOADS);
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            tokio::select! {
                next = done.try_next() => match next? {
                    Some(()) => {}
                    None => return Ok(()),
                },
                _ = ticks.tick() => progress(counter.progress()),
            }
        }
    }

    /// Downloads a file, or a folder with everything below it, to the same path below `destination`,
    /// which is made if it is not there. What is there under the same names is replaced. Returns the
    /// path of the file or folder.
    ///
    /// # Errors
    /// When there is no such artifact, it cannot be read, or it cannot be written here.
    pub async fn download(
        &self,
        path: &str,
        destination: &Path,
        progress: &ProgressCallback,
    ) -> Result<PathBuf, TrackingError> {
        let path = ArtifactPath::parse(path)?;
        let origin = Origin {
            store: Arc::clone(&self.store),
            path: path.clone(),
        };
        place(&[origin], &path.below(destination), progress).await
    }
}

/// Downloads what is at the origins, so that it is at `target`: a file or a folder.
async fn place(
    origins: &[Origin],
    target: &Path,
    progress: &ProgressCallback,
) -> Result<PathBuf, TrackingError> {
    let plan = Plan::make(origins).await?;
    let folder = match plan.single_file {
        Some(_) => target.parent().unwrap_or(target),
        None => target,
    };
    create_folder(folder)?;
    let staging = folder.join(format!(".mlrs-download-{}", uuid_of(target)));
    let settings = DownloadSettings::default();
    let moved = match fetch(&plan, &staging, &settings, progress).await {
        Ok(files) => move_files(&plan, &files, &staging.join(COMPLETE), folder),
        Err(error) => Err(error.into()),
    };
    // The first error counts; what is left behind is temporary by its name.
    let removed = remove_folder(&staging);
    moved?;
    removed?;
    Ok(target.to_owned())
}

fn uuid_of(target: &Path) -> String {
    use sha2::{Digest as _, Sha256};
    let text = format!("{} {}", std::process::id(), target.display());
    hex::encode(&Sha256::digest(text)[..8])
}

fn move_files(
    plan: &Plan,
    files: &[crate::download::FileRecord],
    from: &Path,
    to: &Path,
) -> Result<(), TrackingError> {
    for folder in &plan.empty_folders {
        create_folder(&folder.below(to))?;
    }
    for file in files {
        let target = to.join(&file.path);
        if let Some(folder) = target.parent() {
            create_folder(folder)?;
        }
        std::fs::rename(from.join(&file.path), &target)
            .map_err(failed("move the download to", &target))?;
    }
    Ok(())
}

/// A file below a folder of this machine.
#[derive(Debug)]
pub(super) struct LocalFile {
    /// Where it is.
    pub(super) place: PathBuf,
    /// Its path below the folder.
    pub(super) path: ArtifactPath,
    /// Its size in bytes.
    pub(super) size: u64,
}

/// The name of a file as an artifact path.
fn name_of(file: &Path) -> Result<ArtifactPath, TrackingError> {
    let name = file.file_name().and_then(|name| name.to_str());
    name.and_then(|name| ArtifactPath::parse(name).ok())
        .filter(|name| !name.is_root())
        .ok_or_else(|| TrackingError::Name(file.to_owned()))
}

/// The paths of all files below a directory, as [`Artifacts::upload_folder`] uploads them.
///
/// # Errors
/// When it cannot be listed, or a file has a name that no artifact can have.
pub fn paths_below(directory: &Path) -> Result<Vec<ArtifactPath>, TrackingError> {
    let files = files_below(directory)?.into_iter();
    Ok(files.map(|file| file.path).collect())
}

/// Every file below a folder, by path.
pub(super) fn files_below(directory: &Path) -> Result<Vec<LocalFile>, TrackingError> {
    let mut found = Vec::new();
    let mut pending = vec![(directory.to_owned(), ArtifactPath::root(), 0)];
    while let Some((folder, path, depth)) = pending.pop() {
        if depth > MAX_DEPTH {
            return Err(TrackingError::Name(folder));
        }
        let entries = std::fs::read_dir(&folder).map_err(failed("list", &folder))?;
        for entry in entries {
            let entry = entry.map_err(failed("list", &folder))?;
            let place = entry.path();
            let path = path.join(&name_of(&place)?)?;
            let kind = entry.file_type().map_err(failed("look at", &place))?;
            if kind.is_dir() {
                pending.push((place, path, depth + 1));
                continue;
            }
            let metadata = std::fs::metadata(&place).map_err(failed("look at", &place))?;
            if metadata.is_file() {
                let size = metadata.len();
                found.push(LocalFile { place, path, size });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Adds up what all uploads report.
struct Counter {
    files_total: usize,
    bytes_total: u64,
    state: Mutex<(usize, HashMap<usize, u64>)>,
}

impl Counter {
    fn new(files: &[(ArtifactPath, LocalFile)]) -> Arc<Self> {
        Arc::new(Self {
            files_total: files.len(),
            bytes_total: files.iter().map(|(_, file)| file.size).sum(),
            state: Mutex::default(),
        })
    }

    fn sent(&self, index: usize, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.insert(index, bytes);
    }

    fn complete(&self, index: usize, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 += 1;
        state.1.insert(index, bytes);
    }

    fn progress(&self) -> Progress {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Progress {
            files_done: state.0,
            files_total: self.files_total,
            bytes_done: state.1.values().sum(),
            bytes_total: Some(self.bytes_total),
        }
    }
}
