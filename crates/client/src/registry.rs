//! Typed calls of the tracking server and the model registry.
//!
//! One method per question, each as few requests as the server allows. Errors say which lookup
//! failed; what the server answered is their source.

use mlrs_api::artifacts::ListRunArtifactsResponse;
use mlrs_api::endpoints::{
    self, Endpoint, GET_LATEST_VERSIONS, GET_LATEST_VERSIONS_BY_QUERY, GET_LOGGED_MODEL,
    GET_MODEL_VERSION, GET_MODEL_VERSION_BY_ALIAS, GET_MODEL_VERSION_DOWNLOAD_URI,
    GET_REGISTERED_MODEL, GET_RUN, GET_SERVER_INFO, LIST_RUN_ARTIFACTS, SEARCH_LOGGED_MODELS,
};
use mlrs_api::logged_models::{
    GetLoggedModelResponse, LoggedModelInfo, SearchLoggedModelsRequest, SearchLoggedModelsResponse,
};
use mlrs_api::registry::{
    GetDownloadUriResponse, GetLatestVersionsRequest, GetLatestVersionsResponse,
    GetModelVersionResponse, GetRegisteredModelResponse, ModelVersion, RegisteredModel,
};
use mlrs_api::runs::{GetRunResponse, RunInfo};
use mlrs_api::server_info::ServerInfo;
use mlrs_artifacts::{HttpRequest, Transport, TransportError};
use serde::de::DeserializeOwned;
use url::Url;

use crate::connection::ServerUri;
use crate::servers::{NoServer, Servers, Side};

/// Most pages of a search that are read.
const MAX_PAGES: usize = 200;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// There is no server to ask.
    #[error("cannot look up {what}: {}", NoServer::reason(found))]
    NoServer {
        /// What was asked for.
        what: String,
        /// What stands where the address of a server is expected.
        found: ServerUri,
        /// The variable that should name a server.
        variable: &'static str,
    },
    /// The server could not be asked, or refused.
    #[error("cannot look up {what}")]
    Lookup {
        /// What was asked for.
        what: String,
        /// What went wrong.
        #[source]
        source: TransportError,
    },
    /// The server knows of nothing that fits.
    #[error("no versions of model with name `{name}`{} found", stage.as_deref().map(|stage| format!(" and stage `{stage}`")).unwrap_or_default())]
    NoVersions {
        /// The registered model.
        name: String,
        /// The stage asked for, if any.
        stage: Option<String>,
    },
    /// The answer has no place to download from.
    #[error("the server knows {what} but not where its files are")]
    NoLocation {
        /// What was asked for.
        what: String,
    },
    /// The place of one thing is another, and so on without end.
    #[error("the files of {what} are at `{uri}`, which leads round in circles")]
    Circle {
        /// What was asked for.
        what: String,
        /// Where the server says it is.
        uri: String,
    },
}

impl RegistryError {
    /// What to check, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoServer {
                variable, found, ..
            } => Some(NoServer::hint(found, variable)),
            Self::Lookup { source, .. } => source.hint().or_else(|| {
                match source.status() {
                    Some(404) => "check the name; names are case-sensitive and not percent-decoded",
                    // How servers answer for an alias or a stage that there is not.
                    Some(400) => {
                        "check the name; an alias is case-sensitive, and a stage is one of None, \
                         Staging, Production and Archived"
                    }
                    _ => return None,
                }
                .to_owned()
                .into()
            }),
            Self::NoVersions { stage: Some(_), .. } => {
                Some("move a version to this stage, or name a version or an alias".to_owned())
            }
            Self::NoVersions { stage: None, .. } => Some(
                "register a version of the model first, with `mlflow.register_model`".to_owned(),
            ),
            Self::NoLocation { .. } | Self::Circle { .. } => Some(
                "check on the server that the model was logged whole, or log it again".to_owned(),
            ),
        }
    }

    /// Whether the server, not the question, is the problem.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Lookup { source, .. } if source.is_transient())
    }
}

/// The calls that finding a model needs.
#[derive(Debug, Clone)]
pub struct Registry {
    transport: Transport,
    servers: Servers,
}

impl Registry {
    /// A client of these two servers.
    pub fn new(transport: Transport, tracking: ServerUri, registry: ServerUri) -> Self {
        Self {
            transport,
            servers: Servers { tracking, registry },
        }
    }

    /// The tracking server's address, if there is one.
    pub fn tracking_address(&self) -> Option<&Url> {
        self.servers.tracking.address()
    }

    /// The registry's address, if there is one.
    pub fn registry_address(&self) -> Option<&Url> {
        self.servers.registry.address()
    }

