//! An update that does not come to its end: the deployment is there, whatever happened.

use super::Deployment;
use crate::build::signalled;

#[test]
fn an_update_that_is_interrupted_leaves_the_one_before() {
    let Some(stopped) = Deployment::named("stopped") else {
        return;
    };
    let slow = format!("image={}", stopped.never_ready());
    stopped.create("one", &[]);
    let before = stopped.inspect("{{.Id}}");
    let child = stopped.until_runs(&stopped.next(), "update", &["-C", &slow]);
    assert_eq!(signalled(child, "INT"), Some(1));
    assert_eq!(stopped.inspect("{{.Id}}"), before);
    assert!(stopped.docker.run(&["inspect", &stopped.next()]).is_err());
    stopped.predicts();
    // So does one that is never ready.
    let refused = stopped.fails("update", &["-C", &slow, "-C", "timeout=2"]);
    assert!(
        refused.contains("was not ready within 2 s\n  "),
        "{refused}"
    );
    assert_eq!(stopped.inspect("{{.Id}}"), before);
    stopped.predicts();
}

#[test]
fn what_a_killed_update_left_is_put_right() {
    let Some(killed) = Deployment::named("killed") else {
        return;
    };
    let slow = format!("image={}", killed.never_ready());
    killed.create("one", &[]);
    let before = killed.inspect("{{.Id}}");
    let child = killed.until_runs(&killed.next(), "update", &["-C", &slow]);
    assert_eq!(signalled(child, "KILL"), None);

    assert_eq!(
        killed.done("list", &[]).matches(&killed.name).count(),
        1,
        "it is listed once"
    );
    let refused = killed.fails("create", &["-m", &killed.model("two")]);
    assert!(refused.contains("there is a container"), "{refused}");
    killed.done("update", &["-C", "memory=256m"]);
    assert_ne!(killed.inspect("{{.Id}}"), before);
    assert_eq!(
        killed.inspect("{{.State.Running}} {{.HostConfig.Memory}}"),
        "true 268435456"
    );
    assert_eq!(killed.inspect("{{.Config.Image}}"), killed.image());
    assert!(killed.docker.run(&["inspect", &killed.next()]).is_err());
    killed.predicts();

    let child = killed.until_runs(&killed.next(), "update", &["-C", &slow]);
    assert_eq!(signalled(child, "KILL"), None);
    killed.done("delete", &[]);
    killed.is_gone();
}

#[test]
fn the_new_one_keeps_serving_when_only_its_name_is_missing() {
    let Some(nameless) = Deployment::named("nameless") else {
        return;
    };
    nameless.create("one", &[]);
    let id = nameless.inspect("{{.Id}}");
    // As if the update had been killed between the old one's removal and the new one's name.
    let rename = ["rename", &nameless.name, &nameless.next()];
    nameless.docker.run(&rename).unwrap();
    assert!(nameless.done("get", &[]).contains("State: running\n"));
    nameless.predicts();
    let refused = nameless.fails("update", &["-C", "image=mlrs-tests/none:1"]);
    assert!(refused.contains("has no image"), "{refused}");
    assert_eq!(nameless.inspect("{{.Id}}"), id);
    nameless.predicts();
}

#[test]
fn a_container_of_somebody_else_is_left_alone() {
    let Some(foreign) = Deployment::named("foreign") else {
        return;
    };
    foreign.create("one", &[]);
    let created = ["create", "--name", &foreign.next(), &foreign.image()];
    let theirs = foreign.docker.run(&created).unwrap();
    let refused = foreign.fails("update", &["-C", "memory=256m"]);
    let expected = format!("there is a container `{}` already", foreign.next());
    assert!(refused.contains(&expected), "{refused}");
    foreign.predicts();
    foreign.done("delete", &[]);
    foreign.docker.run(&["inspect", &theirs]).unwrap();
}

#[test]
fn of_two_updates_at_once_the_later_one_wins() {
    let Some(twice) = Deployment::named("at-once") else {
        return;
    };
    let slow = format!("image={}", twice.never_ready());
    twice.create("one", &[]);
    let mut earlier = twice.until_runs(&twice.next(), "update", &["-C", &slow]);
    twice.done("update", &["-C", "memory=256m"]);
    // It says that its container went, and does not come back to it.
    assert!(!earlier.wait().unwrap().success());
    assert_eq!(
        twice.inspect("{{.State.Running}} {{.HostConfig.Memory}}"),
        "true 268435456"
    );
    assert!(twice.docker.run(&["inspect", &twice.next()]).is_err());
    twice.predicts();
}
