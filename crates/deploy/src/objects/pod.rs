//! The pod: one server, perhaps after a container that fetches the model; under the "restricted"
//! profile of the Pod Security Standards.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvFromSource, EnvVar,
    HTTPGetAction, Lifecycle, LifecycleHandler, LocalObjectReference, PodSecurityContext, PodSpec,
    Probe, SeccompProfile, SecretEnvSource, SecurityContext, SleepAction, TopologySpreadConstraint,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::selector;
use crate::names::ObjectName;
use crate::settings::{FetchedModel, Model, SLEEP_SECONDS, Settings};

/// The container with the server.
pub(crate) const CONTAINER: &str = "model";
/// The container that fetches the model.
const FETCHER: &str = "pull";
/// The binary in its image.
pub(crate) const MLRS: &str = "/usr/local/bin/mlrs";
/// Name of the port of the container and of the Service.
pub(crate) const PORT_NAME: &str = "http";
/// The port of the container.
const PORT: i32 = 8080;
/// Where the folder of the model is mounted.
const MODEL_PARENT: &str = "/opt/ml";
/// Where a server finds its model.
pub(crate) const MODEL_FOLDER: &str = "/opt/ml/model";
/// The volume that is mounted there.
pub(crate) const SCRATCH: &str = "scratch";
/// The only place that can be written to.
pub(crate) const SCRATCH_FOLDER: &str = "/tmp";
/// User and group of the image.
const USER: i64 = 10001;
/// The end of a failed container's log is kept with its state, where `mlrs deploy status` finds it.
const LAST_LOG: &str = "FallbackToLogsOnError";

pub(super) fn pod(settings: &Settings) -> PodSpec {
    let fetched = match &settings.model {
        Model::Image(_) => None,
        Model::Fetched(fetched) => Some(fetched),
    };
    let mut volumes = vec![empty_folder(SCRATCH)];
    volumes.extend(fetched.map(|_| empty_folder("model")));
    let pull_secrets = settings.image_pull_secrets.iter();
    let pull_secrets = pull_secrets.map(|name| LocalObjectReference {
        name: name.to_string(),
    });
    PodSpec {
        automount_service_account_token: Some(false),
        // A Service that is called `mlflow` would set `MLFLOW_PORT` to an address.
        enable_service_links: Some(false),
        service_account_name: settings.service_account.as_ref().map(ToString::to_string),
        image_pull_secrets: some(pull_secrets.collect()),
        init_containers: fetched.map(|fetched| vec![fetcher(settings, fetched)]),
        containers: vec![own_server(settings, fetched.is_some())],
        volumes: Some(volumes),
        security_context: Some(pod_security()),
        termination_grace_period_seconds: Some(i64::from(settings.grace_seconds())),
        topology_spread_constraints: Some(
            ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
                .map(|key| spread(settings, key))
                .into(),
        ),
        ..PodSpec::default()
    }
}

/// The container that serves the model of a folder.
pub(crate) fn server(settings: &Settings, name: &str, folder: &str) -> Container {
    let fixed = [
        ("MLRS_DRAIN", settings.drain_seconds.to_string()),
        ("MLRS_CACHE_DIR", format!("{SCRATCH_FOLDER}/mlrs")),
    ];
    let mut environment: Vec<EnvVar> = fixed.map(|(name, value)| variable(name, &value)).into();
    let said = settings.environment.iter();
    environment.extend(said.map(|said| variable(&said.name, &said.value)));
    let port = PORT.to_string();
    let args = ["serve", folder, "--host", "0.0.0.0", "--port", &port];
    Container {
        name: name.to_owned(),
        image: Some(settings.model.image().to_string()),
        args: Some(args.map(str::to_owned).into()),
        termination_message_policy: Some(LAST_LOG.to_owned()),
        env: Some(environment),
        env_from: secrets_of(settings),
        ports: Some(vec![ContainerPort {
            name: Some(PORT_NAME.to_owned()),
            container_port: PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        // A large model may take minutes to load; a small one is asked again after a second.
        startup_probe: Some(probe("/ready", 1, 600)),
        // One slow answer takes no pod out of service.
        readiness_probe: Some(probe("/ready", 5, 3)),
        liveness_probe: Some(probe("/ping", 10, 6)),
        resources: Some(settings.resources.requirements()),
        security_context: Some(container_security()),
        volume_mounts: Some(vec![mount(SCRATCH, SCRATCH_FOLDER, false)]),
        ..Container::default()
    }
}

/// The server in a pod of our own: it goes on accepting while the Service forgets it.
fn own_server(settings: &Settings, is_fetched: bool) -> Container {
    let mut server = server(settings, CONTAINER, MODEL_FOLDER);
    if is_fetched {
        let mounts = server.volume_mounts.get_or_insert_default();
        mounts.push(mount("model", MODEL_PARENT, true));
    }
    // The kubelet sleeps: there is no program for it in the image.
    server.lifecycle = Some(Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction {
                seconds: i64::from(SLEEP_SECONDS),
            }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    });
    server
}

/// The container that fetches the model. A pod that is begun again runs it once more, in the same
/// volume: so it replaces what is there.
fn fetcher(settings: &Settings, fetched: &FetchedModel) -> Container {
    let args = [
        "pull",
        &fetched.uri,
        MODEL_FOLDER,
        "--replace",
        "--no-cache",
    ];
    let tracking_uri = fetched.tracking_uri.iter();
    let environment = tracking_uri.map(|uri| variable("MLFLOW_TRACKING_URI", uri));
    Container {
        name: FETCHER.to_owned(),
        image: Some(fetched.runtime_image.to_string()),
        args: Some(args.map(str::to_owned).into()),
        termination_message_policy: Some(LAST_LOG.to_owned()),
        env: some(environment.collect()),
        env_from: some(fetched.credentials_secret.iter().map(entries_of).collect()),
        // They run one after the other: the larger need counts, so the same costs nothing.
        resources: Some(settings.resources.requirements()),
        security_context: Some(container_security()),
        volume_mounts: Some(vec![
            mount(SCRATCH, SCRATCH_FOLDER, false),
            mount("model", MODEL_PARENT, false),
        ]),
        ..Container::default()
    }
}

/// What the "restricted" profile demands of a pod, and the user of the image.
pub(crate) fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// What the "restricted" profile demands of a container, and a root file system that stays as it is.
pub(crate) fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

fn probe(path: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// As even as it can be, without leaving a pod unscheduled for it.
fn spread(settings: &Settings, key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        topology_key: key.to_owned(),
        max_skew: 1,
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector(settings)),
        // Pods that are being replaced do not count.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    }
}

pub(crate) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        // `$(NAME)` is replaced by Kubernetes, and `$$` is its way to say `$`.
        value: Some(value.replace("$(", "$$(")),
        ..EnvVar::default()
    }
}

/// The Secrets whose entries are variables of the server.
pub(crate) fn secrets_of(settings: &Settings) -> Option<Vec<EnvFromSource>> {
    some(
        settings
            .environment_secrets
            .iter()
            .map(entries_of)
            .collect(),
    )
}

pub(crate) fn entries_of(secret: &ObjectName) -> EnvFromSource {
    EnvFromSource {
        secret_ref: Some(SecretEnvSource {
            name: secret.to_string(),
            ..SecretEnvSource::default()
        }),
        ..EnvFromSource::default()
    }
}

pub(crate) fn empty_folder(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

pub(crate) fn mount(name: &str, path: &str, is_read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: is_read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// An empty list is left out.
pub(crate) fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}
