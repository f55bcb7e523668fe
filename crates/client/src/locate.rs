//! From a model URI to the place of its files: which store, which path, and what it is.
//!
//! A version is looked up with one call, a stage, an alias or `latest` with two, a logged model with
//! one. A run's path may name artifacts of the run, a model that it logged, or both.

use mlrs_artifacts::ArtifactPath;

use crate::registry::{Registry, RegistryError};
use crate::uri::{ModelUri, Selector, is_logged_model_id};

/// How often the place of one thing may be another thing.
const MOST_HOPS: usize = 8;

/// What is known of a model beside its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The name in the registry.
    pub name: Option<String>,
    /// The version in the registry.
    pub version: Option<String>,
    /// The id as a logged model, `m-…`.
    pub model_id: Option<String>,
    /// The run that logged it.
    pub run_id: Option<String>,
}

/// Where the files of a model are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// Artifact URIs, and a path in each; later ones win where both have a file.
    pub places: Vec<(String, ArtifactPath)>,
    /// What the model is.
    pub identity: Identity,
    /// What names the content for ever; none for what may change, such as the artifacts of a run.
    pub key: Option<String>,
}

/// Finds the files of a model that a server knows; `None` for what needs no server.
pub(crate) async fn locate(
    registry: &Registry,
    uri: &ModelUri,
) -> Result<Option<Located>, RegistryError> {
    match uri {
        ModelUri::Registered {
            name,
            selector,
            path,
        } => registered(registry, name, selector, path).await.map(Some),
        ModelUri::LoggedModel { model_id, path } => {
            logged(registry, model_id, path).await.map(Some)
        }
        ModelUri::Run { run_id, path } => run(registry, run_id, path).await.map(Some),
        ModelUri::Store(uri) => Ok(Some(Located {
            places: vec![folder_and_name(uri)],
            ..Located::default()
        })),
        ModelUri::Local(_) => Ok(None),
    }
}

/// The URI of the folder that something is in, and its name: a listing of the folder tells whether
/// it is a file. An HTTP address stays whole, its path is not text but percent-encoded.
fn folder_and_name(uri: &str) -> (String, ArtifactPath) {
    let whole = (uri.to_owned(), ArtifactPath::root());
    let trimmed = uri.trim_end_matches('/');
    let Some((scheme, rest)) = trimmed.split_once(':') else {
        return whole;
    };
    if scheme.to_ascii_lowercase().starts_with("http") || rest.contains(['?', '#']) {
        return whole;
    }
    let authority = rest
        .strip_prefix("//")
        .map_or(0, |rest| 2 + rest.find('/').unwrap_or(rest.len()));
    let Some(slash) = rest.rfind('/').filter(|slash| *slash >= authority) else {
        return whole;
    };
    match ArtifactPath::parse(&rest[slash + 1..]) {
        Ok(name) if !name.is_root() => (format!("{scheme}:{}", &rest[..=slash]), name),
        _ => whole,
    }
}

async fn registered(
    registry: &Registry,
    name: &str,
    selector: &Selector,
    path: &ArtifactPath,
) -> Result<Located, RegistryError> {
    let pointed = match selector {
        Selector::Version(_) => None,
        Selector::Stage(stage) => Some(registry.latest_version(name, Some(stage)).await?),
        Selector::Alias(alias) => Some(registry.version_by_alias(name, alias).await?),
        Selector::Latest => Some(registry.latest_version(name, None).await?),
    };
    let version = match (selector, &pointed) {
        (Selector::Version(version), _) => version.clone(),
        (_, Some(pointed)) => pointed.version.clone(),
        // Every other selector has been looked up.
        (_, None) => String::new(),
    };
    let uri = registry.download_uri(name, &version).await?;
    let what = format!("version `{version}` of the registered model `{name}`");
    let source = follow(registry, uri, &what).await?;
    let places = source.places.iter();
    let places: Vec<(String, ArtifactPath)> = places
        .filter_map(|(uri, base)| Some((uri.clone(), base.join(path).ok()?)))
        .collect();
    if places.is_empty() {
        return Err(RegistryError::NoLocation { what });
    }
    let named = |id: Option<String>| id.filter(|id| !id.is_empty());
    let model_id = source.identity.model_id;
    let run_id = pointed.and_then(|pointed| named(pointed.run_id));
    Ok(Located {
        key: Some(version_key(registry, name, &version, path)),
        identity: Identity {
            name: Some(name.to_owned()),
            version: Some(version),
            model_id: model_id.or_else(|| places.iter().find_map(|(uri, _)| model_id_in(uri))),
            run_id: run_id.or(source.identity.run_id),
        },
        places,
    })
}

async fn logged(
    registry: &Registry,
    model_id: &str,
    path: &ArtifactPath,
) -> Result<Located, RegistryError> {
    let model = registry.logged_model(model_id).await?;
    Ok(Located {
        places: vec![(files_of(model_id, model.artifact_uri)?, path.clone())],
        key: Some(model_key(registry, model_id, path)),
        identity: Identity {
            model_id: Some(model_id.to_owned()),
            run_id: model.source_run_id.filter(|run| !run.is_empty()),
            ..Identity::default()
        },
    })
}

fn version_key(registry: &Registry, name: &str, version: &str, path: &ArtifactPath) -> String {
    let server = registry.registry_address().map_or("", url::Url::as_str);
    format!("{server} version {version} of {name} at {path}")
}