    /// A registered model. `GET registered-models/get`
    ///
    /// # Errors
    /// When there is no server, it does not answer, or it does not know the model.
    pub async fn registered_model(&self, name: &str) -> Result<RegisteredModel, RegistryError> {
        let what = format!("the registered model `{name}`");
        let query = [("name", name)];
        let answer: GetRegisteredModelResponse = self
            .get(Side::Registry, GET_REGISTERED_MODEL, &[], &query, &what)
            .await?;
        Ok(answer.registered_model)
    }

    /// A version of a registered model. `GET model-versions/get`
    ///
    /// # Errors
    /// When there is no server, it does not answer, or it does not know the version.
    pub async fn model_version(
        &self,
        name: &str,
        version: &str,
    ) -> Result<ModelVersion, RegistryError> {
        let what = format!("version `{version}` of the registered model `{name}`");
        let query = [("name", name), ("version", version)];
        let answer: GetModelVersionResponse = self
            .get(Side::Registry, GET_MODEL_VERSION, &[], &query, &what)
            .await?;
        Ok(answer.model_version)
    }

    /// The version that an alias points to. `GET registered-models/alias`
    ///
    /// # Errors
    /// When there is no server, it does not answer, or it does not know the alias.
    pub async fn version_by_alias(
        &self,
        name: &str,
        alias: &str,
    ) -> Result<ModelVersion, RegistryError> {
        let what = format!("the alias `{alias}` of the registered model `{name}`");
        let query = [("name", name), ("alias", alias)];
        let answer: GetModelVersionResponse = self
            .get(
                Side::Registry,
                GET_MODEL_VERSION_BY_ALIAS,
                &[],
                &query,
                &what,
            )
            .await?;
        Ok(answer.model_version)
    }

    /// The newest version of a stage, or of all stages. `POST registered-models/get-latest-versions`,
    /// or the same as GET on servers that know only that.
    ///
    /// # Errors
    /// When there is no server, it does not answer, or there is no such version.
    pub async fn latest_version(
        &self,
        name: &str,
        stage: Option<&str>,
    ) -> Result<ModelVersion, RegistryError> {
        let what = match stage {
            Some(stage) => format!("the stage `{stage}` of the registered model `{name}`"),
            None => format!("the latest version of the registered model `{name}`"),
        };
        let stages = stage.map(str::to_owned).into_iter().collect();
        let body = GetLatestVersionsRequest {
            name: Some(name.to_owned()),
            stages,
        };
        let found = self
            .post(Side::Registry, GET_LATEST_VERSIONS, &body, &what)
            .await;
        let answer: GetLatestVersionsResponse = match found {
            Err(RegistryError::Lookup { source, .. }) if is_missing_endpoint(&source) => {
                let mut query = vec![("name", name)];
                query.extend(stage.map(|stage| ("stages", stage)));
                self.get(
                    Side::Registry,
                    GET_LATEST_VERSIONS_BY_QUERY,
                    &[],
                    &query,
                    &what,
                )
                .await?
            }
            other => other?,
        };
        answer
            .model_versions
            .into_iter()
            .max_by_key(|version| version.version.parse::<u64>().unwrap_or(0))
            .ok_or_else(|| RegistryError::NoVersions {
                name: name.to_owned(),
                stage: stage.map(str::to_owned),
            })
    }

    /// Where the files of a version are. `GET model-versions/get-download-uri`
    ///
    /// # Errors
    /// When there is no server, it does not answer, or it does not know the version.
    pub async fn download_uri(&self, name: &str, version: &str) -> Result<String, RegistryError> {
        let what = format!("version `{version}` of the registered model `{name}`");
        let query = [("name", name), ("version", version)];
        let answer: GetDownloadUriResponse = self
            .get(
                Side::Registry,
                GET_MODEL_VERSION_DOWNLOAD_URI,
                &[],
                &query,
                &what,
            )
            .await?;
        Some(answer.artifact_uri)
            .filter(|uri| !uri.is_empty())
            .ok_or(RegistryError::NoLocation { what })
    }

    /// A logged model. `GET logged-models/{model_id}`
    ///
    /// # Errors
    /// When there is no server, it does not answer, or it does not know the id.
    pub async fn logged_model(&self, model_id: &str) -> Result<LoggedModelInfo, RegistryError> {
        let what = format!("the logged model `{model_id}`");
        let answer: GetLoggedModelResponse = self
            .get(Side::Tracking, GET_LOGGED_MODEL, &[model_id], &[], &what)
            .await?;
        Ok(answer.model.info)
    }

