//! What may become a version of a registered model: the source of a request, followed to where its
//! files are, and checked against the run or logged model that it claims to be of.
//!
//! A source names files that clients will fetch later, through this server or not. A client could
//! name those of somebody else, or of this machine; so a place that this server serves must lie
//! within the run or model that the request names.

use std::io::ErrorKind;
use std::path::{Component, PathBuf};

use mlrs_api::registry::{CreateModelVersionRequest, ModelVersion};
use mlrs_artifacts::local_path_of_file_uri;
use mlrs_client::{ModelUri, Selector};
use mlrs_store::rules::locations::{is_proxied, is_within, scheme_of};
use mlrs_store::rules::registry::{self as rules, is_prompt};
use mlrs_store::{NewModelVersion, StoreError, clock};

use crate::state::TrackingState;

/// What prompts, which have no files, have for a source.
const PROMPT_SOURCES: [&str; 2] = ["dummy-source", "prompt-template"];

/// A version to be made, and the logged model it is made of.
pub(crate) struct Registration {
    /// The version.
    pub(crate) new: NewModelVersion,
    /// The logged model.
    pub(crate) model_id: Option<String>,
}

/// What a request registers.
pub(crate) async fn resolve(
    state: &TrackingState,
    request: &CreateModelVersionRequest,
) -> Result<Registration, StoreError> {
    let mut new = rules::create_version(request, clock::now())?;
    state.source_pattern().check(&new.source)?;
    if is_prompt(&new.tags) {
        if !PROMPT_SOURCES.contains(&new.source.as_str()) {
            return Err(StoreError::invalid(format!(
                "Invalid prompt source: '{}'. Prompt sources must use an MLflow placeholder.",
                new.source
            )));
        }
        return Ok(Registration {
            new,
            model_id: None,
        });
    }
    state
        .artifacts()
        .hosts()
        .check_field(&new.source, "source")?;
    let mut model_id = request.model_id.clone().filter(|id| !id.is_empty());
    if let Some(known) = copied_version(state, &new.source).await? {
        check_same(request, &known, &new.source)?;
        new.source = format!("models:/{}/{}", known.name, known.version);
        let version = known.version.parse().unwrap_or_default();
        let uri = state.registry()?.download_uri(known.name, version).await?;
        new.storage_location = uri;
        if new.run_id.is_empty() {
            new.run_id = known.run_id.unwrap_or_default();
        }
        model_id = model_id.or(known.model_id);
    }
    match &model_id {
        Some(id) => of_model(state, &mut new, id).await?,
        None => of_run(state, &new).await?,
    }
    Ok(Registration { new, model_id })
}

fn wrong_owner(source: &str, field: &str) -> StoreError {
    StoreError::invalid(format!(
        "Invalid model version source: '{source}'. The {field} request parameter must identify the \
         resource that contains the source."
    ))
}

/// The version that a source of the form `models:/name/…` means.
async fn copied_version(
    state: &TrackingState,
    source: &str,
) -> Result<Option<ModelVersion>, StoreError> {
    if scheme_of(source).as_deref() != Some("models") {
        return Ok(None);
    }
    if source["models:".len()..].starts_with("//") {
        return Err(StoreError::invalid(format!(
            "Invalid model version source: '{source}'. Registered model sources must use the \
             active model registry."
        )));
    }
    let (name, selector) = match ModelUri::parse(source) {
        Ok(ModelUri::Registered {
            name,
            selector,
            path,
        }) if path.is_root() => (name, selector),
        Ok(ModelUri::LoggedModel { .. }) => return Ok(None),
        _ => return Err(wrong_owner(source, "model_id")),
    };
    let store = state.registry()?;
    let model = store.registered_model(name.clone()).await?;
    if is_prompt(&model.tags) {
        return Err(StoreError::invalid(format!(
            "Invalid model version source: '{source}'. Prompt versions cannot be used as model \
             version sources."
        )));
    }
    let found = match selector {
        Selector::Version(version) => {
            let (name, version) = rules::version_of(&Some(name), &Some(version))?;
            store.model_version(name, version).await?
        }
        Selector::Alias(alias) => store.version_by_alias(name, alias).await?,
        Selector::Latest => {
            store
                .version_by_alias(name, rules::LATEST.to_owned())
                .await?
        }
        Selector::Stage(text) => {
            let request = mlrs_api::registry::GetLatestVersionsRequest {
                name: Some(name),
                stages: vec![text],
            };
            let (name, stages) = rules::latest_versions(&request)?;
            let found = store.latest_versions(name.clone(), stages).await?;
            let found = found.into_iter().next();
            found.ok_or(StoreError::NoLatestVersion(name))?
        }
    };
    Ok(Some(found))
}

