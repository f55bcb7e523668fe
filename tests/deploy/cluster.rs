//! `mlrs deploy` and a cluster where all goes well, or where pods do not start.

use serde_json::{Value, json};

use crate::api_server::{Behaviour, Fate};
use crate::{IMAGE, with_cluster};

#[test]
fn a_deployment_is_applied_shown_scaled_and_deleted() {
    let (mut terminal, server) = with_cluster(Behaviour::default());
    let apply =
        format!("deploy kubernetes --name iris --image {IMAGE} --service-monitor --output apply");
    assert_eq!(terminal.run(&apply).code, 0);
    assert_eq!(
        server.inventory(),
        ["deployments/iris", "servicemonitors/iris", "services/iris"]
    );
    assert_eq!(terminal.run("deploy scale iris --replicas 3").code, 0);
    assert_eq!(
        server.object("deployments", "iris").unwrap()["spec"]["replicas"],
        3
    );
    terminal.run("deploy status iris");
    terminal.run("deploy status");
    // What `scale` owns is no other program's: the new number counts.
    assert_eq!(terminal.run(&format!("{apply} --replicas 2")).code, 0);
    assert_eq!(
        server.object("deployments", "iris").unwrap()["spec"]["replicas"],
        2
    );
    assert_eq!(
        server.inventory(),
        [
            "deployments/iris",
            "poddisruptionbudgets/iris",
            "servicemonitors/iris",
            "services/iris"
        ]
    );
    assert_eq!(terminal.run("deploy delete iris --yes").code, 0);
    assert!(server.inventory().is_empty());
    assert_eq!(terminal.run("deploy delete iris --yes").code, 1);
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn every_object_is_sent_by_server_side_apply() {
    let (terminal, server) = with_cluster(Behaviour::default());
    let words = format!(
        "deploy kubernetes --name iris --image {IMAGE} --autoscale 2:5:70 --ingress iris.example.com --service-monitor --output apply"
    );
    assert_eq!(terminal.quietly(&words, b"").code, 0);
    let patches: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|request| request.method == "PATCH")
        .collect();
    let paths: Vec<&str> = patches.iter().map(|patch| patch.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/api/v1/namespaces/models/services/iris",
            "/apis/apps/v1/namespaces/models/deployments/iris",
            "/apis/autoscaling/v2/namespaces/models/horizontalpodautoscalers/iris",
            "/apis/policy/v1/namespaces/models/poddisruptionbudgets/iris",
            "/apis/networking.k8s.io/v1/namespaces/models/ingresses/iris",
            "/apis/monitoring.coreos.com/v1/namespaces/models/servicemonitors/iris",
        ]
    );
    for patch in &patches {
        assert_eq!(patch.content_type, "application/apply-patch+yaml");
        assert_eq!(patch.query["fieldManager"], "mlrs");
        assert_eq!(patch.query["fieldValidation"], "Strict");
        assert!(!patch.query.contains_key("force"), "{patch:?}");
    }
    // What is applied is what is printed.
    let printed = words.replace("--output apply", "--output yaml");
    let printed = terminal.quietly(&printed, b"").output;
    assert_eq!(printed.matches("\n---\n").count() + 1, patches.len());
}

