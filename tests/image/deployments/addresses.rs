//! Where a deployment is asked: IPv6, and the engine of another machine.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread::spawn;

use mlrs_testing::skipped;

use super::{Deployment, example, failed, printed};

#[test]
fn ipv6_is_asked_as_ipv6() {
    let Some(six) = Deployment::named("six") else {
        return;
    };
    if let Err(error) = TcpListener::bind("[::1]:0") {
        return skipped("a deployment on `::1`", &error.to_string());
    }
    six.create("one", &["-C", "host=::1"]);
    let described = six.done("get", &[]);
    assert!(described.contains("Address: http://[::1]:"), "{described}");
    six.predicts();
    six.done("update", &["-C", "host=::"]);
    six.predicts();
}

/// The port of a way to the engine over TCP, which ends with the test.
fn engine_over_tcp() -> Result<u16, String> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = match host.strip_prefix("unix://") {
        Some(socket) => socket.to_owned(),
        None if host.is_empty() => "/var/run/docker.sock".to_owned(),
        None => return Err(format!("the engine at {host} has no socket here")),
    };
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = listener.local_addr().map_err(|error| error.to_string())?;
    spawn(move || {
        for client in listener.incoming().flatten() {
            let engine = UnixStream::connect(&socket).unwrap();
            spawn(move || joined(client, engine));
        }
    });
    Ok(port.port())
}

fn joined(client: TcpStream, engine: UnixStream) {
    let mut from = client.try_clone().unwrap();
    let mut to = engine.try_clone().unwrap();
    let sent = spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (engine, client);
    let _ = copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = sent.join();
}

#[test]
fn an_engine_of_another_machine_is_asked_there() {
    let Some(remote) = Deployment::named("remote") else {
        return;
    };
    let port = match engine_over_tcp() {
        Ok(port) => port,
        Err(why) => return skipped("an engine of another machine", &why),
    };
    // This machine, by a name that does not look like it.
    let there = |mut command: Command| {
        command.env("DOCKER_HOST", format!("tcp://127.1:{port}"));
        command.output().unwrap()
    };
    let model = remote.model("one");
    let words = ["-m", &model, "-C", "port=0"];
    printed(&there(remote.command("create", &words)));
    let described = printed(&there(remote.command("get", &[])));
    assert!(described.contains(" on `127.1` only\n"), "{described}");
    let predict = ["-I", &example()];
    let refused = failed(&there(remote.command("predict", &predict)));
    assert!(refused.contains("cannot be asked from here"), "{refused}");
    assert!(refused.contains("-C host=0.0.0.0"), "{refused}");

    printed(&there(remote.command("update", &["-C", "host=0.0.0.0"])));
    let described = printed(&there(remote.command("get", &[])));
    assert!(described.contains("Address: http://127.1:"), "{described}");
    printed(&there(remote.command("predict", &predict)));
}
