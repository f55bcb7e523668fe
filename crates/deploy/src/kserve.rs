//! KServe.

use crate::objects::Kind;

/// The kind of what KServe serves.
pub(crate) const INFERENCE_SERVICE: Kind = Kind {
    group: "serving.kserve.io",
    version: "v1beta1",
    kind: "InferenceService",
    plural: "inferenceservices",
    is_namespaced: true,
};