/// A copy of a version is of the same run and model.
fn check_same(
    request: &CreateModelVersionRequest,
    known: &ModelVersion,
    source: &str,
) -> Result<(), StoreError> {
    let differs = |asked: &Option<String>, known: &Option<String>| {
        asked
            .as_ref()
            .is_some_and(|asked| *asked != known.clone().unwrap_or_default())
    };
    if differs(&request.run_id, &known.run_id) || differs(&request.model_id, &known.model_id) {
        return Err(StoreError::invalid(format!(
            "Invalid model version source: '{source}'. The run_id and model_id request parameters \
             must match the referenced model version."
        )));
    }
    Ok(())
}

async fn of_model(
    state: &TrackingState,
    new: &mut NewModelVersion,
    model_id: &str,
) -> Result<(), StoreError> {
    let found = state
        .store()?
        .logged_model(model_id.to_owned(), false)
        .await;
    let model = match found {
        Err(StoreError::NoLoggedModel(_)) => return Err(wrong_owner(&new.source, "model_id")),
        found => found?.info,
    };
    let root = model.artifact_uri.unwrap_or_default();
    match scheme_of(&new.source).as_deref() {
        None | Some("file") => check_local(&new.source, Some(&root), "model_id")?,
        scheme => {
            check_plain(&new.source)?;
            match (scheme, ModelUri::parse(&new.source)) {
                (
                    Some("models"),
                    Ok(ModelUri::LoggedModel {
                        model_id: named, ..
                    }),
                ) => {
                    if named != model_id {
                        return Err(wrong_owner(&new.source, "model_id"));
                    }
                    new.storage_location.clone_from(&root);
                }
                (Some("runs"), _) => return Err(wrong_owner(&new.source, "model_id")),
                _ if is_proxied(&new.source) && !is_within(&new.source, &root) => {
                    return Err(wrong_owner(&new.source, "model_id"));
                }
                _ => {}
            }
        }
    }
    if new.run_id.is_empty() {
        new.run_id = model.source_run_id.unwrap_or_default();
    }
    Ok(())
}

async fn of_run(state: &TrackingState, new: &NewModelVersion) -> Result<(), StoreError> {
    let source = &new.source;
    let scheme = scheme_of(source);
    if matches!(scheme.as_deref(), None | Some("file")) {
        let root = artifact_root(state, new).await?;
        return check_local(source, root.as_deref(), "run_id");
    }
    check_plain(source)?;
    match scheme.as_deref() {
        Some("runs") => match ModelUri::parse(source) {
            Ok(ModelUri::Run { run_id, .. }) if run_id == new.run_id => Ok(()),
            _ => Err(wrong_owner(source, "run_id")),
        },
        Some("models") if matches!(ModelUri::parse(source), Ok(ModelUri::LoggedModel { .. })) => {
            Err(wrong_owner(source, "model_id"))
        }
        _ if is_proxied(source) => {
            let root = artifact_root(state, new).await?;
            if root.is_some_and(|root| is_within(source, &root)) {
                Ok(())
            } else {
                Err(wrong_owner(source, "run_id"))
            }
        }
        _ => Ok(()),
    }
}

/// The root of the run that a request names.
async fn artifact_root(
    state: &TrackingState,
    new: &NewModelVersion,
) -> Result<Option<String>, StoreError> {
    if new.run_id.is_empty() {
        return Ok(None);
    }
    match state.store()?.run(new.run_id.clone()).await {
        Ok(run) => Ok(run.info.artifact_uri),
        Err(StoreError::NoRun(_)) => Err(wrong_owner(&new.source, "run_id")),
        Err(error) => Err(error),
    }
}

