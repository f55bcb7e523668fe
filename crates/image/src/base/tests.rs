//! Bases from a registry that is honest, mistaken or hostile.

use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::layer::scan::tests::{archive, gzip};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry with one image, whose parts can be changed before it is put there.
struct Fake {
    server: MockServer,
    layers: Vec<Vec<u8>>,
    config: Value,
    manifest: Value,
}

impl Fake {
    async fn new(layers: &[Vec<u8>]) -> Self {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest_of(layer)).collect();
        let layers: Vec<Vec<u8>> = layers.iter().map(|layer| gzip(layer)).collect();
        let descriptors = layers.iter().map(|layer| {
            json!({"mediaType": GZIP_LAYER, "digest": digest_of(layer), "size": layer.len()})
        });
        Self {
            server: MockServer::start().await,
            manifest: json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": crate::config::CONFIG},
                "layers": descriptors.collect::<Vec<_>>(),
            }),
            config: json!({
                "architecture": "amd64",
                "os": "linux",
                "config": {"Env": null},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            }),
            layers,
        }
    }

    async fn serve(&self, place: &str, media_type: &str, content: Vec<u8>) {
        let answer = ResponseTemplate::new(200).set_body_raw(content, media_type);
        let mock = Mock::given(path(format!("/v2/base/{place}"))).respond_with(answer);
        mock.mount(&self.server).await;
    }

    fn image(&self) -> ImageName {
        let name = format!("{}/base:1", self.server.address());
        name.parse().unwrap()
    }

    /// Puts the image there, and pulls it.
    async fn pull(&mut self, folder: &Path) -> Result<Base, BaseError> {
        let config = serde_json::to_vec(&self.config).unwrap();
        let descriptor = self.manifest["config"].as_object_mut().unwrap();
        descriptor
            .entry("digest")
            .or_insert_with(|| digest_of(&config).into());
        descriptor
            .entry("size")
            .or_insert_with(|| config.len().into());
        let digest = self.manifest["config"]["digest"].as_str().unwrap();
        self.serve(&format!("blobs/{digest}"), "text/plain", config)
            .await;
        for layer in &self.layers {
            let place = format!("blobs/{}", digest_of(layer));
            self.serve(&place, "text/plain", layer.clone()).await;
        }
        let manifest = serde_json::to_vec(&self.manifest).unwrap();
        let place = format!("manifests/{}", digest_of(&manifest));
        self.serve(&place, MANIFEST, manifest.clone()).await;
        // An index of several platforms, unless a test has put something else there.
        let entry = |architecture: &str, digest: &str| {
            json!({
                "mediaType": MANIFEST, "digest": digest, "size": manifest.len(),
                "platform": {"os": "linux", "architecture": architecture},
            })
        };
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [
                entry("s390x", &digest_of(b"another")),
                entry("amd64", &digest_of(&manifest)),
            ],
        });
        let index = serde_json::to_vec(&index).unwrap();
        self.serve("manifests/1", INDEX, index).await;
        let platform = "linux/amd64".parse().unwrap();
        let settings = RegistrySettings::default();
        let image = self.image();
        pull_base(&image, platform, &settings, folder, &crate::silent()).await
    }

    /// Why it cannot be used; nothing of a layer may stay.
    async fn refused(&mut self) -> String {
        let folder = tempfile::tempdir().unwrap();
        let error = self.pull(folder.path()).await.unwrap_err();
        for layer in &self.layers {
            let kept = digest_of(layer).replace("sha256:", "base-");
            assert!(!folder.path().join(kept).exists());
        }
        let text = error.to_string();
        let start = format!("the base image `{}` cannot be used: ", self.image());
        text.strip_prefix(&start).unwrap_or(&text).to_owned()
    }
}

fn small() -> Vec<u8> {
    archive(&[("usr/lib/libc.so.6", b"c")])
}

#[tokio::test]
async fn the_platform_is_chosen_from_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let upper = archive(&[("opt/", b""), ("opt/notes", b"abc")]);
    let mut fake = Fake::new(&[small(), upper]).await;
    let base = fake.pull(folder.path()).await.unwrap();
    let manifest = serde_json::to_vec(&fake.manifest).unwrap();
    assert_eq!(base.digest, digest_of(&manifest));
    let bytes: Vec<u64> = base
        .layers
        .iter()
        .map(|layer| layer.unpacked_bytes)
        .collect();
    assert_eq!(bytes, [1, 3]);
    base.has([("libc.so.6", "mlrs")].into_iter()).unwrap();
    let lacks = base.has([("/lib64/libm.so.6", "mlrs")].into_iter());
    assert!(
        lacks
            .unwrap_err()
            .to_string()
            .ends_with("has no `/lib64/libm.so.6`, which `mlrs` needs")
    );
    // What is there is not pulled again.
    let asked = fake.server.received_requests().await.unwrap().len();
    fake.pull(folder.path()).await.unwrap();
    let requests = fake.server.received_requests().await.unwrap();
    let mut again = requests[asked..].iter();
    assert!(!again.any(|request| request.url.path().contains("/blobs/")));
}

