//! Deleting what mlrs made, and nothing else: found by its labels.

use kube::api::{DeleteParams, PropagationPolicy};

use super::{Applied, Cluster, ClusterError, Outcome, is_ours, ours};
use crate::names::Name;
use crate::objects::{Kind, kinds};

impl Cluster {
    /// Deletes everything that mlrs made for a deployment.
    ///
    /// # Errors
    /// When there is nothing, or the cluster refuses; deleting again goes on.
    pub async fn delete(&self, name: &Name) -> Result<Vec<Applied>, ClusterError> {
        let mut deleted = Vec::new();
        for (kind, found) in self.made_for(name).await? {
            if self.delete_one(&kind, &found).await? {
                deleted.push(Applied {
                    kind: kind.kind,
                    name: found,
                    outcome: Outcome::Deleted,
                });
            }
        }
        if deleted.is_empty() {
            return Err(ClusterError::NotDeployed {
                name: name.to_string(),
                namespace: self.namespace.clone(),
            });
        }
        Ok(deleted)
    }

    /// Kinds and names of what mlrs made for a deployment.
    pub(super) async fn made_for(&self, name: &Name) -> Result<Vec<(Kind, String)>, ClusterError> {
        let mut made = Vec::new();
        for kind in kinds() {
            let listed = match self.of_kind(&kind).list_metadata(&ours(Some(name))).await {
                Ok(listed) => listed,
                // The cluster does not know the kind.
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                // Who may not even list them has not made any.
                Err(kube::Error::Api(status)) if status.code == 403 && kind.is_custom => continue,
                Err(error) => {
                    let what = format!("{} of the namespace `{}`", kind.plural, self.namespace);
                    return Err(ClusterError::of("list", what, error));
                }
            };
            let names = listed
                .items
                .into_iter()
                .filter(|found| is_ours(&found.metadata))
                .filter_map(|found| found.metadata.name)
                // Everything of a deployment has its name.
                .filter(|found| found == name.as_ref());
            made.extend(names.map(|found| (kind, found)));
        }
        Ok(made)
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