fn check_local(source: &str, root: Option<&str>, field: &str) -> Result<(), StoreError> {
    let inside = root.and_then(local_path).zip(local_path(source));
    if inside.is_some_and(|(root, place)| place.starts_with(root)) {
        return Ok(());
    }
    Err(StoreError::invalid(format!(
        "Invalid model version source: '{source}'. To use a local path as a model version source, \
         the {field} request parameter has to be specified and the local path has to be contained \
         within the artifact directory of the run specified by the {field}."
    )))
}

/// A local path without steps back, through the links that are there.
fn local_path(uri: &str) -> Option<PathBuf> {
    let path = match scheme_of(uri).as_deref() {
        None => PathBuf::from(uri),
        Some("file") => local_path_of_file_uri(uri).ok()?,
        Some(_) => return None,
    };
    let path = std::path::absolute(path).ok()?;
    let mut resolved = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            resolved.pop();
            continue;
        }
        resolved.push(part);
        match resolved.canonicalize() {
            Ok(real) => resolved = real,
            // What is not there is no link; what cannot be looked at is not followed.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if resolved.is_symlink() {
                    return None;
                }
            }
            Err(_) => return None,
        }
    }
    Some(resolved)
}

/// Refuses what is another path once it is decoded.
fn check_plain(source: &str) -> Result<(), StoreError> {
    let mut decoded = source.to_owned();
    for _ in 0..10 {
        let text = decoded.replace('+', " ");
        let next = percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned();
        if next == decoded {
            break;
        }
        decoded = next;
    }
    let mut parts = decoded.split('/');
    if !decoded.contains('\0') && parts.all(|part| part != ".." && part != ".") {
        return Ok(());
    }
    Err(StoreError::invalid(format!(
        "Invalid model version source: '{source}'. If supplying a source as an http, https, local \
         file path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided \
         without relative path references present. Please provide an absolute path."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_do_not_lead_out_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("run");
        std::fs::create_dir(&root).unwrap();
        let link = |name: &str, to: &str| {
            std::os::unix::fs::symlink(to, root.join(name)).unwrap();
        };
        link("out", "/etc");
        link("dangling", "/no/such/place");
        let check = |path: &str| {
            let source = root.join(path);
            check_local(source.to_str().unwrap(), root.to_str(), "run_id")
        };
        check("model/../x").unwrap();
        for path in [
            "out",
            "out/../x",
            "model/../out/x",
            "dangling",
            "dangling/x",
        ] {
            assert!(check(path).is_err(), "{path}");
        }
    }

    #[test]
    fn steps_back_are_found_however_they_are_written() {
        for hostile in [
            "s3://box/a/../b",
            "mlflow-artifacts:/1/..%2f..%2fetc",
            "s3://box/%252e%252e/x",
            "s3://box/a%00",
        ] {
            assert!(check_plain(hostile).is_err(), "{hostile}");
        }
        check_plain("s3://box/a b/c..d").unwrap();
    }

    #[test]
    fn local_places_lie_within_their_run() {
        check_local(
            "/srv/1/r/artifacts/model",
            Some("/srv/1/r/artifacts"),
            "run_id",
        )
        .unwrap();
        check_local(
            "file:///srv/1/r/artifacts/model",
            Some("/srv/1/r/artifacts"),
            "run_id",
        )
        .unwrap();
        for source in [
            "/srv/1/r/artifacts/model/..",
            "/srv/1/r/artifacts/a/../b",
            "/srv/1/r/artifacts/./x",
            "/srv/1/r/artifacts/",
        ] {
            check_local(source, Some("/srv/1/r/artifacts"), "run_id").unwrap();
        }
        for (source, root) in [
            ("/etc", Some("/srv/1/r/artifacts")),
            ("/srv/1/r/artifacts/model/../..", Some("/srv/1/r/artifacts")),
            ("/srv/1/r/artifacts/../../x", Some("/srv/1/r/artifacts")),
            ("/srv/1/r/artifacts", Some("s3://box/1/r/artifacts")),
            ("/srv/1/r/artifacts", None),
        ] {
            assert!(check_local(source, root, "run_id").is_err(), "{source}");
        }
    }
}
