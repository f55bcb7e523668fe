//! `mlrs deploy` and a cluster with KServe: what it makes of an InferenceService is waited for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api_server::{ApiServer, Behaviour, Fate, KServe};
use crate::terminal::Terminal;
use crate::{IMAGE, with_cluster};

/// A terminal whose kubeconfig leads to a cluster with KServe.
fn with_kserve(behaviour: Behaviour) -> (Terminal, ApiServer) {
    with_cluster(Behaviour {
        groups: vec!["serving.kserve.io/v1alpha1", "serving.kserve.io/v1beta1"],
        ..behaviour
    })
}

fn apply(image: &str) -> String {
    format!("deploy kubernetes --name iris --image {image} --kserve --output apply")
}

#[test]
fn kserve_gets_an_inference_service_and_what_it_needs() {
    let (mut terminal, server) = with_kserve(Behaviour::default());
    let words = "deploy kubernetes --name iris --model models:/iris/3 --tracking-uri http://mlflow:5000 --kserve --output apply";
    assert_eq!(terminal.run(words).code, 0);
    let paths: Vec<String> = server
        .requests()
        .into_iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.path)
        .collect();
    assert_eq!(
        paths,
        [
            "/apis/serving.kserve.io/v1alpha1/clusterstoragecontainers/mlrs",
            "/apis/serving.kserve.io/v1alpha1/namespaces/models/servingruntimes/iris",
            "/apis/serving.kserve.io/v1beta1/namespaces/models/inferenceservices/iris",
        ]
    );
    terminal.run("deploy status");
    terminal.run("deploy status iris");
    terminal.run("deploy status iris --output json");
    assert_eq!(terminal.run("deploy delete iris --yes").code, 0);
    // What other deployments use as well stays.
    assert_eq!(server.inventory(), ["clusterstoragecontainers/mlrs"]);
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn what_kserve_makes_stays_until_its_service_goes() {
    let (terminal, server) = with_kserve(Behaviour::default());
    assert_eq!(terminal.quietly(&apply(IMAGE), b"").code, 0);
    let before = server.inventory();
    assert_eq!(
        before,
        [
            "deployments/iris-predictor",
            "horizontalpodautoscalers/iris-predictor",
            "inferenceservices/iris",
            "services/iris",
            "services/iris-predictor",
        ]
    );
    assert_eq!(terminal.quietly(&apply(IMAGE), b"").code, 0);
    assert_eq!(server.inventory(), before);
    let listed = terminal.quietly("deploy status", b"").output;
    assert!(!listed.contains("iris-predictor"), "{listed}");
    let deleted = terminal.quietly("deploy delete iris --yes", b"").output;
    assert_eq!(deleted, "deleted InferenceService iris\n");
    assert!(server.inventory().is_empty());
}

