//! What is written is valid to Kubernetes in several versions, to KServe, to Prometheus' operator and
//! to the Gateway API; and Helm makes of a chart what the manifest says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mlrs_testing::{helm, kserve_package, kubernetes_models, python, skipped, workspace_root};
use serde_json::Value;

use crate::terminal::Terminal;
use crate::{IMAGE, RUNTIME_IMAGE};

/// From the first version that lets the kubelet sleep before a container ends, to the newest one of the
/// validator.
const VERSIONS: &str = "1.30,1.31,1.33,1.35,1.37";

/// What validates manifests.
struct Validators {
    python: PathBuf,
    kserve: PathBuf,
    helm: PathBuf,
    models: PathBuf,
}

impl Validators {
    /// Those that are there, or a word about what was left out.
    fn find() -> Option<Self> {
        let found = || {
            Ok(Self {
                python: python()?,
                kserve: kserve_package()?,
                helm: helm()?,
                models: kubernetes_models()?,
            })
        };
        found()
            .map_err(|error: mlrs_testing::Error| {
                skipped("Kubernetes' schemas", &error.to_string());
            })
            .ok()
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(workspace_root().join("tests/python").join(name));
        command
    }

    /// The objects of a manifest.
    fn objects(&self, manifest: &str) -> Value {
        let mut command = Command::new(&self.python);
        let read =
            "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
        let (code, output) = fed(command.args(["-c", read]), manifest);
        assert_eq!(code, 0, "{output}");
        serde_json::from_str(&output).unwrap()
    }

    /// What all of them say, and whether they accept everything.
    fn say(&self, manifest: &str) -> (bool, String) {
        let mut validate = self.script("validate_manifests.py");
        let (code, said) = fed(validate.arg(VERSIONS).arg(&self.kserve), manifest);
        let objects = self.objects(manifest).to_string();
        let mut node = Command::new("node");
        node.arg(workspace_root().join("tests/kubernetes-models/validate.mjs"));
        let (custom_code, custom) = fed(node.arg(&self.models), &objects);
        (code == 0 && custom_code == 0, format!("{said}{custom}"))
    }

    /// The objects of a chart as Helm would install it under the name `iris`, with changed values:
    /// `path.to.value=JSON`.
    fn rendered(&self, chart: &Path, changes: &[&str]) -> Value {
        let changes: Vec<_> = changes
            .iter()
            .flat_map(|change| ["--set-json", change])
            .collect();
        let (code, said) = self.helm(&["lint", "--strict"], chart, &changes);
        assert_eq!(code, 0, "{said}");
        let (code, manifest) = self.helm(&["template", "iris"], chart, &changes);
        assert_eq!(code, 0, "{manifest}");
        self.objects(&manifest)
    }

    fn helm(&self, command: &[&str], chart: &Path, changes: &[&str]) -> (i32, String) {
        let mut helm = Command::new(&self.helm);
        fed(helm.args(command).arg(chart).args(changes), "")
    }
}

/// How a program ends that reads `input`, and what it writes.
fn fed(command: &mut Command, input: &str) -> (i32, String) {
    use std::io::{Seek as _, Write as _};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input.as_bytes()).unwrap();
    file.rewind().unwrap();
    let output = command
        .stdin(Stdio::from(file))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

/// A terminal where the image of mlrs is named.
fn terminal() -> Terminal {
    let mut terminal = Terminal::new();
    terminal.set("MLRS_RUNTIME_IMAGE", RUNTIME_IMAGE);
    terminal
}

/// Ways to ask for a deployment, without the name.
fn ways() -> [String; 7] {
    let fetched = "--model models:/iris@champion --tracking-uri https://mlflow.example.com --credentials-secret mlflow";
    let more = "--env FLAG=yes --env NUMBER=1_000 --env TIME=1:30 --env COST=$(X) --env-from-secret variables \
                --image-pull-secret registry --service-account models --drain 60 --namespace models \
                --resources cpu=1,memory=2Gi,limits.memory=4Gi,nvidia.com/gpu=1";
    [
        format!("--image {IMAGE}"),
        format!("--image {IMAGE} --replicas 3 {more}"),
        format!(
            "{fetched} --autoscale 2:10:70 {more} --ingress iris.example.com --ingress-class nginx --tls-secret iris-tls"
        ),
        format!(
            "{fetched} --http-route iris.example.com --gateway infra/public --service-monitor --service-monitor-label release=prometheus"
        ),
        "--model s3://bucket/iris --autoscale 1:3:50".to_owned(),
        format!("--image {IMAGE} --ingress iris.example.com"),
        fetched.to_owned(),
    ]
}

