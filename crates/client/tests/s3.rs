//! `s3://` against a real S3 server: moto, in the Python of the tests.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use common::{chain, resolver};
use futures_util::TryStreamExt as _;
use mlrs_artifacts::{
    ArtifactPath, CloudSettings, Server, StoreSettings, Transport, TransportSettings,
};
use mlrs_client::silent;
use mlrs_testing::{python, skipped};

/// Fills a bucket, prints the port, and serves until its input ends.
const SERVER: &str = r#"
import sys
from moto.server import ThreadedMotoServer
import boto3
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
port = server.get_host_and_port()[1]
s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                  aws_access_key_id="a", aws_secret_access_key="b")
s3.create_bucket(Bucket="box")
for key, body in {
    "models/m 1/MLmodel": b"flavors: {}", "models/m 1/data/weights.bin": bytes(range(256)) * 8192,
    "models/m 1/data/": b"", "models/m 1/ä b#c.txt": b"x", "models/m 10/MLmodel": b"other",
}.items():
    s3.put_object(Bucket="box", Key=key, Body=body)
print(port, flush=True)
sys.stdin.read()
"#;

struct S3(Child, String);

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server, or a reason why there is none.
fn start() -> Result<S3, String> {
    let python = python().map_err(|error| error.to_string())?;
    let has = Command::new(&python)
        .args(["-c", "import moto.server, boto3"])
        .output();
    if !has.is_ok_and(|output| output.status.success()) {
        return Err(format!("`{}` has no moto[server]", python.display()));
    }
    let mut child = Command::new(&python)
        .args(["-c", SERVER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = format!("http://127.0.0.1:{}", line.trim());
    Ok(S3(child, address))
}

#[tokio::test]
async fn a_model_is_read_from_s3() {
    let server = match start() {
        Ok(server) => server,
        Err(reason) => return skipped("s3:// against an S3 server", &reason),
    };
    let variables = [
        ("MLFLOW_S3_ENDPOINT_URL", server.1.as_str()),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "b"),
    ];
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver("", cache.path(), &variables);
    let weights: Vec<u8> = (0..=255).cycle().take(256 * 8192).collect();

    let model = resolver
        .resolve("s3://box/models/m 1", &silent)
        .await
        .unwrap();
    assert_eq!(
        std::fs::read(model.path.join("MLmodel")).unwrap(),
        b"flavors: {}"
    );
    assert!(std::fs::read(model.path.join("data/weights.bin")).unwrap() == weights);
    assert_eq!(std::fs::read(model.path.join("ä b#c.txt")).unwrap(), b"x");
    assert_eq!(std::fs::read_dir(&model.path).unwrap().count(), 3);

    let file = resolver
        .resolve("s3://box/models/m 1/MLmodel", &silent)
        .await
        .unwrap();
    assert_eq!(std::fs::read(&file.path).unwrap(), b"flavors: {}");
    let error = resolver
        .resolve("s3://box/nothing", &silent)
        .await
        .unwrap_err();
    assert!(
        chain(&error).contains("no artifact `nothing` in `s3://box"),
        "{}",
        chain(&error)
    );
    let error = resolver
        .resolve("s3://no-such-bucket/x", &silent)
        .await
        .unwrap_err();
    assert!(
        chain(&error).contains("no-such-bucket"),
        "{}",
        chain(&error)
    );

    let cloud = CloudSettings::from_variables(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    let transport = Transport::new(TransportSettings::default()).unwrap();
    let server = Server {
        transport,
        address: None,
    };
    let store = StoreSettings { server, cloud }
        .open("s3://box/models")
        .unwrap();
    let path = ArtifactPath::parse("m 1/data/weights.bin").unwrap();
    for offset in [5, weights.len() - 1] {
        let opened = store.open(&path, offset as u64).await.unwrap();
        assert_eq!(opened.offset, offset as u64);
        assert_eq!(opened.length, Some(weights.len() as u64));
        let pieces: Vec<_> = opened.stream.try_collect().await.unwrap();
        assert!(pieces.concat() == weights[offset..]);
    }
}