#[tokio::test]
async fn a_base_for_other_platforms_is_refused() {
    let mut fake = Fake::new(&[small()]).await;
    fake.config["architecture"] = "arm64".into();
    assert!(fake.refused().await.ends_with("is not for linux/amd64"));
}

#[tokio::test]
async fn a_part_with_another_digest_is_refused() {
    let mut fake = Fake::new(&[small()]).await;
    let bytes = fake.layers[0].len();
    let digest = digest_of(&fake.layers[0]);
    fake.layers[0] = vec![0; bytes];
    let place = format!("blobs/{digest}");
    fake.serve(&place, "text/plain", vec![0; bytes]).await;
    assert_eq!(
        fake.refused().await,
        "a part of it has another digest than it should"
    );
}

#[tokio::test]
async fn a_part_that_is_longer_or_shorter_than_it_should_is_refused() {
    for difference in [-1, 1] {
        let mut fake = Fake::new(&[small()]).await;
        let size = fake.layers[0].len() as i64 + difference;
        fake.manifest["layers"][0]["size"] = size.into();
        assert_eq!(
            fake.refused().await,
            "a part of it has another size than it should"
        );
    }
}

#[tokio::test]
async fn sizes_and_numbers_have_limits() {
    for (change, expected) in [
        (
            json!({"config": {"size": -1}}),
            "the size of a part of it is below nothing",
        ),
        (
            json!({"config": {"size": 9 << 20}}),
            "its configuration is too large",
        ),
        (
            json!({"layer": {"size": -1}}),
            "the size of a part of it is below nothing",
        ),
        (
            json!({"layer": {"size": i64::MAX}}),
            "its layers are too large",
        ),
        (
            json!({"layer": {"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd"}}),
            "its layers are compressed with zstd, and must be with gzip",
        ),
        (
            json!({"layer": {"mediaType": "text/plain"}}),
            "a layer of it is of an unknown type",
        ),
    ] {
        let mut fake = Fake::new(&[small()]).await;
        for (part, changes) in change.as_object().unwrap() {
            for (key, value) in changes.as_object().unwrap() {
                match part.as_str() {
                    "config" => fake.manifest["config"][key] = value.clone(),
                    _ => fake.manifest["layers"][0][key] = value.clone(),
                }
            }
        }
        assert_eq!(fake.refused().await, expected, "{change}");
        let requests = fake.server.received_requests().await.unwrap();
        let mut requests = requests.iter();
        assert!(!requests.any(|request| request.url.path().contains("/blobs/")));
    }
    let mut fake = Fake::new(&vec![small(); 125]).await;
    assert_eq!(fake.refused().await, "it has too many layers");
}

#[tokio::test]
async fn manifests_are_what_they_should_be() {
    let mut fake = Fake::new(&[small()]).await;
    fake.serve("manifests/1", MANIFEST, vec![b' '; 9 << 20])
        .await;
    let folder = tempfile::tempdir().unwrap();
    let error = fake.pull(folder.path()).await.unwrap_err();
    let BaseError::Registry(RegistryError::Registry { source, .. }) = error else {
        panic!("{error}");
    };
    assert!(source.to_string().contains("more than 8388608 bytes"));
    let mut fake = Fake::new(&[small()]).await;
    fake.serve("manifests/1", MANIFEST, b"{}".to_vec()).await;
    let reason = fake.refused().await;
    assert!(
        reason.starts_with("its manifest cannot be read: "),
        "{reason}"
    );
    // One that is not what the index says.
    let mut fake = Fake::new(&[small()]).await;
    let folder = tempfile::tempdir().unwrap();
    fake.pull(folder.path()).await.unwrap();
    let manifest = serde_json::to_vec(&fake.manifest).unwrap();
    fake.server.reset().await;
    let place = format!("manifests/{}", digest_of(&manifest));
    fake.serve(&place, MANIFEST, b"{}".to_vec()).await;
    assert_eq!(
        fake.refused().await,
        "its manifest has another digest than it should"
    );
}

#[tokio::test]
async fn a_configuration_with_other_layers_is_refused() {
    let mut fake = Fake::new(&[small()]).await;
    fake.config["rootfs"]["diff_ids"] = json!([]);
    assert_eq!(
        fake.refused().await,
        "its configuration has other layers than its manifest"
    );
}
