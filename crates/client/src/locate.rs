//! From a model URI to the place of its files: which store, which path, and what it is.
//!
//! A version is looked up with one call, a stage, an alias or `latest` with two, a logged model with
//! one. A run's path may name artifacts of the run, a model that it logged, or both.

use mlrs_artifacts::ArtifactPath;

use crate::registry::{Registry, RegistryError};
use crate::uri::{ModelUri, Selector};

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
            places: vec![(uri.clone(), ArtifactPath::default())],
            identity: Identity::default(),
            key: None,
        })),
        ModelUri::Local(_) => Ok(None),
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
    let (uri, model_id) = follow(
        registry,
        uri,
        &format!("version `{version}` of the registered model `{name}`"),
    )
    .await?;
    let pointed_run = pointed
        .and_then(|pointed| pointed.run_id)
        .filter(|run| !run.is_empty());
    let server = registry
        .registry_address()
        .map(ToString::to_string)
        .unwrap_or_default();
    Ok(Located {
        places: vec![(uri, path.clone())],
        key: Some(format!(
            "{server} version {version} of {name} at {}",
            path.as_str()
        )),
        identity: Identity {
            name: Some(name.to_owned()),
            version: Some(version),
            model_id,
            run_id: pointed_run,
        },
    })
}

async fn logged(
    registry: &Registry,
    model_id: &str,
    path: &ArtifactPath,
) -> Result<Located, RegistryError> {
    let model = registry.logged_model(model_id).await?;
    let server = registry
        .tracking_address()
        .map(ToString::to_string)
        .unwrap_or_default();
    Ok(Located {
        places: vec![(files_of(model_id, model.artifact_uri)?, path.clone())],
        key: Some(format!("{server} model {model_id} at {}", path.as_str())),
        identity: Identity {
            model_id: Some(model_id.to_owned()),
            run_id: model.source_run_id.filter(|run| !run.is_empty()),
            ..Identity::default()
        },
    })
}

/// Follows `models:/m-…`, which servers before MLflow 3.2 give as the place of a version.
async fn follow(
    registry: &Registry,
    mut uri: String,
    what: &str,
) -> Result<(String, Option<String>), RegistryError> {
    let mut id = None;
    for _ in 0..MOST_HOPS {
        match ModelUri::parse(&uri) {
            Ok(ModelUri::LoggedModel { model_id, .. }) => {
                uri = files_of(
                    &model_id,
                    registry.logged_model(&model_id).await?.artifact_uri,
                )?;
                id = Some(model_id);
            }
            _ => return Ok((uri, id)),
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
    if !path.is_root()
        && let Some(model) = registry.logged_model_of_run(&run, path.as_str()).await?
    {
        identity.model_id = Some(model.model_id.clone());
        places.push((
            files_of(&model.model_id, model.artifact_uri)?,
            ArtifactPath::default(),
        ));
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
