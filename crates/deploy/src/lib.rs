//! Kubernetes objects from a model or an image: manifests, charts, and a rollout that is waited for.
//!
//! [`Settings`] says what is asked for. [`objects::all`] makes the objects of it, [`manifest::yaml`]
//! writes them, and
//! [`cluster::Cluster`] applies them and waits. Nothing here prints; the environment is read by `kube`
//! alone, for the kubeconfig.

pub mod cluster;
pub mod helm;
pub mod kserve;
pub mod manifest;
pub mod names;
pub mod objects;
mod resources;
mod settings;
mod yaml;

pub use resources::{Resources, ResourcesError};
pub use settings::{
    DRAIN_SECONDS, Exposure, FetchedModel, Gateway, Label, Model, Scale, Settings, SettingsError,
    Variable,
};