#[test]
fn every_manifest_is_valid() {
    let Some(validators) = Validators::find() else {
        return;
    };
    let terminal = terminal();
    let mut kinds = std::collections::BTreeSet::new();
    for way in ways() {
        for kserve in ["", " --kserve"] {
            let is_exposed = way.contains("--ingress") || way.contains("--http-route");
            if is_exposed && !kserve.is_empty() {
                continue;
            }
            let words = format!("deploy kubernetes --name iris {way}{kserve}");
            let printed = terminal.quietly(&words, b"");
            assert_eq!(printed.code, 0, "{}", printed.errors);
            let (is_valid, said) = validators.say(&printed.output);
            assert!(is_valid, "{words}\n{said}");
            kinds.extend(
                said.lines()
                    .filter_map(|line| line.strip_suffix(": valid"))
                    .map(|line| line.split(' ').rev().nth(1).unwrap_or_default().to_owned()),
            );
        }
    }
    // Nobody was left out by all of the validators.
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [
            "ClusterStorageContainer",
            "Deployment",
            "HTTPRoute",
            "HorizontalPodAutoscaler",
            "InferenceService",
            "Ingress",
            "PodDisruptionBudget",
            "Service",
            "ServiceMonitor",
            "ServingRuntime",
        ]
    );
}

#[test]
fn the_validators_see_what_is_wrong() {
    let Some(validators) = Validators::find() else {
        return;
    };
    let terminal = terminal();
    let ways = ways();
    let plain = terminal
        .quietly(&format!("deploy kubernetes --name iris {}", ways[3]), b"")
        .output;
    let served = terminal
        .quietly(
            &format!("deploy kubernetes --name iris {} --kserve", ways[1]),
            b"",
        )
        .output;
    let fetched = "--model models:/iris/1 --tracking-uri http://mlflow:5000 --kserve";
    let fetched = terminal
        .quietly(&format!("deploy kubernetes --name iris {fetched}"), b"")
        .output;
    for (manifest, from, to) in [
        (
            &plain,
            "progressDeadlineSeconds: 600",
            "progressDeadlineSecond: 600",
        ),
        (&plain, "runAsUser: 10001", "runAsUser: someone"),
        (&plain, "- iris.example.com", "- 5"),
        (&plain, "interval: \"30s\"", "interval: 30"),
        (&served, "minReplicas: 3", "minReplicas: many"),
        (&served, "livenessProbe:", "livelinessProbe:"),
        (&fetched, "storageUri:", "storageURI:"),
        (&fetched, "autoSelect: false", "autoSelect: never"),
        (&fetched, "supportedUriFormats:", "uriFormats:"),
    ] {
        assert!(manifest.contains(from), "{from}\n{manifest}");
        let (is_valid, said) = validators.say(&manifest.replacen(from, to, 1));
        assert!(!is_valid, "{to}\n{said}");
    }
}

#[test]
fn a_chart_gives_what_the_manifest_says() {
    let Some(validators) = Validators::find() else {
        return;
    };
    let terminal = terminal();
    for (index, way) in ways().iter().enumerate() {
        // Helm is told the namespace when it installs.
        let way = way.replace("--namespace models ", "");
        let words = format!("deploy kubernetes --name iris {way}");
        let manifest = terminal.quietly(&words, b"").output;
        let written = terminal.quietly(&format!("{words} --output helm -d chart-{index}"), b"");
        assert_eq!(written.code, 0, "{}", written.errors);
        let chart = terminal.path(&format!("chart-{index}"));
        // Helm's objects are Helm's: the one difference.
        let manifest = manifest.replace("managed-by: mlrs", "managed-by: Helm");
        let wanted = by_kind(&validators.objects(&manifest));
        assert_eq!(
            by_kind(&validators.rendered(&chart, &[])),
            wanted,
            "{words}"
        );
    }
}

