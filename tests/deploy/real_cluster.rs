//! A cluster that runs pods: what is applied starts, answers, is replaced without a lost answer, says why
//! it does not start, and goes.
//!
//! Run by hand, since there is no cluster where the other tests run. It needs `kubectl`, a kubeconfig, Helm
//! as `cargo xtask test` installs it, and the image of `examples/iris` under a name that the nodes know:
//!
//! ```sh
//! mlrs image build -m examples/iris -t registry.example.com/iris:1 --output registry
//! cargo build --package mlrs
//! MLRS_TEST_CLUSTER_IMAGE=registry.example.com/iris:1 \
//!     cargo test --package mlrs-tests --test deploy -- --ignored real_cluster
//! ```

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mlrs_testing::{Client, Mlrs, helm, program, workspace_root};
use serde_json::Value;

use crate::terminal::{Ended, Terminal};

/// How much longer than `mlrs` waits a pod may take to end.
const PATIENCE: Duration = Duration::from_mins(2);

/// What a pod asks for: a small node has room for those of all tests.
const SMALL: &str = "--resources cpu=100m,memory=128Mi";

/// A namespace of a real cluster, deleted with this value, whose pods must be restricted.
struct Namespace {
    name: String,
    image: String,
    terminal: Terminal,
}

impl Namespace {
    fn new(what: &str) -> Self {
        let image = std::env::var("MLRS_TEST_CLUSTER_IMAGE")
            .expect("MLRS_TEST_CLUSTER_IMAGE names the image of examples/iris");
        let namespace = Self {
            name: format!("mlrs-tests-{what}-{}", std::process::id()),
            image,
            terminal: Terminal::new(),
        };
        namespace.kubectl(&["create", "namespace", &namespace.name]);
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        namespace.kubectl(&["label", "namespace", &namespace.name, restricted]);
        namespace
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let space = ["--namespace", &self.name];
        program("kubectl", &[&space[..], arguments].concat()).unwrap()
    }

    fn mlrs(&self, words: &str) -> Ended {
        let words = format!("{words} --namespace {}", self.name);
        self.terminal.quietly(&words, b"")
    }

    /// Applies the deployment `iris` with these options.
    fn apply(&self, options: &str) -> Ended {
        self.mlrs(&format!(
            "deploy kubernetes --name iris --image {} {SMALL} --output apply --timeout 120 {options}",
            self.image
        ))
    }

    fn applies(&self, options: &str) {
        let applied = self.apply(options);
        assert_eq!(applied.code, 0, "{}", applied.errors);
    }

    fn status(&self) -> Value {
        let shown = self.mlrs("deploy status iris --output json");
        assert_eq!(shown.code, 0, "{}", shown.errors);
        serde_json::from_str(&shown.output).unwrap()
    }

    /// What there is of these kinds.
    fn names(&self, kinds: &str) -> Vec<String> {
        let listed = self.kubectl(&["get", kinds, "--output", "name"]);
        listed.lines().map(str::to_owned).collect()
    }

