//! A copy of a model where somebody wants it, whole or not at all.
//!
//! A folder that is not there yet appears by a rename. One that is there may be where a volume is
//! mounted, which can be neither renamed nor removed: it is filled by renames inside of it, the
//! manifest last. While that lasts, a folder [`STAGING`] says so; whoever pulls again after a crash
//! finds it, and begins anew.

use std::path::{Path, PathBuf};

use mlrs_mlmodel::disk::{FileError, create_folder, failed};

use crate::connection::ConnectionSettings;
use crate::download::ProgressCallback;
use crate::files::{remove_folder, rename};
use crate::resolver::{ResolveError, Resolved, Resolver};

/// The folder of what is not finished: inside the destination, or beside it with its name in front.
const STAGING: &str = ".mlrs-pull";
/// The model, in a staging folder.
const MODEL: &str = "model";
/// The file without which a folder is no model.
const MANIFEST: &str = "MLmodel";

impl Resolver {
    /// A resolver for one [`Self::pull`], which keeps nothing but the destination: what is downloaded
    /// is moved there. Only while it is not whole, its pieces are kept beside it, for another try.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn without_cache(
        settings: ConnectionSettings,
        destination: &Path,
    ) -> Result<Self, ResolveError> {
        Self::new(settings, staging(destination).join("cache"))
    }

    /// A copy of the model at `destination`, which must not exist, be an empty folder, or be one that
    /// an earlier pull did not finish; with `replace` also one with anything in it, which is then gone.
    ///
    /// # Errors
    /// As [`Self::resolve`], and when something is at the destination.
    pub async fn pull(
        &self,
        uri: &str,
        destination: &Path,
        replace: bool,
        progress: &ProgressCallback,
    ) -> Result<Resolved, ResolveError> {
        if !is_free(destination, replace) {
            return Err(ResolveError::Exists(destination.to_owned()));
        }
        let mut resolved = self.resolve(uri, progress).await?;
        let staging = staging(destination);
        create_folder(&staging)?;
        let model = staging.join(MODEL);
        if let Err(error) = stage(&resolved.path, &staging, &model) {
            // The first error counts; what is left behind says by its name that it is not whole.
            drop(remove_folder(&model));
            return Err(error.into());
        }
        if destination.is_dir() {
            fill(destination, &model, &resolved.path)?;
            // From a pull that ended between its rename and its tidying up.
            remove_folder(&beside(destination))?;
        } else {
            rename(&model, destination)?;
        }
        remove_folder(&staging)?;
        resolved.path = PathBuf::from(destination);
        Ok(resolved)
    }
}

/// Whether a pull may write there.
fn is_free(destination: &Path, replace: bool) -> bool {
    match std::fs::read_dir(destination) {
        Ok(mut entries) => {
            replace || entries.next().is_none() || destination.join(STAGING).exists()
        }
        Err(_) => !destination.exists(),
    }
}

fn staging(destination: &Path) -> PathBuf {
    if destination.is_dir() {
        destination.join(STAGING)
    } else {
        beside(destination)
    }
}

fn beside(destination: &Path) -> PathBuf {
    let name = destination.file_name().unwrap_or_default();
    destination.with_file_name(format!(".{}{STAGING}", name.to_string_lossy()))
}

/// Brings what was found into the staging folder: what was downloaded there is moved.
fn stage(found: &Path, staging: &Path, model: &Path) -> Result<(), FileError> {
    if model.is_file() {
        std::fs::remove_file(model).map_err(failed("remove", model))?;
    }
    remove_folder(model)?;
    if found.starts_with(staging) {
        rename(found, model)
    } else {
        copy(found, model)
    }
}

/// Puts a model into a folder that stays what it is, in place of everything there.
fn fill(destination: &Path, model: &Path, found: &Path) -> Result<(), FileError> {
    for entry in names(destination)? {
        let path = destination.join(&entry);
        if entry == STAGING {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            remove_folder(&path)?;
        } else {
            std::fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    if model.is_file() {
        return rename(
            model,
            &destination.join(found.file_name().unwrap_or_default()),
        );
    }
    let mut entries = names(model)?;
    entries.sort_by_key(|name| name == MANIFEST);
    for entry in entries {
        rename(&model.join(&entry), &destination.join(&entry))?;
    }
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>, FileError> {
    let entries = std::fs::read_dir(folder).map_err(failed("list", folder))?;
    entries
        .map(|entry| Ok(entry.map_err(failed("list", folder))?.file_name()))
        .collect()
}

/// Copies a file or a folder; symbolic links are left out.
fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    if from.is_file() {
        std::fs::copy(from, to).map_err(failed("copy", from))?;
        return Ok(());
    }
    create_folder(to)?;
    for entry in std::fs::read_dir(from).map_err(failed("list", from))? {
        let entry = entry.map_err(failed("list", from))?;
        let kind = entry.file_type().map_err(failed("look at", from))?;
        if kind.is_dir() || kind.is_file() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
