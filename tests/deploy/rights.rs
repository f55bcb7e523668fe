//! Somebody who may do some things in a cluster and not others: what may be done is done, and what may not
//! is named.

use crate::api_server::{ApiServer, Behaviour};
use crate::terminal::Terminal;
use crate::{IMAGE, with_cluster};

fn apply() -> String {
    format!("deploy kubernetes --name iris --image {IMAGE} --output apply")
}

/// A cluster with a deployment that has one of everything.
fn with_everything() -> (Terminal, ApiServer) {
    let (terminal, server) = with_cluster(Behaviour::default());
    let words = format!(
        "{} --autoscale 2:4:70 --ingress iris.example.com --service-monitor",
        apply()
    );
    assert_eq!(terminal.quietly(&words, b"").code, 0);
    (terminal, server)
}

#[test]
fn nothing_needs_to_be_listed_to_be_deleted() {
    let (terminal, server) = with_everything();
    server.change(|behaviour| {
        behaviour.forbidden = [
            "services",
            "deployments",
            "horizontalpodautoscalers",
            "poddisruptionbudgets",
            "ingresses",
            "servicemonitors",
            "httproutes",
            "inferenceservices",
            "servingruntimes",
        ]
        .map(|plural| ("list", plural))
        .into();
    });
    let ended = terminal.quietly(&format!("{} --replicas 1", apply()), b"");
    assert_eq!((ended.code, ended.errors.as_str()), (0, ""));
    assert_eq!(server.inventory(), ["deployments/iris", "services/iris"]);
    let ended = terminal.quietly("deploy delete iris --yes", b"");
    assert_eq!((ended.code, ended.errors.as_str()), (0, ""));
    assert!(server.inventory().is_empty());
}

#[test]
fn what_may_not_be_looked_for_is_named_after_the_rollout() {
    let (mut terminal, server) = with_everything();
    let fixed = format!("{} --replicas 1", apply());
    // Kinds that this cluster does not know are refused to this person as well, and cannot be left over.
    server.change(|behaviour| {
        behaviour.forbidden = vec![
            ("get", "servicemonitors"),
            ("get", "httproutes"),
            ("get", "inferenceservices"),
            ("get", "ingresses"),
        ];
    });
    assert_eq!(terminal.run(&fixed).code, 0);
    assert_eq!(
        server.inventory(),
        [
            "deployments/iris",
            "ingresses/iris",
            "servicemonitors/iris",
            "services/iris"
        ]
    );
    server.change(|behaviour| behaviour.forbidden = vec![("delete", "ingresses")]);
    assert_eq!(terminal.run(&fixed).code, 1);
    assert_eq!(
        server.inventory(),
        ["deployments/iris", "ingresses/iris", "services/iris"]
    );
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn delete_names_what_it_was_refused() {
    let (mut terminal, server) = with_everything();
    server.change(|behaviour| {
        behaviour.forbidden = vec![
            ("get", "servicemonitors"),
            ("get", "ingresses"),
            ("delete", "services"),
        ];
    });
    assert_eq!(terminal.run("deploy delete iris --yes").code, 1);
    assert_eq!(
        server.inventory(),
        ["ingresses/iris", "servicemonitors/iris", "services/iris"]
    );
    server.change(|behaviour| behaviour.forbidden = vec![("get", "servicemonitors")]);
    assert_eq!(terminal.run("deploy delete iris --yes").code, 0);
    assert_eq!(server.inventory(), ["servicemonitors/iris"]);
    assert_eq!(terminal.run("deploy delete iris --yes").code, 1);
    let on = "-t kubernetes --name iris";
    assert_eq!(terminal.run(&format!("deployments delete {on}")).code, 1);
    server.change(|behaviour| behaviour.forbidden.clear());
    assert_eq!(terminal.run("deploy delete iris --yes").code, 0);
    assert!(server.inventory().is_empty());
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn status_says_what_it_may_not_read() {
    let (mut terminal, server) = with_everything();
    server.change(|behaviour| {
        behaviour.groups.push("serving.kserve.io/v1beta1");
        behaviour.forbidden = vec![
            ("list", "pods"),
            ("get", "horizontalpodautoscalers"),
            ("list", "horizontalpodautoscalers"),
            ("list", "inferenceservices"),
        ];
    });
    assert_eq!(terminal.run("deploy status iris").code, 0);
    assert_eq!(terminal.run("deploy status").code, 0);
    assert_eq!(terminal.run("deploy status --output json").code, 0);
    assert_eq!(terminal.run("deployments list -t kubernetes").code, 0);
    server.change(|behaviour| behaviour.forbidden.push(("list", "deployments")));
    assert_eq!(terminal.run("deploy status").code, 1);
    server.change(|behaviour| {
        behaviour.forbidden = vec![("get", "deployments"), ("get", "inferenceservices")];
    });
    assert_eq!(terminal.run("deploy status iris").code, 1);
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn rights_to_the_kinds_that_a_deployment_has_are_enough() {
    let others = [
        "horizontalpodautoscalers",
        "poddisruptionbudgets",
        "ingresses",
        "servicemonitors",
        "httproutes",
        "inferenceservices",
        "servingruntimes",
    ];
    let verbs = ["get", "list", "create", "patch", "delete"];
    let forbidden = others
        .iter()
        .flat_map(|kind| verbs.map(|verb| (verb, *kind)));
    let (terminal, server) = with_cluster(Behaviour {
        forbidden: forbidden.collect(),
        ..Behaviour::default()
    });
    for words in [
        format!("{} --replicas 1", apply()),
        "deploy scale iris --replicas 2".to_owned(),
        "deploy status iris".to_owned(),
        "deploy delete iris --yes".to_owned(),
    ] {
        let ended = terminal.quietly(&words, b"");
        assert_eq!(ended.code, 0, "{words}: {}", ended.errors);
    }
    assert!(server.inventory().is_empty());
    server.change(|behaviour| behaviour.forbidden.push(("create", "services")));
    let refused = terminal.quietly(&apply(), b"");
    assert_eq!(refused.code, 1);
    assert!(
        refused.errors.contains("cannot create"),
        "{}",
        refused.errors
    );
}

#[test]
fn who_has_rights_to_kserve_alone_deletes_what_it_made() {
    let (terminal, server) = with_cluster(Behaviour {
        groups: vec!["serving.kserve.io/v1alpha1", "serving.kserve.io/v1beta1"],
        ..Behaviour::default()
    });
    let words = format!("{} --kserve", apply());
    assert_eq!(terminal.quietly(&words, b"").code, 0);
    let kinds = [
        "services",
        "deployments",
        "horizontalpodautoscalers",
        "poddisruptionbudgets",
        "ingresses",
    ];
    server.change(|behaviour| behaviour.forbidden = kinds.map(|kind| ("get", kind)).into());
    let ended = terminal.quietly("deploy delete iris --yes", b"");
    assert_eq!(ended.code, 0, "{}", ended.errors);
    assert_eq!(ended.output, "deleted InferenceService iris\n");
    let refused = terminal.quietly("deploy delete iris --yes", b"");
    assert_eq!(refused.code, 1);
    let expected = "error: nothing of `iris` was found, but you may not look for";
    assert!(refused.errors.starts_with(expected), "{}", refused.errors);
}
