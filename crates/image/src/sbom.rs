//! What is inside an image, as a bill of materials: `CycloneDX` 1.6, JSON.
//!
//! Every file of the layers that are made here belongs to a component: mlrs with the crates in it, ONNX
//! Runtime, the model, the packages of Debian or a system like it that libraries, certificates and time
//! zones came from. A base image is one component, by its digest; what is in it is not looked at.
//! Licences of what was not made here are not asserted. The same image gives the same bill.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::build::Image;
use crate::debian::Packages;
use crate::files::{digest_of, digest_of_file};
use crate::locale::LOCALE_FOLDER;
use crate::parts::ENGINE_PATH;
use crate::plan::{Content, Entry, LayerKind, LayerPlan};

/// A component of the bill, and the files that came with it.
struct Component {
    kind: &'static str,
    name: String,
    version: Option<String>,
    licence: Option<&'static str>,
    /// Its package URL.
    purl: Option<String>,
    files: Vec<Packed>,
}

/// A file in the image: its path, and where its content comes from.
#[derive(Clone)]
struct Packed {
    path: String,
    content: Content,
}

/// What the bill says of what the files do not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BillFacts<'a> {
    /// The registered name of the model.
    pub model_name: Option<String>,
    /// Its version.
    pub model_version: Option<String>,
    /// The version of mlrs in the image.
    pub version: Option<&'a str>,
    /// The crates in that mlrs: name and version.
    pub crates: Vec<(&'a str, &'a str)>,
    /// The name of the base image and the digest of its manifest.
    pub base: Option<(String, String)>,
}

/// The bill of an image. `root` is the system that its libraries came from.
///
/// # Errors
/// When a file of the image cannot be read any more.
pub fn cyclonedx(image: &Image, root: &Path, facts: &BillFacts<'_>) -> io::Result<Value> {
    let system = Packages::read(root, image.platform);
    let mut components = Vec::new();
    if let Some((name, digest)) = &facts.base {
        components.push(json!({
            "type": "container",
            "name": name,
            "version": digest,
        }));
    }
    for plan in &image.plans {
        for component in components_of(plan, &system, root, facts) {
            components.push(component.entry()?);
        }
    }
    components.extend(facts.crates.iter().map(|(name, version)| {
        json!({
            "type": "library",
            "name": name,
            "version": version,
            "purl": format!("pkg:cargo/{name}@{}", encoded(version)),
        })
    }));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial_number(image.digest()),
        "version": 1,
        "metadata": {
            "timestamp": image.created(),
            "tools": { "components": [{
                "type": "application",
                "name": "mlrs",
                "version": env!("CARGO_PKG_VERSION"),
            }] },
            "component": {
                "type": "container",
                "bom-ref": image.digest(),
                "name": "image",
                "version": image.digest(),
            },
        },
        "components": components,
    }))
}

/// A UUID of version 8 (RFC 9562) from the digest of an image.
fn serial_number(digest: &str) -> String {
    let digits = digest.trim_start_matches("sha256:");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

impl Component {
    fn entry(&self) -> io::Result<Value> {
        let mut files = Vec::new();
        for file in &self.files {
            let digest = match &file.content {
                Content::File(file) => digest_of_file(file)?.0,
                Content::Bytes(bytes) => digest_of(bytes),
            };
            files.push(json!({
                "type": "file",
                "name": format!("/{}", file.path),
                "hashes": [{
                    "alg": "SHA-256",
                    "content": digest.trim_start_matches("sha256:"),
                }],
            }));
        }
        let mut entry = json!({ "type": self.kind, "name": self.name });
        if let Some(version) = &self.version {
            entry["version"] = json!(version);
        }
        if let Some(licence) = self.licence {
            entry["licenses"] = json!([{ "license": { "id": licence } }]);
        }
        if let Some(purl) = &self.purl {
            entry["purl"] = json!(purl);
        }
        entry["components"] = json!(files);
        Ok(entry)
    }
}

/// A version in a package URL.
pub(crate) fn encoded(version: &str) -> String {
    version
        .replace('%', "%25")
        .replace('+', "%2B")
        .replace(':', "%3A")
}

/// The components that the files of a layer belong to.
fn components_of(
    plan: &LayerPlan,
    system: &Packages,
    root: &Path,
    facts: &BillFacts<'_>,
) -> Vec<Component> {
    let files = plan.entries().filter_map(|(path, entry)| match entry {
        Entry::File { content, .. } => Some(Packed {
            path: path.to_owned(),
            content: content.clone(),
        }),
        Entry::Folder { .. } => None,
    });
    let files: Vec<Packed> = files.collect();
    let whole = |kind, name: &str, version: Option<String>, licence| Component {
        kind,
        name: name.to_owned(),
        version,
        licence,
        purl: None,
        files: files.clone(),
    };
    match plan.kind {
        LayerKind::Binary => {
            let version = facts.version.map(str::to_owned);
            vec![whole("application", "mlrs", version, Some("Apache-2.0"))]
        }
        LayerKind::Model => {
            let name = facts.model_name.as_deref().unwrap_or("model");
            let version = facts.model_version.clone();
            vec![whole("machine-learning-model", name, version, None)]
        }
        LayerKind::Engine => {
            let (engine, others): (Vec<_>, Vec<_>) = files
                .into_iter()
                .partition(|file| ENGINE_PATH.trim_start_matches('/') == file.path);
            let version = plan.comment.split(' ').nth(2).map(str::to_owned);
            let purl = version
                .as_ref()
                .map(|version| format!("pkg:pypi/onnxruntime@{}", encoded(version)));
            let mut components = vec![Component {
                kind: "library",
                name: "onnxruntime".to_owned(),
                version,
                licence: Some("MIT"),
                purl,
                files: engine,
            }];
            components.extend(system_components(others, system, root));
            components
        }
        LayerKind::System | LayerKind::Base => system_components(files, system, root),
    }
}

/// Files by the package of the system that they came with; what was written for the image is one.
fn system_components(files: Vec<Packed>, system: &Packages, root: &Path) -> Vec<Component> {
    let mut by_owner: BTreeMap<String, Component> = BTreeMap::new();
    for file in files {
        let owner = match &file.content {
            Content::File(file) => system.owner(file, root),
            Content::Bytes(_) => None,
        };
        let name = match (&file.content, owner) {
            (_, Some(owner)) => owner.name.clone(),
            _ if file.path.starts_with(LOCALE_FOLDER.trim_start_matches('/')) => {
                "locales".to_owned()
            }
            (Content::Bytes(_), None) => "image-configuration".to_owned(),
            (Content::File(_), None) => file.path.rsplit('/').next().unwrap_or_default().to_owned(),
        };
        let component = by_owner.entry(name.clone()).or_insert_with(|| Component {
            kind: "library",
            name,
            version: owner.map(|owner| owner.version.clone()),
            licence: None,
            purl: owner.map(|owner| system.purl(owner)),
            files: Vec::new(),
        });
        component.files.push(file);
    }
    by_owner.into_values().collect()
}
