//! Where artifacts are: the server's own destination for `mlflow-artifacts:`, and the stores that
//! other roots name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mlrs_artifacts::{
    AllowedRoots, ArtifactPath, ArtifactStore, CloudSettings, LocalStore, MultipartUploads,
    OpenStoreError, PathError, Place, PresignedFiles, StoreError, open_direct,
};
use mlrs_store::rules::HostPolicy;
use mlrs_store::rules::locations::{is_proxied, proxied_path};

/// What MLflow calls an upload in parts where it cannot be.
pub(crate) const UPLOAD_IN_PARTS: &str = "Multipart upload";

/// How artifacts are reached.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// Where proxied artifacts are; none when the server does not serve them.
    pub destination: Option<Arc<dyn ArtifactStore>>,
    /// Credentials and addresses of object stores.
    pub cloud: CloudSettings,
    /// Places that roots of runs may lie in. Others are not reached for a client: a client chooses
    /// the root of an experiment, and could choose any folder of this machine and any bucket that
    /// the server's credentials open.
    pub allowed_roots: AllowedRoots,
    /// Hosts that roots of runs and sources of models may name.
    pub hosts: HostPolicy,
    /// Where relative roots of experiments begin.
    pub working_directory: PathBuf,
}

/// Why artifacts cannot be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// The server does not serve artifacts.
    #[error(
        "This endpoint is disabled: the server runs with --no-serve-artifacts. Start it without to \
         pass artifacts through it."
    )]
    NotServed,
    /// The root of a run is a place that the server does not reach for clients.
    #[error(
        "The artifacts are outside of this server's artifact roots, and it reaches no other place \
         with its own permissions. Start the server with their root in --allowed-artifact-roots, \
         or read them where they are."
    )]
    Foreign,
    /// The root of a run names a host that the server does not connect to.
    #[error(transparent)]
    Host(mlrs_store::StoreError),
    /// The store does not do this; in MLflow's words, by which clients know it.
    #[error("{0} is not supported for the current artifact repository")]
    Unsupported(&'static str),
    /// As many files are on their way as may be.
    #[error("the server sends or receives as many artifacts as it may")]
    Busy,
    /// A path that could lead elsewhere.
    #[error("Invalid path")]
    Path(#[from] PathError),
    /// No store for this root.
    #[error("The artifact root cannot be opened")]
    Open(#[from] OpenStoreError),
    /// The store refuses.
    #[error("The artifact store failed")]
    Store(#[from] StoreError),
}

/// A root of artifacts: a store, and the path of the root in it.
pub(crate) struct Root {
    store: Arc<dyn ArtifactStore>,
    base: ArtifactPath,
}

impl Root {
    /// The store.
    pub(crate) fn store(&self) -> &Arc<dyn ArtifactStore> {
        &self.store
    }

    /// The store's uploads in parts.
    pub(crate) fn uploads(&self) -> Result<&dyn MultipartUploads, AccessError> {
        let uploads = self.store.multipart_uploads();
        uploads.ok_or(AccessError::Unsupported(UPLOAD_IN_PARTS))
    }

    /// The store's addresses of files, for what MLflow calls this.
    pub(crate) fn presigned(&self, what: &'static str) -> Result<&dyn PresignedFiles, AccessError> {
        let presigned = self.store.presigned_files();
        presigned.ok_or(AccessError::Unsupported(what))
    }

    /// The place of a path below the root.
    pub(crate) fn place(&self, path: &ArtifactPath) -> Result<ArtifactPath, AccessError> {
        Ok(self.base.join(path)?)
    }

    /// A place as seen from the root.
    pub(crate) fn relative(&self, place: &ArtifactPath) -> String {
        let relative = place.relative_to(&self.base);
        relative.map_or_else(|| place.to_string(), |path| path.to_string())
    }
}

impl Artifacts {
    /// Hosts that an address may name.
    pub(crate) const fn hosts(&self) -> &HostPolicy {
        &self.hosts
    }

    /// Where relative roots of experiments begin.
    pub(crate) fn working_directory(&self) -> &Path {
        &self.working_directory
    }

    /// The root of proxied artifacts.
    pub(crate) fn proxied(&self) -> Result<Root, AccessError> {
        let store = self.destination.clone().ok_or(AccessError::NotServed)?;
        Ok(Root {
            store,
            base: ArtifactPath::root(),
        })
    }

    /// The root that a run or a model has.
    pub(crate) fn root(&self, uri: &str) -> Result<Root, AccessError> {
        if is_proxied(uri) {
            return self.root_anywhere(uri);
        }
        self.hosts.check_stored(uri).map_err(AccessError::Host)?;
        let place = Place::parse(uri)?;
        if !self.allowed_roots.contains(&place) {
            return Err(AccessError::Foreign);
        }
        match place {
            Place::Local(directory) => self.local_root(&directory),
            Place::Object(_) => self.root_anywhere(uri),
        }
    }

    /// The same, to sign URLs in it; a local folder signs none, whichever it is.
    pub(crate) fn signing_root(&self, uri: &str, what: &'static str) -> Result<Root, AccessError> {
        match Place::parse(uri) {
            Ok(Place::Local(_)) => Err(AccessError::Unsupported(what)),
            _ => self.root(uri),
        }
    }

    /// The same, for one who may read and change every folder of this machine.
    pub(crate) fn root_anywhere(&self, uri: &str) -> Result<Root, AccessError> {
        if let Some(path) = proxied_path(uri) {
            let mut root = self.proxied()?;
            root.base = ArtifactPath::parse(path.trim_matches('/'))?;
            return Ok(root);
        }
        let store = open_direct(uri, &self.cloud)?;
        Ok(Root {
            store,
            base: ArtifactPath::root(),
        })
    }

    /// A directory of this machine within one of those that may be read. It is opened beneath that one,
    /// so that no link on the way to it leads out.
    fn local_root(&self, directory: &Path) -> Result<Root, AccessError> {
        let directory = absolute(directory);
        let roots = self.allowed_roots.directories().into_iter();
        let holding = roots.filter(|root| directory.starts_with(root));
        let nearest = holding.max_by_key(|root| root.components().count());
        let root = nearest.ok_or(AccessError::Foreign)?;
        let base = directory.strip_prefix(&root).unwrap_or(&directory);
        Ok(Root {
            base: ArtifactPath::parse(&base.to_string_lossy())?,
            store: Arc::new(LocalStore::new(root)),
        })
    }

    /// The store of `--artifacts-destination`.
    ///
    /// # Errors
    /// When there is no store for it.
    pub fn open_destination(
        uri: &str,
        cloud: &CloudSettings,
    ) -> Result<Arc<dyn ArtifactStore>, OpenStoreError> {
        let store = open_direct(uri, cloud)?;
        // A relative folder stays where the server was started.
        match store.local_folder() {
            Some(folder) => Ok(Arc::new(LocalStore::new(absolute(folder)))),
            None => Ok(store),
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifacts(root: &Path) -> Artifacts {
        let mut allowed_roots = AllowedRoots::default();
        for root in [root.to_str().unwrap(), "s3://box/team"] {
            allowed_roots.allow(root).unwrap();
        }
        Artifacts {
            destination: Some(Arc::new(LocalStore::new(root))),
            cloud: CloudSettings::default(),
            allowed_roots,
            hosts: HostPolicy::default(),
            working_directory: "/srv".into(),
        }
    }

    #[test]
    fn proxied_roots_are_paths_of_the_destination() {
        let artifacts = artifacts(Path::new("/srv/art"));
        for uri in [
            "mlflow-artifacts:/1/r/artifacts",
            "mlflow-artifacts://host:5000/1/r/artifacts",
            "http://host/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts",
        ] {
            let root = artifacts.root(uri).unwrap();
            let place = root.place(&ArtifactPath::parse("model/MLmodel").unwrap());
            assert_eq!(
                place.unwrap().as_str(),
                "1/r/artifacts/model/MLmodel",
                "{uri}"
            );
        }
        assert!(artifacts.root("mlflow-artifacts:/../x").is_err());
    }

    #[test]
    fn places_elsewhere_are_not_reached() {
        let artifacts = artifacts(Path::new("/srv/art"));
        let is_foreign = |uri| matches!(artifacts.root(uri), Err(AccessError::Foreign));
        for uri in ["/srv/art/1/r", "file:///srv/art/1/r", "s3://box/team/1/r"] {
            assert!(!is_foreign(uri), "{uri}");
        }
        for uri in [
            "/etc",
            "/srv/artificial",
            "/srv/art/../../etc",
            "file:///",
            "s3://payroll",
            "s3://box",
            "s3://box/teams",
            "gs://box/team",
            "wasbs://box@account.blob.core.windows.net/team",
        ] {
            assert!(is_foreign(uri), "{uri}");
        }
        let signing = |uri| artifacts.signing_root(uri, "Presigned upload");
        assert!(matches!(signing("s3://payroll"), Err(AccessError::Foreign)));
        assert!(matches!(signing("/etc"), Err(AccessError::Unsupported(_))));
    }

    #[test]
    fn hosts_that_are_not_ones_own_are_not_asked() {
        let mut artifacts = artifacts(Path::new("/srv/art"));
        let uri = "abfss://box@account.dfs.core.windows.net/1/r";
        let refused = artifacts.root(uri);
        assert!(matches!(refused, Err(AccessError::Host(_))));
        artifacts.hosts = HostPolicy::new([], [uri]);
        assert!(!matches!(artifacts.root(uri), Err(AccessError::Host(_))));
    }

    #[tokio::test]
    async fn a_root_behind_a_link_that_leads_out_is_not_read() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("art");
        std::fs::create_dir_all(root.join("1/r")).unwrap();
        std::fs::write(root.join("1/r/file"), "x").unwrap();
        std::fs::write(around.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("..", root.join("out")).unwrap();
        let artifacts = artifacts(&root);
        let list = async |below: &str| {
            let found = artifacts.root(&root.join(below).display().to_string());
            let found = found.unwrap();
            let place = found.place(&ArtifactPath::root()).unwrap();
            let entries = found.store().list(&place).await?;
            let names = entries.iter().map(|entry| found.relative(&entry.path));
            Ok::<Vec<String>, StoreError>(names.collect())
        };
        assert_eq!(list("1/r").await.unwrap(), ["file"]);
        assert!(matches!(list("out").await, Err(StoreError::Outside { .. })));
    }
}