#[test]
fn ready_is_believed_of_the_pods_that_were_asked_for() {
    let (terminal, server) = with_kserve(Behaviour::default());
    assert_eq!(terminal.quietly(&apply(IMAGE), b"").code, 0);
    // Longer than anybody would believe an old word for lack of a better one.
    server.change(|behaviour| behaviour.kserve_delay = Duration::from_secs(5));
    // KServe calls it ready all the time: it has not looked yet, and then old pods answer.
    let next = "registry.example.com/iris:2";
    let ended = terminal.quietly(&apply(next), b"");
    assert_eq!((ended.code, ended.errors.as_str()), (0, ""));
    let pod = server.object("pods", "iris-predictor-2-0").unwrap();
    assert_eq!(pod["spec"]["containers"][0]["image"], next);
    assert!(server.object("pods", "iris-predictor-1-0").is_none());
    server.change(|behaviour| behaviour.fate = Fate::NoImage);
    let ended = terminal.quietly(&apply("registry.example.com/iris:3"), b"");
    assert_eq!(ended.code, 1);
    assert!(
        ended
            .errors
            .starts_with("error: `iris` does not start: pod `iris-predictor-3-0`, container `kserve-container`: ImagePullBackOff"),
        "{}",
        ended.errors
    );
    let service = server.object("inferenceservices", "iris").unwrap();
    let conditions = service["status"]["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|one| one["type"] == "Ready");
    assert_eq!(ready.unwrap()["status"], "True", "the old pod answers");
}

#[test]
fn why_kserve_has_nothing_ready_is_said() {
    let said: Vec<String> = std::thread::scope(|scope| {
        let cases = [
            (Fate::Crash, KServe::Works, 60),
            (Fate::NoModel, KServe::Works, 60),
            (Fate::Quota, KServe::Works, 60),
            (Fate::Unready, KServe::Works, 10),
            (Fate::Ready, KServe::Refuses, 60),
            (Fate::Ready, KServe::HasNoGateway, 10),
            (Fate::Ready, KServe::Away, 10),
        ];
        let runs = cases.map(|(fate, kserve, timeout)| {
            scope.spawn(move || {
                let said = failed(fate, kserve, timeout);
                format!("=== {fate:?}, {kserve:?}\n{said}")
            })
        });
        runs.map(|run| run.join().unwrap()).into()
    });
    insta::assert_snapshot!(said.join("\n"));
}

/// What is said of a service that does not get ready.
fn failed(fate: Fate, kserve: KServe, timeout: u64) -> String {
    let (mut terminal, _server) = with_kserve(Behaviour {
        fate,
        kserve,
        ..Behaviour::default()
    });
    let words = format!("{} --timeout {timeout}", apply(IMAGE));
    assert_eq!(terminal.run(&words).code, 1);
    assert_eq!(terminal.run("deploy status iris").code, 0);
    terminal.transcript().to_owned()
}

#[test]
fn what_is_not_to_be_waited_for_is_not() {
    let (terminal, _server) = with_kserve(Behaviour {
        kserve: KServe::Away,
        ..Behaviour::default()
    });
    let ended = terminal.quietly(&format!("{} --no-wait", apply(IMAGE)), b"");
    assert_eq!(ended.code, 0);
    assert_eq!(ended.output, "applied InferenceService iris\n");
}

#[test]
fn who_may_see_nothing_but_the_service_waits_for_it() {
    let (mut terminal, server) = with_kserve(Behaviour {
        forbidden: vec![
            ("get", "deployments"),
            ("list", "deployments"),
            ("list", "pods"),
            ("list", "horizontalpodautoscalers"),
        ],
        ..Behaviour::default()
    });
    let words = apply(IMAGE);
    assert_eq!(terminal.run(&words).code, 0);
    // What KServe said before it looked is not taken for an answer.
    server.change(|behaviour| behaviour.fate = Fate::NoImage);
    server.change(|behaviour| behaviour.kserve = KServe::HasNoGateway);
    let begun = Instant::now();
    let next = apply("registry.example.com/iris:2");
    assert_eq!(terminal.run(&format!("{next} --timeout 5")).code, 1);
    assert!(begun.elapsed() >= Duration::from_secs(5));
    terminal.run("deploy status iris");
    terminal.run("deploy status");
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn who_may_see_the_pods_and_not_their_deployment_asks_the_pods() {
    let (terminal, server) = with_kserve(Behaviour {
        forbidden: vec![("get", "deployments"), ("list", "deployments")],
        ..Behaviour::default()
    });
    assert_eq!(terminal.quietly(&apply(IMAGE), b"").code, 0);
    // The pods of the version before answer, and KServe calls that ready.
    server.change(|behaviour| behaviour.fate = Fate::Crash);
    let refused = terminal.quietly(&apply("registry.example.com/iris:2"), b"");
    assert_eq!(refused.code, 1, "{}", refused.output);
    let expected = "error: `iris` does not start: pod `iris-predictor-2-0`";
    assert!(refused.errors.contains(expected), "{}", refused.errors);
    // Pods in trouble of a version before are not those of the next.
    server.change(|behaviour| behaviour.fate = Fate::Ready);
    let ended = terminal.quietly(&apply("registry.example.com/iris:3"), b"");
    assert_eq!(ended.code, 0, "{}", ended.errors);
    // They say enough: KServe's word is not all that is known.
    assert!(
        ended.output.contains("iris is ready: 1 pod, "),
        "{}",
        ended.output
    );
    assert!(
        !ended.errors.contains("KServe makes of"),
        "{}",
        ended.errors
    );
}

#[test]
fn another_server_to_fetch_from_makes_other_pods() {
    let (terminal, server) = with_kserve(Behaviour::default());
    let fetched = |uri: &str| {
        format!(
            "deploy kubernetes --name iris --model models:/iris/3 --tracking-uri {uri} --kserve --output apply"
        )
    };
    for (uri, set) in [("http://old:5000", 1), ("http://new:5000", 2)] {
        assert_eq!(terminal.quietly(&fetched(uri), b"").code, 0);
        let pod = format!("iris-predictor-{set}-0");
        assert!(server.object("pods", &pod).is_some(), "{pod}");
    }
}

#[test]
fn a_service_is_scaled_by_what_kserve_reads() {
    let (mut terminal, server) = with_kserve(Behaviour::default());
    let words = apply(IMAGE);
    assert_eq!(terminal.quietly(&words, b"").code, 0);
    let asked = || {
        let service = server.object("inferenceservices", "iris").unwrap();
        let predictor = &service["spec"]["predictor"];
        ["minReplicas", "maxReplicas", "scaleTarget"].map(|field| predictor[field].clone())
    };
    assert_eq!(terminal.run("deploy scale iris --replicas 3").code, 0);
    assert_eq!(asked(), [json!(3), json!(3), Value::Null]);
    assert!(server.object("pods", "iris-predictor-1-2").is_some());
    assert_eq!(terminal.run("deploy scale iris --autoscale 2:5:70").code, 1);
    assert_eq!(terminal.run("deploy scale iris --replicas 0").code, 1);
    // What `scale` has set is nobody else's.
    assert_eq!(terminal.run(&format!("{words} --autoscale 1:4:60")).code, 0);
    assert_eq!(asked(), [json!(1), json!(4), json!(60)]);
    assert_eq!(terminal.run("deploy scale iris --replicas 2").code, 1);
    assert_eq!(terminal.run("deploy scale iris --autoscale 4:9:70").code, 0);
    assert_eq!(asked(), [json!(4), json!(9), json!(70)]);
    // The target that `scale` has set is left where a fixed number is applied, and decides nothing.
    assert_eq!(terminal.run(&words).code, 0);
    assert_eq!(asked(), [json!(1), json!(1), json!(70)]);
    assert_eq!(terminal.run("deploy scale iris --replicas 2").code, 0);
    let status = terminal.quietly("deploy status iris --output json", b"");
    let status: Value = serde_json::from_str(&status.output).unwrap();
    assert_eq!(
        (&status["autoscale"], &status["wanted"]),
        (&Value::Null, &json!(2))
    );
    // Their number makes no new pods of them.
    assert!(server.object("replicasets", "iris-predictor-2").is_none());
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn a_service_is_asked_through_what_kserve_makes_of_it() {
    let (terminal, server) = with_kserve(Behaviour {
        backend_code: Some(429),
        ..Behaviour::default()
    });
    assert_eq!(terminal.quietly(&apply(IMAGE), b"").code, 0);
    let listed = terminal.quietly("deployments list -t kubernetes", b"");
    assert_eq!(
        listed.output,
        "List of all deployments:\n[{'name': 'iris'}]\n"
    );
    terminal.write("rows.json", "[{\"a\": 1}]");
    let words = "deployments predict -t kubernetes --name iris -I rows.json";
    let asked = terminal.quietly(words, b"");
    assert!(
        asked.errors.starts_with("error: `iris` answered 429: "),
        "{}",
        asked.errors
    );
    let requests = server.requests();
    assert_eq!(
        requests.last().unwrap().path,
        "/api/v1/namespaces/models/services/iris-predictor:80/proxy/invocations"
    );
}