    /// The model that a run logged under a name: the first one that the search lists, as in MLflow.
    /// `POST logged-models/search`
    ///
    /// # Errors
    /// When there is no server, or it does not answer.
    pub async fn logged_model_of_run(
        &self,
        run: &RunInfo,
        name: &str,
    ) -> Result<Option<LoggedModelInfo>, RegistryError> {
        // The grammar has no escape, so a name with a quote can only stand in the other one.
        let quote = if name.contains('\'') { '"' } else { '\'' };
        let what = format!("models with the name `{name}` of the run `{}`", run.run_id);
        let mut body = SearchLoggedModelsRequest {
            experiment_ids: vec![run.experiment_id.clone()],
            filter: format!("name = {quote}{name}{quote}"),
            ..SearchLoggedModelsRequest::default()
        };
        for _ in 0..MAX_PAGES {
            let page: SearchLoggedModelsResponse = match self
                .post(Side::Tracking, SEARCH_LOGGED_MODELS, &body, &what)
                .await
            {
                // Servers before MLflow 3 have no logged models.
                Err(RegistryError::Lookup { source, .. }) if is_missing_endpoint(&source) => {
                    return Ok(None);
                }
                other => other?,
            };
            let found = page
                .models
                .into_iter()
                .map(|model| model.info)
                .find(|model| {
                    model.source_run_id.as_deref() == Some(run.run_id.as_str())
                        && model.name == name
                });
            if found.is_some() {
                return Ok(found);
            }
            match page.next_page_token.filter(|token| !token.is_empty()) {
                None => return Ok(None),
                token => body.page_token = token,
            }
        }
        Ok(None)
    }

    /// A run. `GET runs/get`
    ///
    /// # Errors
    /// When there is no server, it does not answer, or it does not know the run.
    pub async fn run(&self, run_id: &str) -> Result<RunInfo, RegistryError> {
        let what = format!("the run `{run_id}`");
        let answer: GetRunResponse = self
            .get(Side::Tracking, GET_RUN, &[], &[("run_id", run_id)], &what)
            .await?;
        Ok(answer.run.info)
    }

    /// One level of a run's artifacts, first page. `GET artifacts/list`
    ///
    /// # Errors
    /// When there is no server, it does not answer, or it does not know the run.
    pub async fn run_artifacts(
        &self,
        run_id: &str,
        path: &str,
    ) -> Result<ListRunArtifactsResponse, RegistryError> {
        let what = format!("the artifacts of the run `{run_id}`");
        let query = [("run_id", run_id), ("path", path)];
        self.get(Side::Tracking, LIST_RUN_ARTIFACTS, &[], &query, &what)
            .await
    }

    /// What the tracking server says about itself; defaults for servers that do not.
    ///
    /// # Errors
    /// When there is no server or it does not answer.
    pub async fn server_info(&self) -> Result<ServerInfo, RegistryError> {
        let what = "what the server is";
        match self
            .get(Side::Tracking, GET_SERVER_INFO, &[], &[], what)
            .await
        {
            Err(RegistryError::Lookup { source, .. }) if source.is_not_found() => {
                Ok(ServerInfo::default())
            }
            other => other,
        }
    }

    fn address(
        &self,
        side: Side,
        endpoint: Endpoint,
        parts: &[&str],
        what: &str,
    ) -> Result<Url, RegistryError> {
        self.servers
            .address(side, endpoint, parts)
            .map_err(|NoServer { found, variable }| RegistryError::NoServer {
                what: what.to_owned(),
                found,
                variable,
            })
    }

    async fn get<T: DeserializeOwned>(
        &self,
        side: Side,
        endpoint: Endpoint,
        parts: &[&str],
        query: &[(&str, &str)],
        what: &str,
    ) -> Result<T, RegistryError> {
        debug_assert_eq!(endpoint.method, endpoints::Method::Get);
        let mut address = self.address(side, endpoint, parts, what)?;
        if !query.is_empty() {
            address.query_pairs_mut().extend_pairs(query);
        }
        self.ask(&HttpRequest::get(address), what).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        side: Side,
        endpoint: Endpoint,
        body: &(impl serde::Serialize + Sync),
        what: &str,
    ) -> Result<T, RegistryError> {
        debug_assert_eq!(endpoint.method, endpoints::Method::Post);
        let address = self.address(side, endpoint, &[], what)?;
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.ask(&HttpRequest::post(address, body), what).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: &HttpRequest,
        what: &str,
    ) -> Result<T, RegistryError> {
        self.transport
            .json(request)
            .await
            .map_err(|source| RegistryError::Lookup {
                what: what.to_owned(),
                source,
            })
    }
}

/// Whether the server does not know the call, as opposed to the thing asked for.
pub(crate) fn is_missing_endpoint(error: &TransportError) -> bool {
    match error.code() {
        Some(code) => code == mlrs_api::ErrorCode::EndpointNotFound,
        None => matches!(error.status(), Some(404 | 405)),
    }
}
