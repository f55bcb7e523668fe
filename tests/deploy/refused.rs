//! A cluster that refuses, or is not there: what is said, and what to do.

use serde_json::json;

use crate::api_server::{Behaviour, Fate};
use crate::terminal::Terminal;
use crate::{IMAGE, RUNTIME_IMAGE, with_cluster};

fn apply() -> String {
    format!("deploy kubernetes --name iris --image {IMAGE} --output apply")
}

#[test]
fn what_the_cluster_refuses_is_said_with_a_remedy() {
    let (mut terminal, server) = with_cluster(Behaviour {
        forbidden: vec![("patch", "deployments")],
        ..Behaviour::default()
    });
    for words in [
        format!("{} --context stranger", apply()),
        format!("{} --context nowhere", apply()),
        format!("{} --namespace absent", apply()),
        apply(),
    ] {
        assert_eq!(terminal.run(&words).code, 1, "{words}");
    }
    assert!(server.object("deployments", "iris").is_none());
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn fields_of_another_manager_are_taken_over_only_when_asked() {
    let (mut terminal, server) = with_cluster(Behaviour::default());
    assert_eq!(terminal.quietly(&apply(), b"").code, 0);
    server.take_over(
        "services",
        "iris",
        "kubectl",
        "/spec/type",
        json!("NodePort"),
    );
    assert_eq!(terminal.run(&apply()).code, 1);
    assert_eq!(
        terminal.run(&format!("{} --force-conflicts", apply())).code,
        0
    );
    assert_eq!(
        server.object("services", "iris").unwrap()["spec"]["type"],
        "ClusterIP"
    );
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn who_may_not_look_at_pods_waits_all_the_same() {
    let (terminal, server) = with_cluster(Behaviour {
        forbidden: vec![
            ("list", "pods"),
            ("list", "replicasets"),
            ("list", "events"),
            ("watch", "deployments"),
        ],
        ..Behaviour::default()
    });
    let ended = terminal.quietly(&apply(), b"");
    assert_eq!((ended.code, ended.errors.as_str()), (0, ""));
    server.change(|behaviour| behaviour.fate = Fate::NoImage);
    let words = apply().replace(IMAGE, "registry.example.com/iris:2");
    let ended = terminal.quietly(&format!("{words} --timeout 10"), b"");
    assert!(
        ended
            .errors
            .starts_with("error: `iris` is not ready after 10 s: 0 of 1 pods are; you may not read replicasets.apps\n"),
        "{}",
        ended.errors
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let (mut terminal, server) = with_cluster(Behaviour::default());
    let words = format!("{} --service-monitor --dry-run", apply());
    assert_eq!(terminal.run(&words).code, 0);
    assert!(server.inventory().is_empty());
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn a_kind_that_was_asked_for_and_is_not_there_is_an_error_before_anything_is_applied() {
    let (mut terminal, server) = with_cluster(Behaviour {
        groups: Vec::new(),
        ..Behaviour::default()
    });
    for option in [
        "--service-monitor",
        "--service-monitor --dry-run",
        "--http-route iris.example.com --gateway public",
        "--kserve",
    ] {
        let words = format!("{} {option}", apply());
        assert_eq!(terminal.run(&words).code, 1, "{words}");
    }
    assert!(server.inventory().is_empty());
    let requests = server.requests();
    assert!(requests.iter().all(|request| request.method == "GET"));
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn a_cluster_that_is_not_there_is_an_error() {
    let mut terminal = Terminal::new();
    // The port of a server that has ended.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: 'http://127.0.0.1:{port}'}}\n\
         users:\n- name: u\n  user: {{token: hush-hush}}\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n"
    );
    terminal.write("kubeconfig", config);
    terminal.set(
        "KUBECONFIG",
        terminal.path("kubeconfig").display().to_string(),
    );
    terminal.run("deploy status");
    terminal.write("kubeconfig", "clusters: [");
    terminal.run("deploy status");
    terminal.set("KUBECONFIG", "absent".to_owned());
    terminal.set("HOME", terminal.path("nobody").display().to_string());
    terminal.run("deploy status");
    let said = terminal.transcript();
    assert!(!said.contains("hush"), "{said}");
    assert_eq!(said.matches("[exit 1]").count(), 3, "{said}");
    assert_eq!(said.matches("  hint: ").count(), 3, "{said}");
}

#[test]
fn options_that_cannot_be_meant_are_named() {
    let mut terminal = Terminal::new();
    let image = format!("deploy kubernetes --name iris --image {IMAGE}");
    let model = format!("deploy kubernetes --name iris --runtime-image {RUNTIME_IMAGE} --model");
    for (words, code) in [
        ("deploy kubernetes --name Iris --image iris".to_owned(), 2),
        ("deploy kubernetes --name iris".to_owned(), 2),
        (format!("{image} --model models:/iris/1"), 2),
        (format!("{image} --tracking-uri http://host"), 2),
        (format!("{image} --replicas 0"), 2),
        (format!("{image} --replicas 2 --autoscale 1:2:50"), 2),
        (format!("{image} --autoscale 5:2:50"), 2),
        (format!("{image} --resources memory=512m"), 2),
        (format!("{image} --env AWS_SECRET_ACCESS_KEY=hush"), 1),
        (format!("{image} --ingress a.example.com --http-route b.example.com --gateway g"), 2),
        (format!("{image} --http-route b.example.com"), 2),
        (format!("{image} --autoscale 1:2:50 --resources memory=1Gi"), 1),
        (format!("{image} --env A=1 --env A=2"), 1),
        (format!("{image} --env hush"), 1),
        (format!("{image} --env DB_PASS=hush"), 1),
        (format!("{image} --drain 0"), 1),
        (format!("{image} --service-monitor-label release=prometheus"), 2),
        (format!("{image} --service-monitor --service-monitor-label release"), 2),
        (format!("{image} --output helm --directory chart --namespace models"), 1),
        (format!("{image} --dry-run"), 1),
        (format!("{image} --output helm"), 1),
        (format!("{image} --output helm --directory iris"), 1),
        (format!("{model} models:/iris/1"), 1),
        ("deploy kubernetes --name iris --model models:/iris/1 --tracking-uri http://host".to_owned(), 1),
        (format!("{model} ./iris"), 1),
        (format!("{model} models:/iris/1 --tracking-uri https://me:hush@host"), 1),
        ("deploy scale iris".to_owned(), 2),
        ("deployments create -t swarm --name iris -m models:/iris/1".to_owned(), 2),
        ("deployments create -t kubernetes --name iris -m models:/iris/1 -C replicas".to_owned(), 2),
        ("deployments create -t kubernetes --name iris -m models:/iris/1 -C replicas=1 -C replicas=2".to_owned(), 1),
        ("deployments create -t kubernetes --name iris -m models:/iris/1 -C replica=1".to_owned(), 1),
        ("deployments run-local -t kubernetes --name iris -m models:/iris/1".to_owned(), 1),
    ] {
        assert_eq!(terminal.run(&words).code, code, "{words}");
    }
    insta::assert_snapshot!(terminal.transcript());
}
