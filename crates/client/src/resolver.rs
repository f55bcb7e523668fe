//! From whatever names a model to a folder on this machine: [`Resolver`].
//!
//! Local paths, and stores that are folders of this machine, are used in place. Everything else is
//! downloaded into the content cache; what cannot change is downloaded once, and is still found when
//! the server cannot be asked.

use std::path::PathBuf;

use mlrs_artifacts::{
    OpenStoreError, Server, StoreSettings, Transport, TransportError, local_path_of_file_uri,
    without_secrets,
};
use mlrs_mlmodel::disk::{FileError, create_folder};

use crate::cache::CacheEntry;
use crate::connection::ConnectionSettings;
use crate::download::{COMPLETE, DownloadError, DownloadSettings, ProgressCallback, fetch};
use crate::files::{remove_folder, write_durably};
use crate::locate::{Identity, Located, lasting, locate};
use crate::meta;
use crate::plan::{Origin, Plan, PlanError};
use crate::registry::{Registry, RegistryError};
use crate::uri::{ModelUri, UriError, is_logged_model_id};

/// Why a model is not on this machine.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The text names no model.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// A server did not say where it is.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store of its files cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenStoreError),
    /// The client of the servers cannot be set up.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The files cannot be listed.
    #[error("cannot list the files of `{uri}`")]
    Plan {
        /// The model.
        uri: String,
        /// Why.
        #[source]
        source: PlanError,
    },
    /// The files cannot be downloaded.
    #[error("cannot download `{uri}`")]
    Download {
        /// The model.
        uri: String,
        /// Why.
        #[source]
        source: DownloadError,
    },
    /// The files cannot be written here.
    #[error(transparent)]
    File(#[from] FileError),
    /// The server says that the files are in a folder, and this machine has no such folder.
    #[error("the files of `{uri}` are in `{}`, which is not on this machine", folder.display())]
    Elsewhere {
        /// The model.
        uri: String,
        /// The folder on the server's machine.
        folder: PathBuf,
    },
    /// There is nothing at a local path.
    #[error("there is nothing at `{}`", .0.display())]
    Missing(PathBuf),
    /// There is something at the destination already.
    #[error("`{}` is there already", .0.display())]
    Exists(PathBuf),
}

impl ResolveError {
    /// What to check, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Uri(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Transport(error) => error.hint(),
            Self::Plan {
                source: PlanError::Store(error),
                ..
            } => error.hint(),
            Self::Plan { .. } => Some(
                "check that the model was logged whole, and that you may read its artifacts"
                    .to_owned(),
            ),
            Self::Download { source, .. } => source.hint(),
            Self::File(error) => crate::files::hint(error),
            Self::Elsewhere { .. } => Some(
                "the server keeps artifacts on its own disk: start it with --serve-artifacts and \
                 --artifacts-destination, and log the model again"
                    .to_owned(),
            ),
            Self::Missing(path) => path
                .to_str()
                .filter(|text| is_logged_model_id(text))
                .map(|id| format!("for the logged model write `models:/{id}`")),
            Self::Exists(path) if path.is_dir() => Some(
                "name a folder that is empty or does not exist yet, or say --replace".to_owned(),
            ),
            Self::Exists(_) => Some("name a folder that does not exist yet".to_owned()),
        }
    }
}

/// A model on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its folder, or the single file that was asked for.
    pub path: PathBuf,
    /// The URI that was resolved.
    pub uri: String,
    /// What servers said of it; none for local paths.
    pub identity: Option<Identity>,
    /// Whether it was in the cache already.
    pub from_cache: bool,
}

/// Finds and fetches models.
#[derive(Debug)]
pub struct Resolver {
    registry: Registry,
    stores: StoreSettings,
    cache: PathBuf,
    /// Part of every key: the same names mean other models in another workspace.
    workspace: String,
    download: DownloadSettings,
}

impl Resolver {
    /// A resolver that keeps downloads below `cache`.
    ///
    /// # Errors
    /// When a certificate that the settings name cannot be read.
    pub fn new(
        settings: ConnectionSettings,
        cache: impl Into<PathBuf>,
    ) -> Result<Self, ResolveError> {
        let workspace = settings.transport.workspace.clone().unwrap_or_default();
        let transport = Transport::new(settings.transport)?;
        let server = Server {
            transport: transport.clone(),
            address: settings.tracking.address().cloned(),
        };
        Ok(Self {
            registry: Registry::new(transport, settings.tracking, settings.registry),
            stores: StoreSettings {
                server,
                cloud: settings.cloud,
            },
            cache: cache.into().join("models"),
            workspace,
            download: DownloadSettings::default(),
        })
    }