#[test]
fn the_values_of_a_chart_do_what_options_do() {
    let Some(validators) = Validators::find() else {
        return;
    };
    let terminal = terminal();
    let plain = format!("deploy kubernetes --name iris --image {IMAGE}");
    let written = terminal.quietly(&format!("{plain} --output helm -d chart"), b"");
    assert_eq!(written.code, 0, "{}", written.errors);
    for (options, changes) in [
        ("--replicas 4", &["replicas=4"][..]),
        (
            "--autoscale 3:9:55",
            &["autoscale={\"enabled\": true, \"min\": 3, \"max\": 9, \"target\": 55}"],
        ),
        ("--drain 90", &["drainSeconds=90"]),
        ("--service-monitor", &["serviceMonitor.enabled=true"]),
        (
            "--service-monitor --service-monitor-label release=prometheus",
            &["serviceMonitor={\"enabled\": true, \"labels\": {\"release\": \"prometheus\"}}"],
        ),
        (
            "--env A=on --env-from-secret s",
            &[
                "env=[{\"name\": \"A\", \"value\": \"on\"}]",
                "envFrom=[{\"secretRef\": {\"name\": \"s\"}}]",
            ],
        ),
        (
            "--image-pull-secret p --service-account a",
            &[
                "imagePullSecrets=[{\"name\": \"p\"}]",
                "serviceAccount=\"a\"",
            ],
        ),
        (
            "--ingress i.example.com --tls-secret t",
            &[
                "ingress={\"enabled\": true, \"host\": \"i.example.com\", \"class\": \"\", \"tlsSecret\": \"t\"}",
            ],
        ),
        (
            "--http-route i.example.com --gateway n/g",
            &[
                "httpRoute={\"enabled\": true, \"host\": \"i.example.com\", \"gateway\": {\"name\": \"g\", \"namespace\": \"n\"}}",
            ],
        ),
        (
            "--resources cpu=2,memory=3Gi",
            &[
                "resources={\"requests\": {\"cpu\": \"2\", \"memory\": \"3Gi\"}, \"limits\": {\"memory\": \"3Gi\"}}",
            ],
        ),
    ] {
        let manifest = terminal.quietly(&format!("{plain} {options}"), b"").output;
        let manifest = manifest.replace("managed-by: mlrs", "managed-by: Helm");
        let wanted = by_kind(&validators.objects(&manifest));
        let rendered = validators.rendered(&terminal.path("chart"), changes);
        assert_eq!(by_kind(&rendered), wanted, "{options}");
    }
}

/// Objects by their kinds: the order of files is no part of a chart.
fn by_kind(objects: &Value) -> std::collections::BTreeMap<String, Value> {
    let objects = objects.as_array().unwrap().iter();
    objects
        .map(|object| (object["kind"].as_str().unwrap().to_owned(), object.clone()))
        .collect()
}

#[test]
fn manifests_and_images_agree() {
    let terminal = terminal();
    let words =
        "deploy kubernetes --name iris --model models:/iris/3 --tracking-uri http://mlflow:5000";
    let plain = terminal.quietly(words, b"").output;
    let served = terminal.quietly(&format!("{words} --kserve"), b"").output;
    let model = Path::new(mlrs_image::MODEL_PATH);
    let parent = model.parent().unwrap().display();
    for (manifest, line) in [
        (&plain, format!("- containerPort: {}", mlrs_image::PORT)),
        (&plain, format!("- \"{}\"", mlrs_image::PORT)),
        (&plain, format!("runAsUser: {}", mlrs_image::USER)),
        (&plain, format!("- {}", mlrs_image::MODEL_PATH)),
        (&plain, format!("- mountPath: {parent}")),
        (&served, format!("- containerPort: {}", mlrs_image::PORT)),
        (&served, format!("runAsUser: {}", mlrs_image::USER)),
        (&served, format!("- {}", mlrs_image::BINARY_PATH)),
    ] {
        let is_there = manifest.lines().any(|found| found.trim_start() == line);
        assert!(is_there, "{line}\n{manifest}");
    }
}

#[test]
fn the_example_writes_what_its_readme_says() {
    let Some(validators) = Validators::find() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let example = workspace_root().join("examples/kubernetes");
    let mut script = Command::new(example.join("write.sh"));
    script
        .arg(folder.path())
        .env("MLRS", mlrs_testing::mlrs_binary().unwrap());
    let (code, output) = fed(&mut script, "");
    assert_eq!(code, 0, "{output}");
    for file in ["image.yaml", "model.yaml", "kserve.yaml"] {
        let manifest = std::fs::read_to_string(folder.path().join(file)).unwrap();
        let (is_valid, said) = validators.say(&manifest);
        assert!(is_valid, "{file}\n{said}");
    }
    let rendered = validators.rendered(&folder.path().join("chart"), &[]);
    assert_eq!(by_kind(&rendered)["Deployment"]["metadata"]["name"], "iris");
    // What the table names is what is there.
    let readme = std::fs::read_to_string(example.join("README.md")).unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(readme.contains(&format!("| `{name}")), "{name}");
    }
}
