//! What is inside an image, as a bill of materials: SPDX 2.3, JSON.
//!
//! Every file of a layer belongs to a package: mlrs, ONNX Runtime, the model, and those of Debian that
//! the libraries, certificates and time zones came from, when the system is one. Licences of what was
//! not made here are not asserted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::build::Image;
use crate::debian::Packages;
use crate::layer::digest_of_file;
use crate::plan::{LayerKind, LayerPlan};

/// A package in the bill.
struct Package {
    name: String,
    version: Option<String>,
    supplier: Option<&'static str>,
    licence: Option<&'static str>,
    files: Vec<(String, PathBuf)>,
    reference: Option<String>,
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
pub fn spdx(
    image: &Image,
    root: &Path,
    version: Option<&str>,
    model: &ModelFacts,
) -> std::io::Result<Value> {
    let debian = Packages::read(root);
    let mut packages = Vec::new();
    for plan in &image.plans {
        packages.extend(packages_of(plan, &debian, root, version, model));
    }
    let document = image.digest().trim_start_matches("sha256:");
    let mut listed = vec![json!({
        "SPDXID": "SPDXRef-image",
        "name": "image",
        "versionInfo": image.digest(),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": "CONTAINER",
    })];
    let mut files = Vec::new();
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image")];
    for (index, package) in packages.iter().enumerate() {
        let id = format!("SPDXRef-package-{index}");
        relations.push(relation("SPDXRef-image", "CONTAINS", &id));
        for (path, file) in &package.files {
            let file_id = format!("SPDXRef-file-{}", files.len());
            let (digest, _) = digest_of_file(file)?;
            relations.push(relation(&id, "CONTAINS", &file_id));
            files.push(json!({
                "SPDXID": file_id,
                "fileName": format!("./{path}"),
                "checksums": [{
                    "algorithm": "SHA256",
                    "checksumValue": digest.trim_start_matches("sha256:"),
                }],
            }));
        }
        listed.push(entry(&id, package));
    }
    Ok(json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("image-{}", &document[..document.len().min(12)]),
        "documentNamespace": format!("urn:mlrs:image:sha256:{document}"),
        "creationInfo": {
            "created": image.created(),
            "creators": [concat!("Tool: mlrs-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": listed,
        "files": files,
        "relationships": relations,
    }))
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({
        "spdxElementId": from,
        "relationshipType": kind,
        "relatedSpdxElement": to,
    })
}

fn entry(id: &str, package: &Package) -> Value {
    let mut entry = json!({
        "SPDXID": id,
        "name": package.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": package.licence.unwrap_or("NOASSERTION"),
        "copyrightText": "NOASSERTION",
    });
    if let Some(version) = &package.version {
        entry["versionInfo"] = json!(version);
    }
    if let Some(supplier) = package.supplier {
        entry["supplier"] = json!(supplier);
    }
    if let Some(reference) = &package.reference {
        entry["externalRefs"] = json!([{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": reference,
        }]);
    }
    entry
}

/// The packages that the files of a layer belong to.
fn packages_of(
    plan: &LayerPlan,
    debian: &Packages,
    root: &Path,
    version: Option<&str>,
    model: &ModelFacts,
) -> Vec<Package> {
    let files: Vec<(String, PathBuf)> = plan
        .files()
        .map(|(path, file)| (path.to_owned(), file.clone()))
        .collect();
    let whole = |name: &str, version: Option<String>, licence| Package {
        name: name.to_owned(),
        version,
        supplier: None,
        licence,
        files: files.clone(),
        reference: None,
    };
    match plan.kind {
        LayerKind::Binary => vec![whole(
            "mlrs",
            version.map(str::to_owned),
            Some("Apache-2.0"),
        )],
        LayerKind::Model => {
            let name = model.name.as_deref().unwrap_or("model");
            vec![whole(name, model.version.clone(), None)]
        }
        LayerKind::Engine => {
            let (engine, others): (Vec<_>, Vec<_>) = files
                .into_iter()
                .partition(|(path, _)| path.ends_with("/libonnxruntime.so"));
            let version = plan.comment.split(' ').nth(2).map(str::to_owned);
            let reference = version
                .as_ref()
                .map(|version| format!("pkg:pypi/onnxruntime@{version}"));
            let mut packages = vec![Package {
                name: "onnxruntime".to_owned(),
                version,
                supplier: None,
                licence: Some("MIT"),
                files: engine,
                reference,
            }];
            packages.extend(system_packages(others, debian, root));
            packages
        }
        LayerKind::System | LayerKind::Base => system_packages(files, debian, root),
    }
}

/// Files by the package of the distribution that they came with.
fn system_packages(files: Vec<(String, PathBuf)>, debian: &Packages, root: &Path) -> Vec<Package> {
    let mut by_owner: BTreeMap<String, Package> = BTreeMap::new();
    for (path, file) in files {
        let owner = debian.owner(&file, root);
        let name = owner.as_ref().map_or_else(
            || path.rsplit('/').next().unwrap_or_default().to_owned(),
            |owner| owner.name.clone(),
        );
        let package = by_owner.entry(name.clone()).or_insert_with(|| Package {
            name,
            version: owner.as_ref().map(|owner| owner.version.clone()),
            supplier: owner.as_ref().map(|_| "Organization: Debian"),
            licence: None,
            files: Vec::new(),
            reference: owner
                .as_ref()
                .map(|owner| format!("pkg:deb/debian/{}@{}", owner.name, owner.version)),
        });
        package.files.push((path, file));
    }
    by_owner.into_values().collect()
}
