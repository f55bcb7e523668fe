//! Artifacts of a server that keeps them in S3: through the server up and down, and gone again.

use std::process::Command;

use mlrs_testing::{AzureServer, Client, MlrsServer, S3Server, python, skipped};
use serde_json::Value;

use crate::ask::artifacts;

fn paths(client: &Client, url: &str) -> Vec<String> {
    let answer = client.get(url).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let listed: Value = serde_json::from_str(&answer.body).unwrap();
    let files = listed["files"].as_array().cloned().unwrap_or_default();
    files
        .iter()
        .map(|file| file["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn artifacts_are_kept_in_s3() {
    let s3 = match S3Server::start() {
        Ok(s3) => s3,
        Err(error) => return skipped("artifacts in S3", &error.to_string()),
    };
    let destination = ["--artifacts-destination", "s3://box/team"];
    kept(&MlrsServer::start_with(&destination, &s3.variables()).unwrap());
}

/// Google's XML interface is that of S3: paths, lists of version 2, uploads in parts. So an S3 server
/// takes the requests that a `gs:` store makes, all but their credentials.
#[test]
fn artifacts_are_kept_in_google_cloud_storage() {
    let s3 = match S3Server::start() {
        Ok(s3) => s3,
        Err(error) => return skipped("artifacts in Google Cloud Storage", &error.to_string()),
    };
    let [(_, address), ..] = s3.variables();
    let destination = ["--artifacts-destination", "gs://box/team"];
    kept(&MlrsServer::start_with(&destination, &[("STORAGE_EMULATOR_HOST", address)]).unwrap());
    let asked = s3.requests().unwrap();
    // The large file went in parts, and lists came in Google's way of asking.
    for part in [
        "POST /box/team%2Fa%2Flarge.bin?uploads",
        "PUT /box/team%2Fa%2Flarge.bin?partNumber=2",
        "GET /box?list-type=2",
    ] {
        assert!(
            asked.iter().any(|request| request.starts_with(part)),
            "{part}: {asked:#?}"
        );
    }
}

#[test]
fn artifacts_are_kept_in_azure() {
    let azure = match AzureServer::start() {
        Ok(azure) => azure,
        Err(error) => return skipped("artifacts in Azure", &error.to_string()),
    };
    let destination = format!("{}/team", azure.uri());
    let arguments = ["--artifacts-destination", &destination];
    kept(&MlrsServer::start_with(&arguments, &azure.variables()).unwrap());
}

/// Files go up, are listed, read in whole and in part, and deleted; Python's client agrees.
fn kept(server: &MlrsServer) {
    let (client, url) = (Client::new(), artifacts(server));
    // More than one piece of an upload in pieces.
    let large: Vec<u8> = (0..=255).cycle().take(23 << 20).collect();
    for (name, content) in [
        ("a/large.bin", large.as_slice()),
        ("a/ä b.txt", b"small"),
        ("a/empty", b""),
    ] {
        let name = name.replace(' ', "%20").replace('ä', "%C3%A4");
        let put = client
            .send("PUT", &format!("{url}/{name}"), None, Some(content))
            .unwrap();
        assert_eq!(put.status, 200, "{put:?}");
    }
    assert_eq!(paths(&client, &url), ["a"]);
    assert_eq!(
        paths(&client, &format!("{url}?path=a")),
        ["empty", "large.bin", "ä b.txt"]
    );
    let small = client.get(&format!("{url}/a/%C3%A4%20b.txt")).unwrap();
    assert_eq!((small.status, small.body.as_str()), (200, "small"));
    let found = client.bytes(&format!("{url}/a/large.bin")).unwrap();
    assert!(found == large, "{} bytes", found.len());
    let headers = [("range", "bytes=250-259")];
    let part = client.ask("GET", &format!("{url}/a/large.bin"), &headers);
    let part = part.unwrap();
    assert_eq!(part.answer.status, 206);
    assert_eq!(part.headers["content-range"], "bytes 250-259/24117248");
    assert_eq!(part.headers["content-length"], "10");
    let deleted = client
        .send("DELETE", &format!("{url}/a"), None, None)
        .unwrap();
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert!(paths(&client, &url).is_empty());
    let gone = client.get(&format!("{url}/a/large.bin")).unwrap();
    assert_eq!(gone.status, 404, "{gone:?}");

    // Python's client logs and loads a model through it.
    let script = "import mlflow\n\
        with mlflow.start_run() as run:\n\
        \x20   mlflow.log_dict({'a': 1}, 'deep/er/file.json')\n\
        assert mlflow.artifacts.load_dict(run.info.artifact_uri + '/deep/er/file.json') == {'a': 1}\n\
        print(run.info.artifact_uri)";
    let output = Command::new(python().unwrap())
        .args(["-c", script])
        .env("MLFLOW_TRACKING_URI", server.address())
        .current_dir(server.folder())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("mlflow-artifacts:/"), "{told}");
}

#[test]
fn a_store_that_fails_is_told_as_such() {
    let s3 = match S3Server::start() {
        Ok(s3) => s3,
        Err(error) => return skipped("an artifact store that fails", &error.to_string()),
    };
    let bucket = ["--artifacts-destination", "s3://no-such-bucket/team"];
    let absent = MlrsServer::start_with(&bucket, &s3.variables()).unwrap();
    let client = Client::new();
    let put = |server: &MlrsServer| {
        let url = format!("{}/x", artifacts(server));
        client.send("PUT", &url, None, Some(b"content")).unwrap()
    };
    let refused = put(&absent);
    assert_eq!(refused.status, 404, "{refused:?}");
    assert!(
        refused
            .body
            .contains("The bucket or container of the artifact store does not exist"),
        "{refused:?}"
    );

    let url = format!("{}/api/2.0/mlflow-artifacts/mpu/create/a", absent.address());
    let body = br#"{"path":"a/x","num_parts":2}"#;
    let refused = client.post(&url, Some("application/json"), body).unwrap();
    assert_eq!(refused.status, 404, "{refused:?}");
    assert!(refused.body.contains("does not exist"), "{refused:?}");

    let bucket = ["--artifacts-destination", "s3://box/team"];
    let server = MlrsServer::start_with(&bucket, &s3.variables()).unwrap();
    assert_eq!(put(&server).status, 200);
    drop(s3);
    let refused = put(&server);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(!refused.body.contains("127.0.0.1"), "{refused:?}");
    // What needs no artifacts goes on.
    let search = format!(
        "{}/api/2.0/mlflow/experiments/get?experiment_id=0",
        server.address()
    );
    assert_eq!(client.get(&search).unwrap().status, 200);
}
