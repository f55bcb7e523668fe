//! What is inside an image, as a bill of materials: `CycloneDX` 1.6, JSON.
//!
//! Every file of a layer belongs to a component: mlrs, ONNX Runtime, the model, and the packages of
//! Debian that libraries, certificates and time zones came from, when the system is one. Licences of
//! what was not made here are not asserted. The same image gives the same bill.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::build::Image;
use crate::debian::Packages;
use crate::layer::digest_of_file;
use crate::plan::{LayerKind, LayerPlan};

/// A component of the bill, and the files that came with it: path in the image, file.
struct Component {
    kind: &'static str,
    name: String,
    version: Option<String>,
    licence: Option<&'static str>,
    /// Its package URL.
    purl: Option<String>,
    files: Vec<(String, PathBuf)>,
}

/// What the bill says of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// Its registered name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

/// The bill of an image. `root` is the system that its libraries came from; `version` that of mlrs in
/// the image, if it is known.
///
/// # Errors
/// When a file of the image cannot be read any more.
pub fn cyclonedx(
    image: &Image,
    root: &Path,
    version: Option<&str>,
    model: &ModelFacts,
) -> io::Result<Value> {
    let debian = Packages::read(root);
    let mut components = Vec::new();
    for plan in &image.plans {
        for component in components_of(plan, &debian, root, version, model) {
            components.push(component.entry()?);
        }
    }
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
        for (path, file) in &self.files {
            let (digest, _) = digest_of_file(file)?;
            files.push(json!({
                "type": "file",
                "name": format!("/{path}"),
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

/// The components that the files of a layer belong to.
fn components_of(
    plan: &LayerPlan,
    debian: &Packages,
    root: &Path,
    version: Option<&str>,
    model: &ModelFacts,
) -> Vec<Component> {
    let files: Vec<(String, PathBuf)> = plan
        .files()
        .map(|(path, file)| (path.to_owned(), file.clone()))
        .collect();
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
            let version = version.map(str::to_owned);
            vec![whole("application", "mlrs", version, Some("Apache-2.0"))]
        }
        LayerKind::Model => {
            let name = model.name.as_deref().unwrap_or("model");
            vec![whole(
                "machine-learning-model",
                name,
                model.version.clone(),
                None,
            )]
        }
        LayerKind::Engine => {
            let (engine, others): (Vec<_>, Vec<_>) = files
                .into_iter()
                .partition(|(path, _)| path.ends_with("/libonnxruntime.so"));
            let version = plan.comment.split(' ').nth(2).map(str::to_owned);
            let purl = version
                .as_ref()
                .map(|version| format!("pkg:pypi/onnxruntime@{version}"));
            let mut components = vec![Component {
                kind: "library",
                name: "onnxruntime".to_owned(),
                version,
                licence: Some("MIT"),
                purl,
                files: engine,
            }];
            components.extend(system_components(others, debian, root));
            components
        }
        LayerKind::System | LayerKind::Base => system_components(files, debian, root),
    }
}

/// Files by the package of the distribution that they came with.
fn system_components(
    files: Vec<(String, PathBuf)>,
    debian: &Packages,
    root: &Path,
) -> Vec<Component> {
    let mut by_owner: BTreeMap<String, Component> = BTreeMap::new();
    for (path, file) in files {
        let owner = debian.owner(&file, root);
        let file_name = || path.rsplit('/').next().unwrap_or_default().to_owned();
        let name = owner.map_or_else(file_name, |owner| owner.name.clone());
        let component = by_owner.entry(name.clone()).or_insert_with(|| Component {
            kind: "library",
            name,
            version: owner.map(|owner| owner.version.clone()),
            licence: None,
            purl: owner.map(|owner| format!("pkg:deb/debian/{}@{}", owner.name, owner.version)),
            files: Vec::new(),
        });
        component.files.push((path, file));
    }
    by_owner.into_values().collect()
}
