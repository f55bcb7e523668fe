//! Whole manifests and charts, word for word.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use mlrs_deploy::{
    Exposure, FetchedModel, Model, Scale, Settings, helm, kserve, manifest, objects,
};

use serde_json::{Value, json};

fn of_image() -> Settings {
    let image = Model::Image("registry.example.com/iris:1".parse().unwrap());
    Settings::new("iris".parse().unwrap(), image)
}

fn of_model() -> Settings {
    let fetched = FetchedModel {
        uri: "models:/iris/3".to_owned(),
        runtime_image: "registry.example.com/mlrs:0.1".parse().unwrap(),
        tracking_uri: Some("https://mlflow.example.com".to_owned()),
        credentials_secret: Some("mlflow".parse().unwrap()),
    };
    Settings::new("iris".parse().unwrap(), Model::Fetched(fetched))
}

fn with_everything(settings: Settings) -> Settings {
    Settings {
        namespace: Some("models".parse().unwrap()),
        scale: Scale::autoscale("2:10:70").unwrap(),
        resources: "cpu=1,memory=2Gi,limits.memory=4Gi".parse().unwrap(),
        environment: ["MLRS_COMPAT=mlflow", "FLAG=yes", "COST=$(PRICE)"]
            .map(|text| text.parse().unwrap())
            .into(),
        environment_secrets: vec!["variables".parse().unwrap()],
        drain_seconds: 60,
        exposure: Exposure::Ingress {
            host: "iris.example.com".parse().unwrap(),
            class: Some("nginx".parse().unwrap()),
            certificate: Some("iris-tls".parse().unwrap()),
        },
        service_monitor: Some(vec!["release=prometheus".parse().unwrap()]),
        image_pull_secrets: vec!["registry".parse().unwrap()],
        service_account: Some("models".parse().unwrap()),
        ..settings
    }
}

#[test]
fn an_image_with_what_is_usual() {
    insta::assert_snapshot!(manifest::yaml(&objects::all(&of_image()).unwrap()));
}

#[test]
fn an_image_with_everything() {
    let settings = with_everything(of_image());
    insta::assert_snapshot!(manifest::yaml(&objects::all(&settings).unwrap()));
}

#[test]
fn a_model_that_is_fetched() {
    let settings = Settings {
        scale: Scale::Replicas(3),
        exposure: Exposure::HttpRoute {
            host: "iris.example.com".parse().unwrap(),
            gateway: "infra/public".parse().unwrap(),
        },
        ..of_model()
    };
    insta::assert_snapshot!(manifest::yaml(&objects::all(&settings).unwrap()));
}

#[test]
fn kserve_with_a_model_and_with_an_image() {
    let fetched = kserve::all(&with_everything(of_model())).unwrap();
    let image = kserve::all(&of_image()).unwrap();
    let both = [manifest::yaml(&fetched), manifest::yaml(&image)];
    insta::assert_snapshot!(both.join("=== of an image\n"));
}

#[test]
fn kserve_makes_a_deployment_and_not_a_knative_service() {
    for settings in [of_image(), of_model()] {
        let objects = kserve::all(&settings).unwrap();
        let service = &objects.last().unwrap().body;
        assert_eq!(service["kind"], "InferenceService");
        assert_eq!(
            service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"],
            "RawDeployment"
        );
    }
}

#[test]
fn two_deployments_of_kserve_share_only_the_storage_container() {
    let iris = kserve::all(&of_model()).unwrap();
    let roses = Settings {
        name: "roses".parse().unwrap(),
        ..of_model()
    };
    let roses = kserve::all(&roses).unwrap();
    let shared: Vec<&str> = iris
        .iter()
        .filter(|object| roses.iter().any(|other| other.name == object.name))
        .map(|object| object.kind.kind)
        .collect();
    assert_eq!(shared, ["ClusterStorageContainer"]);
    // Pods of other namespaces run it as well, where there may be no such Secret.
    let entries = &iris[0].body["spec"]["container"]["envFrom"];
    assert_eq!(
        entries,
        &json!([{"secretRef": {"name": "mlflow", "optional": true}}])
    );
    assert_eq!(
        iris[1].body["spec"]["containers"][0]["resources"],
        Value::Null
    );
}

