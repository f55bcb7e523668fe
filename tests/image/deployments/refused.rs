//! What the engine refuses: said plainly, and nothing is left of it.

use std::net::TcpListener;

use super::Deployment;

#[test]
fn what_cannot_start_leaves_nothing() {
    let Some(broken) = Deployment::named("broken") else {
        return;
    };
    let model = broken.model("one");
    let words = [
        "-m",
        &model,
        "-C",
        "port=0",
        "-C",
        "env.MLRS_BACKEND=abacus",
    ];
    let refused = broken.fails("create", &words);
    assert!(
        refused.contains("there is no backend `abacus`"),
        "{refused}"
    );
    assert!(
        refused.contains("hint: the log says why; everything is as it was before"),
        "{refused}"
    );
    broken.is_gone();
    let refused = broken.fails("create", &["-m", &model, "-C", "replicas=2"]);
    assert!(
        refused.contains("`replicas` is no setting of this target"),
        "{refused}"
    );
}

#[test]
fn a_name_is_taken_once() {
    let Some(twice) = Deployment::named("twice") else {
        return;
    };
    twice.create("one", &[]);
    let image = twice.image_id(&twice.image());
    let other = twice.model("other");
    for command in ["create", "run-local"] {
        let refused = twice.fails(command, &["-m", &other, "-C", "port=0"]);
        let expected = format!("there is a container `{}` already", twice.name);
        assert!(refused.contains(&expected), "{refused}");
        assert_eq!(twice.image_id(&twice.image()), image);
    }
    twice.predicts();
}

#[test]
fn a_port_is_taken_once() {
    let Some(port) = Deployment::named("port") else {
        return;
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let setting = format!("port={}", taken.local_addr().unwrap().port());
    let model = port.model("one");
    let told = |refused: &str| {
        let expected = format!("the port of `{}` is taken", port.name);
        assert!(refused.contains(&expected), "{refused}");
        assert!(
            refused.contains("hint: choose another with `-C port=`"),
            "{refused}"
        );
    };
    told(&port.fails("create", &["-m", &model, "-C", &setting]));
    port.is_gone();
    // An update leaves what there is.
    port.create("two", &[]);
    told(&port.fails("update", &["-C", &setting]));
    port.predicts();
    assert!(port.docker.run(&["inspect", &port.next()]).is_err());
}

#[test]
fn an_image_must_be_there() {
    let Some(image) = Deployment::named("image") else {
        return;
    };
    let setting = "image=mlrs-tests/none:1";
    let told = |refused: &str| {
        let expected = "the Docker engine has no image `mlrs-tests/none:1`";
        assert!(refused.contains(expected), "{refused}");
        assert!(refused.contains("hint: `docker pull` it"), "{refused}");
    };
    told(&image.fails("create", &["-m", "none", "-C", setting]));
    image.is_gone();
    // An update finds that out before the one that serves is stopped.
    image.create("one", &[]);
    let started = image.inspect("{{.State.StartedAt}}");
    told(&image.fails("update", &["-C", setting]));
    assert_eq!(image.inspect("{{.State.StartedAt}}"), started);
    image.predicts();
}

#[test]
fn settings_that_the_engine_does_not_take_are_its_word() {
    let Some(small) = Deployment::named("small") else {
        return;
    };
    let model = small.model("one");
    let refused = small.fails("create", &["-m", &model, "-C", "memory=1k"]);
    let expected = "the Docker engine does not take the settings of";
    assert!(refused.contains(expected), "{refused}");
    assert!(refused.contains("inimum memory limit"), "{refused}");
    small.is_gone();
}