fn model_key(registry: &Registry, model_id: &str, path: &ArtifactPath) -> String {
    let server = registry.tracking_address().map_or("", url::Url::as_str);
    format!("{server} model {model_id} at {path}")
}

/// What is known without asking anybody: the key and the identity of a version or of a logged
/// model. None for pointers, and for what has no lasting content.
pub(crate) fn lasting(registry: &Registry, uri: &ModelUri) -> Option<(String, Identity)> {
    match uri {
        ModelUri::Registered {
            name,
            selector: Selector::Version(version),
            path,
        } => {
            let identity = Identity {
                name: Some(name.clone()),
                version: Some(version.clone()),
                ..Identity::default()
            };
            Some((version_key(registry, name, version, path), identity))
        }
        ModelUri::LoggedModel { model_id, path } => {
            let identity = Identity {
                model_id: Some(model_id.clone()),
                ..Identity::default()
            };
            Some((model_key(registry, model_id, path), identity))
        }
        _ => None,
    }
}

/// The id in the place that MLflow gives to logged models, `…/models/m-…/artifacts`.
fn model_id_in(uri: &str) -> Option<String> {
    let before = uri.trim_end_matches('/').strip_suffix("/artifacts")?;
    let (before, id) = before.rsplit_once('/')?;
    (before.ends_with("/models") && is_logged_model_id(id)).then(|| id.to_owned())
}

/// Follows what a server gives as the place of a version: mostly an artifact URI, but `models:/m-…`
/// before MLflow 3.2, and `runs:/…` where a client registered that.
async fn follow(
    registry: &Registry,
    mut uri: String,
    what: &str,
) -> Result<Located, RegistryError> {
    let mut identity = Identity::default();
    for _ in 0..MOST_HOPS {
        match ModelUri::parse(&uri) {
            Ok(ModelUri::LoggedModel { model_id, .. }) => {
                let model = registry.logged_model(&model_id).await?;
                uri = files_of(&model_id, model.artifact_uri)?;
                identity.model_id = Some(model_id);
            }
            Ok(ModelUri::Run { run_id, path }) => return run(registry, &run_id, &path).await,
            _ => {
                return Ok(Located {
                    places: vec![(uri, ArtifactPath::root())],
                    identity,
                    key: None,
                });
            }
        }
    }
    Err(RegistryError::Circle {
        what: what.to_owned(),
        uri,
    })
}

/// The place of a logged model's files, which the server must say.
fn files_of(model_id: &str, uri: Option<String>) -> Result<String, RegistryError> {
    uri.filter(|uri| !uri.is_empty())
        .ok_or_else(|| RegistryError::NoLocation {
            what: format!("the logged model `{model_id}`"),
        })
}

async fn run(
    registry: &Registry,
    run_id: &str,
    path: &ArtifactPath,
) -> Result<Located, RegistryError> {
    let run = registry.run(run_id).await?;
    let mut identity = Identity {
        run_id: Some(run_id.to_owned()),
        ..Identity::default()
    };
    let mut places = vec![(run.artifact_uri.clone().unwrap_or_default(), path.clone())];
    places.retain(|(uri, _)| !uri.is_empty());
    // A model that the run logged is found by its name, the first segment of the path.
    if let Some(name) = path.segments().next()
        && let Some(model) = registry.logged_model_of_run(&run, name).await?
    {
        let rest = path.segments().skip(1).collect::<Vec<_>>().join("/");
        let rest = ArtifactPath::parse(&rest).unwrap_or_default();
        identity.model_id = Some(model.model_id.clone());
        places.push((files_of(&model.model_id, model.artifact_uri)?, rest));
    }
    if places.is_empty() {
        return Err(RegistryError::NoLocation {
            what: format!("the run `{run_id}`"),
        });
    }
    Ok(Located {
        places,
        identity,
        key: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_name_in_a_folder() {
        for (uri, folder, name) in [
            ("s3://box/a/m 1/", "s3://box/a/", "m 1"),
            ("s3://box/m", "s3://box/", "m"),
            ("s3://box", "s3://box", ""),
            ("mlflow-artifacts:/m.zip", "mlflow-artifacts:/", "m.zip"),
            ("mlflow-artifacts:/", "mlflow-artifacts:/", ""),
            (
                "mlflow-artifacts://h:1/a/b",
                "mlflow-artifacts://h:1/a/",
                "b",
            ),
            ("gs://box/..", "gs://box/..", ""),
            ("https://h/x/y", "https://h/x/y", ""),
        ] {
            let (found, path) = folder_and_name(uri);
            assert_eq!((found.as_str(), path.as_str()), (folder, name), "{uri}");
        }
    }

    #[test]
    fn the_id_of_a_logged_model_is_read_from_its_place() {
        let id = "m-0123456789abcdef0123456789abcdef";
        let found = model_id_in(&format!("mlflow-artifacts:/1/models/{id}/artifacts"));
        assert_eq!(found.as_deref(), Some(id));
        for uri in [
            format!("mlflow-artifacts:/1/models/{id}"),
            format!("mlflow-artifacts:/1/{id}/artifacts"),
            "mlflow-artifacts:/1/models/m-x/artifacts".to_owned(),
        ] {
            assert_eq!(model_id_in(&uri), None, "{uri}");
        }
    }
}
