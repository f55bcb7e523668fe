//! Deleting what mlrs made, and nothing else: found by its name, and told apart by its labels.
//!
//! Who may not look at objects of a kind is told so, and what may be looked at is deleted all the same.

use kube::api::{DeleteParams, PropagationPolicy};

use super::{Applied, Cluster, ClusterError, Outcome, is_made_for};
use crate::kserve::INFERENCE_SERVICE;
use crate::names::Name;
use crate::objects::{Kind, Object, kinds};

/// What was deleted of a deployment, and what could not be.
#[derive(Debug, Default)]
pub struct Deleted {
    /// What is gone.
    pub deleted: Vec<Applied>,
    /// What could not be looked for, and probably is not there.
    pub unsought: Vec<Denial>,
    /// What is left over, or must be taken to be.
    pub left: Vec<Denial>,
    /// Why it ended early; the rest was not looked for.
    pub failure: Option<ClusterError>,
}

/// A right that was missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What was tried: `get` or `delete`.
    pub verb: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// How rules of access name the kind: `servicemonitors.monitoring.coreos.com`.
    pub resource: String,
}

impl Denial {
    fn of(verb: &'static str, kind: &Kind) -> Self {
        Self {
            verb,
            kind: kind.kind,
            resource: kind.resource(),
        }
    }

    /// What to do about rights that are missing to delete objects of this name. Somebody else may have
    /// made some: they are to be looked at first.
    pub fn hint(denials: &[Self], name: &str, namespace: &str) -> String {
        let mut verbs: Vec<&str> = denials.iter().map(|denial| denial.verb).collect();
        verbs.sort_unstable_by(|one, other| other.cmp(one));
        verbs.dedup();
        let resources: Vec<&str> = denials.iter().map(|it| it.resource.as_str()).collect();
        format!(
            "ask for the right to {} {}; or have somebody delete what mlrs made of it, which is shown \
             by `kubectl get {} {name} --namespace {namespace} --show-labels --ignore-not-found`",
            verbs.join(" and "),
            resources.join(", "),
            resources.join(",")
        )
    }
}

/// Kinds of which nothing may be looked at.
fn denials(kinds: &[Kind]) -> Vec<Denial> {
    kinds.iter().map(|kind| Denial::of("get", kind)).collect()
}

impl Cluster {
    /// Deletes everything that mlrs made for a deployment.
    ///
    /// A Deployment and a Service that may not be looked at are taken to be left over, as every
    /// deployment but KServe's is made of them; other kinds, which few have, are not.
    ///
    /// # Errors
    /// When nothing was found, or the cluster cannot be asked at all.
    pub async fn delete(&self, name: &Name) -> Result<Deleted, ClusterError> {
        let (mut all, unseen) = self.delete_but(name, &[]).await;
        if all.deleted.is_empty() && all.left.is_empty() {
            let (name, namespace) = (name.to_string(), self.namespace.clone());
            return Err(match all.failure {
                Some(failure) => failure,
                None if unseen.is_empty() => ClusterError::NotDeployed { name, namespace },
                None => ClusterError::Unsought {
                    name,
                    namespace,
                    denials: denials(&unseen),
                },
            });
        }
        let is_of_kserve = all
            .deleted
            .iter()
            .any(|it| it.kind == INFERENCE_SERVICE.kind);
        let is_needed =
            |kind: &Kind| !is_of_kserve && ["Deployment", "Service"].contains(&kind.kind);
        let (left, unsought): (Vec<_>, Vec<_>) = unseen.into_iter().partition(is_needed);
        all.unsought = denials(&unsought);
        all.left.extend(denials(&left));
        Ok(all)
    }

    /// Deletes what mlrs made for the deployment earlier and is not among its objects, so that one that
    /// is no longer reached from outside loses its Ingress.
    ///
    /// What may not be looked at is not taken to be left over: whoever applies may look at what he
    /// makes.
    pub async fn prune(&self, name: &Name, objects: &[Object]) -> Deleted {
        let (mut all, unseen) = self.delete_but(name, objects).await;
        all.unsought = denials(&unseen);
        all
    }

    /// Deletes what mlrs made for a deployment but for some objects; gives also the kinds that may not
    /// be looked at.
    async fn delete_but(&self, name: &Name, wanted: &[Object]) -> (Deleted, Vec<Kind>) {
        let mut all = Deleted::default();
        let mut unseen = Vec::new();
        for kind in kinds() {
            if wanted.iter().any(|object| object.kind == kind) {
                continue;
            }
            let failure = match self.is_there(&kind, name).await {
                Ok(false) => None,
                Ok(true) => match self.delete_one(&kind, name.as_ref()).await {
                    Ok(true) => {
                        let gone = Applied::of(&kind, name.as_ref(), Outcome::Deleted);
                        all.deleted.push(gone);
                        None
                    }
                    Ok(false) => None,
                    Err(error) if error.code() == Some(403) => {
                        all.left.push(Denial::of("delete", &kind));
                        None
                    }
                    Err(error) => Some(error),
                },
                Err(error) if error.code() == Some(403) => {
                    unseen.push(kind);
                    None
                }
                Err(error) => Some(error),
            };
            if failure.is_some() {
                all.failure = failure;
                break;
            }
        }
        (all, unseen)
    }

    /// Whether mlrs made an object of a kind for a deployment. All that it makes for one has its name, so
    /// that nothing needs to be listed.
    async fn is_there(&self, kind: &Kind, name: &Name) -> Result<bool, ClusterError> {
        let found = self.of_kind(kind).get_metadata(name.as_ref()).await;
        let found = self.or_none(kind, found.map(Some)).await;
        let what = || self.named(kind.kind, name.as_ref());
        let found = found.map_err(|error| ClusterError::of("read", what(), error))?;
        Ok(found.is_some_and(|found| is_made_for(&found.metadata, name)))
    }

    /// Whether there was something to delete.
    pub(super) async fn delete_one(&self, kind: &Kind, name: &str) -> Result<bool, ClusterError> {
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match self.of_kind(kind).delete(name, &parameters).await {
            Ok(_) => Ok(true),
            // Somebody else was quicker.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(ClusterError::of(
                "delete",
                self.named(kind.kind, name),
                error,
            )),
        }
    }
}
