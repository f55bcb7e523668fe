//! `s3://` against a real S3 server: moto, in the Python of the tests.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use common::{chain, resolver};
use futures_util::TryStreamExt as _;
use mlrs_artifacts::{
    ArtifactPath, CloudSettings, Server, StoreSettings, Transport, TransportSettings,
};
use mlrs_client::silent;
use mlrs_testing::{S3Server, skipped};

#[tokio::test]
async fn a_model_is_read_from_s3() {
    let server = match S3Server::start() {
        Ok(server) => server,
        Err(error) => return skipped("s3:// against an S3 server", &error.to_string()),
    };
    let weights: Vec<u8> = (0..=255).cycle().take(256 * 8192).collect();
    for (key, content) in [
        ("m%201/MLmodel", b"flavors: {}".as_slice()),
        ("m%201/data/weights.bin", weights.as_slice()),
        ("m%201/data/", b""),
        ("m%201/%C3%A4%20b%23c.txt", b"x"),
        ("m%2010/MLmodel", b"other"),
    ] {
        server.put(&format!("models/{key}"), content).unwrap();
    }
    let variables = server.variables();
    let cache = tempfile::tempdir().unwrap();
    let resolver = resolver("", cache.path(), &variables);

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