#[test]
fn a_change_between_replicas_and_an_autoscaler_leaves_nothing_behind() {
    let (mut terminal, server) = with_cluster(Behaviour::default());
    let apply = format!("deploy kubernetes --name iris --image {IMAGE} --output apply");
    let before = format!("{apply} --replicas 4 --service-monitor");
    assert_eq!(terminal.quietly(&before, b"").code, 0);
    terminal.run(&format!("{apply} --autoscale 2:6:70"));
    // The autoscaler begins with the pods that there are, and not with one.
    assert_eq!(
        server.object("deployments", "iris").unwrap()["spec"]["replicas"],
        4
    );
    terminal.run("deploy scale iris --replicas 3");
    terminal.run("deploy scale iris --autoscale 3:8:60");
    terminal.run("deploy status iris --output json");
    terminal.run(&format!("{apply} --replicas 1"));
    assert_eq!(server.inventory(), ["deployments/iris", "services/iris"]);
    assert_eq!(
        server.object("deployments", "iris").unwrap()["spec"]["replicas"],
        1
    );
    terminal.run("deploy scale iris --autoscale 3:8:60");
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn what_an_autoscaler_has_set_is_no_obstacle_to_a_fixed_number() {
    let (mut terminal, server) = with_cluster(Behaviour::default());
    let apply = format!("deploy kubernetes --name iris --image {IMAGE} --output apply");
    let scaled = terminal.quietly(&format!("{apply} --autoscale 3:6:70"), b"");
    assert_eq!(
        (scaled.code, scaled.output.lines().last()),
        (0, Some("iris is ready: 3 pods"))
    );
    // Another number than the autoscaler's, which is its field: of `kube-controller-manager`.
    assert_eq!(
        terminal
            .run(&format!("{apply} --replicas 1 --dry-run"))
            .code,
        0
    );
    assert!(server.object("horizontalpodautoscalers", "iris").is_some());
    assert_eq!(terminal.run(&format!("{apply} --replicas 1")).code, 0);
    assert_eq!(server.inventory(), ["deployments/iris", "services/iris"]);
    assert_eq!(
        server.object("deployments", "iris").unwrap()["spec"]["replicas"],
        1
    );
    // Without an autoscaler of ours the number is somebody else's.
    server.take_over("deployments", "iris", "keda", "/spec/replicas", json!(5));
    assert_eq!(terminal.run(&format!("{apply} --replicas 2")).code, 1);
    insta::assert_snapshot!(terminal.transcript());
}

#[test]
fn a_change_to_a_fixed_number_that_was_interrupted_goes_on() {
    let (terminal, server) = with_cluster(Behaviour {
        is_eager: true,
        ..Behaviour::default()
    });
    let apply = format!("deploy kubernetes --name iris --image {IMAGE} --output apply");
    let run = |words: &str| terminal.quietly(&format!("{apply} {words}"), b"");
    let replicas = || server.object("deployments", "iris").unwrap()["spec"]["replicas"].clone();
    let interrupts: [fn(&mut Behaviour); 2] = [
        |behaviour| behaviour.denials.push("deployments"),
        |behaviour| behaviour.forbidden = vec![("delete", "horizontalpodautoscalers")],
    ];
    for interrupt in interrupts {
        let scaled = run("--autoscale 3:6:70");
        assert_eq!((scaled.code, scaled.errors.as_str()), (0, ""));
        assert_eq!(replicas(), 3);
        server.change(interrupt);
        let refused = run("--replicas 1");
        assert_eq!(refused.code, 1);
        assert!(refused.errors.starts_with("error: the cluster refused to "));
        assert!(server.object("horizontalpodautoscalers", "iris").is_some());
        server.change(|behaviour| behaviour.forbidden.clear());
        // The number is the autoscaler's, which is ours: nothing is to be taken over.
        let ended = run("--replicas 1");
        assert_eq!((ended.code, ended.errors.as_str()), (0, ""));
        assert_eq!(server.inventory(), ["deployments/iris", "services/iris"]);
        assert_eq!(replicas(), 1, "the autoscaler had set it once more");
        assert_eq!(run("--replicas 2").code, 0);
    }
}

#[test]
fn a_model_that_is_fetched_is_shown_by_its_uri() {
    let (terminal, server) = with_cluster(Behaviour::default());
    let words = "deploy kubernetes --name iris --model models:/iris/3 --tracking-uri http://mlflow:5000 --output apply";
    assert_eq!(terminal.quietly(words, b"").code, 0);
    let status = terminal
        .quietly("deploy status iris --output json", b"")
        .output;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["model"], "models:/iris/3");
    assert_eq!(status["ready"], true);
    let pod = &server.object("deployments", "iris").unwrap()["spec"]["template"]["spec"];
    assert_eq!(pod["initContainers"][0]["args"][1], "models:/iris/3");
}

#[test]
fn a_watch_that_is_gone_costs_only_the_news() {
    let (terminal, _server) = with_cluster(Behaviour {
        watches_are_gone: true,
        ..Behaviour::default()
    });
    let words = format!("deploy kubernetes --name iris --image {IMAGE} --output apply");
    let ended = terminal.quietly(&words, b"");
    assert_eq!((ended.code, ended.errors.as_str()), (0, ""));
}

#[test]
fn a_rollout_that_failed_is_waited_for_anew() {
    let (terminal, server) = with_cluster(Behaviour {
        fate: Fate::Unready,
        ..Behaviour::default()
    });
    let words = format!("deploy kubernetes --name iris --image {IMAGE} --output apply");
    let ended = terminal.quietly(&format!("{words} --timeout 5"), b"");
    assert_eq!(ended.code, 1);
    // What Kubernetes says of the last time is still there when the next one begins.
    server.change(|behaviour| behaviour.fate = Fate::Ready);
    let ended = terminal.quietly(&words, b"");
    assert_eq!((ended.code, ended.errors.as_str()), (0, ""));
    // Events are those of one pod, and few.
    let requests = server.requests();
    let mut events = requests
        .iter()
        .filter(|request| request.path.ends_with("/events"))
        .peekable();
    assert!(events.peek().is_some());
    for request in events {
        assert_eq!(
            request.query["fieldSelector"],
            "involvedObject.name=iris-1-0,type=Warning"
        );
        assert_eq!(request.query["limit"], "50");
    }
}