    /// Waits until there is nothing of these kinds.
    fn is_empty(&self, kinds: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.names(kinds).is_empty() {
            assert!(Instant::now() < deadline, "{:?}", self.names(kinds));
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let arguments = ["delete", "namespace", &self.name, "--wait=false"];
        let _ = program("kubectl", &arguments);
    }
}

/// A way to the API server, which ends with this value.
struct Proxy {
    process: Child,
    address: String,
}

impl Proxy {
    fn start() -> Self {
        let mut process = Command::new("kubectl")
            .args(["proxy", "--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        // `Starting to serve on 127.0.0.1:40000`
        let address = line.trim().rsplit(' ').next().unwrap();
        Self {
            process,
            address: format!("http://{address}"),
        }
    }

    /// The address of a Service, through the API server.
    fn service(&self, namespace: &str, name: &str) -> String {
        let Self { address, .. } = self;
        format!("{address}/api/v1/namespaces/{namespace}/services/{name}:http/proxy")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn request() -> Vec<u8> {
    std::fs::read(workspace_root().join("examples/iris/serving_input_example.json")).unwrap()
}

/// Asks until told to stop; gives how many answers there were, and those that were not 200.
fn load(address: &str, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<(usize, Vec<String>)> {
    let (url, stop) = (format!("{address}/invocations"), Arc::clone(stop));
    std::thread::spawn(move || {
        let client = Client::new();
        let body = request();
        let (mut answers, mut failures) = (0, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            match client.post(&url, Some("application/json"), &body) {
                Ok(answer) if answer.status == 200 => answers += 1,
                other => failures.push(format!("{other:?}")),
            }
        }
        (answers, failures)
    })
}

#[test]
#[ignore = "needs a Kubernetes cluster; the head of this file says how to run it"]
fn a_deployment_lives_on_a_real_cluster() {
    let space = Namespace::new("life");
    space.applies("--replicas 2");
    let status = space.status();
    assert_eq!(status["ready"], true, "{status}");
    assert_eq!(status["pods"].as_array().unwrap().len(), 2);

    // The answer is that of the model outside.
    let proxy = Proxy::start();
    let service = proxy.service(&space.name, "iris");
    let outside = Mlrs::serve(&workspace_root().join("examples/iris"), &[]).unwrap();
    let client = Client::new();
    let [inside, outside] = [service.as_str(), outside.address()].map(|address| {
        let url = format!("{address}/invocations");
        let answer = client
            .post(&url, Some("application/json"), &request())
            .unwrap();
        serde_json::from_str::<Value>(&answer.body).unwrap()
    });
    assert_eq!(inside, outside);

    // Neither a replacement nor fewer pods lose an answer.
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4).map(|_| load(&service, &stop)).collect();
    space.applies("--replicas 2 --env ROUND=2");
    let scaled = space.mlrs("deploy scale iris --replicas 1");
    assert_eq!(scaled.code, 0, "{}", scaled.errors);
    std::thread::sleep(Duration::from_secs(15));
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let (answers, failures) = client.join().unwrap();
        assert!(answers > 0);
        assert!(failures.is_empty(), "{failures:?} beside {answers} answers");
    }

    // An autoscaler comes and goes.
    space.applies("--autoscale 2:3:70");
    assert_eq!(space.names("hpa").len(), 1);
    space.applies("--replicas 1");
    space.is_empty("hpa,pdb");

    let deleted = space.mlrs("deploy delete iris --yes");
    assert_eq!(deleted.code, 0, "{}", deleted.errors);
    space.is_empty("deployments,services,pods");
}

#[test]
#[ignore = "needs a Kubernetes cluster; the head of this file says how to run it"]
fn what_does_not_start_says_why() {
    let space = Namespace::new("why");
    space.applies("--replicas 1");
    let refused = space.apply("--env MLRS_BACKEND=abacus");
    assert_eq!(refused.code, 1);
    for part in [
        "`iris` does not start: pod `iris-",
        "there is no backend `abacus`",
    ] {
        assert!(refused.errors.contains(part), "{}", refused.errors);
    }
    let status = space.status();
    let trouble = status["trouble"]["message"].as_str().unwrap();
    assert!(trouble.contains("abacus"), "{status}");
    assert_eq!(status["old"], 1, "{status}");
    // What served before still does, and the next one puts it right.
    let proxy = Proxy::start();
    let url = format!("{}/ping", proxy.service(&space.name, "iris"));
    assert_eq!(Client::new().get(&url).unwrap().status, 200);
    space.applies("");
}

#[test]
#[ignore = "needs a Kubernetes cluster; the head of this file says how to run it"]
fn helm_installs_the_chart() {
    let space = Namespace::new("helm");
    let image = &space.image;
    let written = space.terminal.quietly(
        &format!("deploy kubernetes --name iris --image {image} {SMALL} --output helm -d chart"),
        b"",
    );
    assert_eq!(written.code, 0, "{}", written.errors);
    let helm = helm().unwrap().display().to_string();
    let chart = space.terminal.path("chart").display().to_string();
    let options = ["--namespace", &space.name, "--wait", "--timeout", "2m"];
    let run = |arguments: &[&str]| program(&helm, &[arguments, &options].concat()).unwrap();
    run(&["install", "flowers", &chart]);
    run(&["upgrade", "flowers", &chart, "--set", "replicas=2"]);
    let deployment = space.kubectl(&[
        "get",
        "deployment",
        "flowers",
        "--output",
        "jsonpath={.status.readyReplicas}",
    ]);
    assert_eq!(deployment, "2");
    run(&["uninstall", "flowers"]);
    space.is_empty("deployments,services,pods");
}