#[test]
fn what_kserve_fetches_itself_needs_no_storage_container() {
    let mut settings = of_model();
    if let Model::Fetched(fetched) = &mut settings.model {
        fetched.uri = "s3://bucket/iris".to_owned();
    }
    let kinds: Vec<&str> = kserve::all(&settings)
        .unwrap()
        .iter()
        .map(|object| object.kind.kind)
        .collect();
    assert_eq!(kinds, ["ServingRuntime", "InferenceService"]);
}

#[test]
fn a_chart() {
    let files = helm::chart(&in_no_namespace(with_everything(of_model()))).unwrap();
    let text = files
        .iter()
        .map(|(path, text)| format!("=== {path}\n{text}"));
    insta::assert_snapshot!(text.collect::<String>());
}

/// Helm names it when it installs.
fn in_no_namespace(settings: Settings) -> Settings {
    Settings {
        namespace: None,
        ..settings
    }
}

#[test]
fn a_chart_with_a_namespace_is_refused() {
    let error = helm::chart(&with_everything(of_image())).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.to_string().contains("`models`"), "{source}");
}

#[test]
fn nothing_that_marks_a_place_is_left_in_a_chart() {
    let everything = in_no_namespace(with_everything(of_model()));
    for settings in [of_image(), of_model(), everything] {
        for (path, text) in helm::chart(&settings).unwrap() {
            assert!(!text.contains("marker"), "{path}:\n{text}");
        }
    }
}

/// The demands of the "restricted" profile of the Pod Security Standards that concern what is made here.
fn assert_restricted(pod: &Value, place: &str) {
    let context = &pod["securityContext"];
    assert_eq!(context["runAsNonRoot"], true, "{place}");
    assert_eq!(
        context["seccompProfile"]["type"], "RuntimeDefault",
        "{place}"
    );
    assert_ne!(context["runAsUser"], 0, "{place}");
    for forbidden in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[forbidden].is_null(), "{place}");
    }
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    for volume in volumes {
        assert!(volume["emptyDir"].is_object(), "{place}: {volume}");
    }
}

fn assert_container_is_restricted(container: &Value) {
    let context = &container["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false, "{container}");
    assert_eq!(
        context["capabilities"]["drop"],
        json!(["ALL"]),
        "{container}"
    );
    assert!(context["capabilities"]["add"].is_null(), "{container}");
    assert!(context["privileged"].is_null(), "{container}");
    assert_eq!(context["readOnlyRootFilesystem"], true, "{container}");
}

/// Every container anywhere in an object.
fn containers(body: &Value, found: &mut Vec<Value>) {
    match body {
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    "containers" | "initContainers" => {
                        found.extend(value.as_array().unwrap().iter().cloned());
                    }
                    "container" => found.push(value.clone()),
                    _ => containers(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| containers(item, found)),
        _ => {}
    }
}

#[test]
fn every_container_is_under_the_restricted_profile() {
    let mut found = Vec::new();
    for settings in [of_image(), of_model(), with_everything(of_model())] {
        for object in objects::all(&settings).unwrap() {
            if object.kind.kind == "Deployment" {
                assert_restricted(&object.body["spec"]["template"]["spec"], "Deployment");
            }
            containers(&object.body, &mut found);
        }
        for object in kserve::all(&settings).unwrap() {
            if object.kind.kind == "InferenceService" {
                assert_restricted(&object.body["spec"]["predictor"], "InferenceService");
            }
            containers(&object.body, &mut found);
        }
    }
    assert!(found.len() > 8, "{}", found.len());
    found.iter().for_each(assert_container_is_restricted);
}

#[test]
fn a_pod_has_longer_to_end_than_its_server_takes() {
    let settings = Settings {
        drain_seconds: 90,
        ..of_image()
    };
    let objects = objects::all(&settings).unwrap();
    let pod = &objects[1].body["spec"]["template"]["spec"];
    let sleep = &pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > 90 + sleep.as_u64().unwrap(), "{grace}");
    assert_eq!(
        pod["containers"][0]["env"][0],
        json!({"name": "MLRS_DRAIN", "value": "90"})
    );
}