#[test]
fn an_api_server_that_is_away_for_a_while_is_asked_again() {
    let (terminal, server) = with_cluster(Behaviour {
        hiccups: 2,
        ..Behaviour::default()
    });
    let words = format!("deploy kubernetes --name iris --image {IMAGE} --output apply");
    let ended = terminal.quietly(&words, b"");
    assert_eq!((ended.code, ended.errors.as_str()), (0, ""));
    server.change(|behaviour| assert_eq!(behaviour.hiccups, 0, "two were dropped"));
}

#[test]
fn an_api_server_that_falls_silent_is_not_waited_for_for_ever() {
    let (terminal, _server) = with_cluster(Behaviour {
        is_mute: true,
        ..Behaviour::default()
    });
    let words = format!("deploy kubernetes --name iris --image {IMAGE} --output apply");
    let ended = terminal.quietly(&format!("{words} --timeout 5"), b"");
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.errors,
        "error: could not read the Deployment `models/iris`: the API server gave no answer in time\n  \
         hint: check that the cluster runs and is reached: `kubectl cluster-info`\n"
    );
    // Without a wait it has some seconds of its own.
    let ended = terminal.quietly("deploy status iris", b"");
    assert_eq!(ended.code, 1);
    let said = "error: could not read the Deployment `models/iris`: the API server gave no usable answer\n";
    assert!(ended.errors.starts_with(said), "{}", ended.errors);
}

#[test]
fn a_new_image_replaces_the_old_pods() {
    let (terminal, server) = with_cluster(Behaviour::default());
    let apply = |image: &str| {
        terminal.quietly(
            &format!("deploy kubernetes --name iris --image {image} --replicas 2 --output apply"),
            b"",
        )
    };
    assert_eq!(apply(IMAGE).code, 0);
    assert_eq!(apply("registry.example.com/iris:2").code, 0);
    // The one that does not start leaves the one before it in service.
    server.change(|behaviour| behaviour.fate = Fate::NoImage);
    let ended = apply("registry.example.com/iris:3");
    assert_eq!(ended.code, 1, "{}", ended.output);
    let pod = server.object("pods", "iris-2-0").unwrap();
    assert_eq!(
        pod["spec"]["containers"][0]["image"],
        "registry.example.com/iris:2"
    );
    assert!(server.object("pods", "iris-1-0").is_none());
}

#[test]
fn why_a_pod_does_not_start_is_said() {
    let said: Vec<String> = std::thread::scope(|scope| {
        let fates = [
            Fate::NoImage,
            Fate::Crash,
            Fate::OutOfMemory,
            Fate::NoModel,
            Fate::NoSecret,
            Fate::NoRoom,
            Fate::Unready,
            Fate::Quota,
        ];
        let runs = fates.map(|fate| scope.spawn(move || failed(fate)));
        runs.map(|run| run.join().unwrap()).into()
    });
    insta::assert_snapshot!(said.join("\n"));
}

/// What is said of pods with this fate.
fn failed(fate: Fate) -> String {
    let (mut terminal, server) = with_cluster(Behaviour {
        fate,
        ..Behaviour::default()
    });
    // What heals by itself is waited for until the time is over.
    let timeout = if matches!(fate, Fate::NoRoom | Fate::Unready) {
        10
    } else {
        60
    };
    let words =
        format!("deploy kubernetes --name iris --image {IMAGE} --output apply --timeout {timeout}");
    assert_eq!(terminal.run(&words).code, 1);
    let status = terminal.quietly("deploy status iris", b"");
    assert_eq!(status.code, 0);
    assert!(
        server.object("deployments", "iris").is_some(),
        "what was applied stays"
    );
    let last_lines = status.output.lines().rev().take(2).collect::<Vec<_>>();
    format!(
        "=== {fate:?}\n{}\nstatus: {}\n",
        terminal.transcript(),
        last_lines[1]
    )
}

#[test]
fn the_objects_of_others_stay_as_they_are() {
    let (mut terminal, server) = with_cluster(Behaviour::default());
    let theirs = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "iris", "labels": {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "iris"}},
        "spec": {"replicas": 1},
    });
    server.put("deployments", theirs);
    let before = server.object("deployments", "iris");
    for words in [
        format!("deploy kubernetes --name iris --image {IMAGE} --output apply"),
        "deploy status iris".to_owned(),
        "deploy scale iris --replicas 3".to_owned(),
        "deploy delete iris --yes".to_owned(),
    ] {
        assert_eq!(terminal.run(&words).code, 1, "{words}");
    }
    assert_eq!(server.object("deployments", "iris"), before);
    // The name may be free of Deployments, and a Service has it.
    let theirs =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "roses"}, "spec": {}});
    server.put("services", theirs);
    let words = format!("deploy kubernetes --name roses --image {IMAGE} --output apply");
    assert_eq!(terminal.run(&words).code, 1);
    assert_eq!(server.inventory(), ["deployments/iris", "services/roses"]);
    insta::assert_snapshot!(terminal.transcript());
}