    /// The model as a folder of this machine.
    ///
    /// # Errors
    /// When it cannot be found or fetched; nothing half-done is left in the cache.
    pub async fn resolve(
        &self,
        uri: &str,
        progress: &ProgressCallback,
    ) -> Result<Resolved, ResolveError> {
        let parsed = ModelUri::parse(uri)?;
        let resolved = |path, identity, from_cache| Resolved {
            path,
            uri: uri.to_owned(),
            identity,
            from_cache,
        };
        if let ModelUri::Local(path) = &parsed {
            if !path.exists() {
                return Err(ResolveError::Missing(path.clone()));
            }
            return Ok(resolved(path.clone(), None, false));
        }
        let located = match locate(&self.registry, &parsed).await {
            Ok(located) => located.unwrap_or_default(),
            Err(error) => {
                let (path, identity) = self.without_server(&parsed, &error).ok_or(error)?;
                return Ok(resolved(path, Some(identity), true));
            }
        };
        if let Some(path) = in_place(&located) {
            return Ok(resolved(path, Some(located.identity), false));
        }
        if let Some(folder) = local_folder_of(&located) {
            let uri = uri.to_owned();
            return Err(ResolveError::Elsewhere { uri, folder });
        }
        let (path, from_cache) = self.cached(uri, &located, progress).await?;
        Ok(resolved(path, Some(located.identity), from_cache))
    }

    /// A version or logged model in the cache, when the server that should confirm it is down.
    fn without_server(&self, uri: &ModelUri, error: &RegistryError) -> Option<(PathBuf, Identity)> {
        if !error.is_transient() {
            return None;
        }
        let (key, identity) = lasting(&self.registry, uri)?;
        let path = self.entry(&identity, &key).find(None)?;
        tracing::warn!(%error, path = %path.display(), "the server cannot be asked, using the cached copy");
        Some((path, identity))
    }

    fn entry(&self, identity: &Identity, key: &str) -> CacheEntry {
        let label = identity
            .name
            .as_deref()
            .or(identity.model_id.as_deref())
            .unwrap_or("model");
        CacheEntry::new(&self.cache, label, &format!("{}\n{key}", self.workspace))
    }

    /// The path in the cache, and whether it was there already.
    async fn cached(
        &self,
        uri: &str,
        located: &Located,
        progress: &ProgressCallback,
    ) -> Result<(PathBuf, bool), ResolveError> {
        let places = located.places.iter();
        let source = places
            .map(|(uri, path)| format!("{} {path}", without_secrets(uri)))
            .collect::<Vec<_>>()
            .join("\n");
        let is_lasting = located.key.is_some();
        let entry = self.entry(&located.identity, located.key.as_deref().unwrap_or(&source));
        let found = || is_lasting.then(|| entry.find(Some(&source))).flatten();
        if let Some(path) = found() {
            return Ok((path, true));
        }
        create_folder(&self.cache)?;
        let _lock = entry.lock().await?;
        // Another process may have fetched it while this one waited.
        if let Some(path) = found() {
            return Ok((path, true));
        }
        if !is_lasting {
            // Pieces of something that may have changed since are of no use.
            remove_folder(entry.staging())?;
        }
        let plan = self.plan(uri, located).await?;
        let files = fetch(&plan, entry.staging(), &self.download, progress).await;
        let mut files = files.map_err(|source| ResolveError::Download {
            uri: uri.to_owned(),
            source,
        })?;
        // MLflow's client fetches a model that a run logged through `models:/m-…` as well.
        if (is_lasting || located.identity.model_id.is_some())
            && files.iter().any(|file| file.path == "MLmodel")
            && plan.single_file.is_none()
        {
            let file = entry.staging().join(COMPLETE).join(meta::FILE_NAME);
            write_durably(&file, meta::content(&located.identity).as_bytes())?;
            // A store may hold such a file of its own, of another size.
            files.retain(|file| file.path != meta::FILE_NAME);
        }
        Ok((entry.commit(&source, plan.single_file, files)?, false))
    }

    async fn plan(&self, uri: &str, located: &Located) -> Result<Plan, ResolveError> {
        let mut origins = Vec::with_capacity(located.places.len());
        for (place, path) in &located.places {
            let store = self.stores.open(place)?;
            let path = path.clone();
            origins.push(Origin { store, path });
        }
        let uri = uri.to_owned();
        Plan::make(&origins)
            .await
            .map_err(|source| ResolveError::Plan { uri, source })
    }
}

/// The folder of this machine where the model already is. A run's path may mean two places: then
/// the last one that exists.
fn in_place(located: &Located) -> Option<PathBuf> {
    let mut found = None;
    for (uri, path) in &located.places {
        let place = path.below(&local_path_of(uri)?);
        if place.exists() {
            found = Some(place);
        }
    }
    found
}

/// The folder of some machine that the model is in, when all of its places are folders.
fn local_folder_of(located: &Located) -> Option<PathBuf> {
    let mut last = None;
    for (uri, path) in &located.places {
        last = Some(path.below(&local_path_of(uri)?));
    }
    last
}

/// The path that an artifact URI means; none when it means a store.
fn local_path_of(uri: &str) -> Option<PathBuf> {
    match uri.split_once(':') {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => {
            local_path_of_file_uri(uri).ok()
        }
        Some(_) => None,
        None => Some(PathBuf::from(uri)),
    }
}
