//! What each layer holds: the system, the program, the engine, the model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mlrs_mlmodel::archive::{self, ArchiveError};

use crate::config::{GROUP, USER};
use crate::elf::{Closure, below};
use crate::plan::{Content, LayerKind, LayerPlan};

/// Where the program is.
pub const BINARY_PATH: &str = "/usr/local/bin/mlrs";

/// Where shared libraries are. One folder for all, which `LD_LIBRARY_PATH` names: which folders a
/// loader looks into is built into it, and differs from system to system.
pub const LIBRARY_FOLDER: &str = "/usr/lib/mlrs";

/// Where ONNX Runtime is.
pub const ENGINE_PATH: &str = "/usr/lib/mlrs/libonnxruntime.so";

/// Where the model is: the place that `SageMaker` has for it.
pub const MODEL_PATH: &str = "/opt/ml/model";

/// Where certificates are read from, on this machine: the first that is there.
const CERTIFICATES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where certificates are in the image: where programs look first.
const CERTIFICATES_PATH: &str = "/etc/ssl/certs/ca-certificates.crt";

const ZONES: &str = "/usr/share/zoneinfo";

/// What the system layer lacks, for the person who builds.
pub(crate) type Warnings = Vec<String>;

/// The layer with what every program needs.
pub(crate) fn system(closure: &Closure, root: &Path) -> (LayerPlan, Warnings) {
    let mut warnings = Vec::new();
    let comment = "loader, shared libraries, certificates, time zones, user";
    let mut plan = LayerPlan::new(LayerKind::System, comment);
    if let Some((path, file)) = &closure.loader {
        plan.file(path, Content::File(file.clone()), 0o755);
    }
    libraries(&mut plan, &closure.libraries);
    libraries(&mut plan, &name_services(closure));
    for (path, text) in users() {
        plan.file(path, Content::Bytes(text.into_bytes()), 0o644);
    }
    plan.folder("/tmp", 0o1777);
    match CERTIFICATES.iter().map(|path| below(root, path)).find(|path| path.is_file()) {
        Some(file) => plan.file(CERTIFICATES_PATH, Content::File(file), 0o644),
        None => warnings.push(format!(
            "there are no certificates of authorities in `{}`: the image cannot check those of servers",
            root.display()
        )),
    }
    let zones = below(root, ZONES);
    let found = zone_files(&zones);
    if found.is_empty() {
        warnings.push(format!("there are no time zones in `{}`", zones.display()));
    }
    for (name, file) in found {
        plan.file(&format!("{ZONES}/{name}"), Content::File(file), 0o644);
    }
    (plan, warnings)
}

fn libraries(plan: &mut LayerPlan, libraries: &BTreeMap<String, PathBuf>) {
    for (name, file) in libraries {
        let path = format!("{LIBRARY_FOLDER}/{name}");
        plan.file(&path, Content::File(file.clone()), 0o755);
    }
}

/// The libraries that the GNU C library looks up names of hosts with. It loads them by name, so no file
/// says that it needs them; since version 2.34 they are part of it.
pub(crate) const NAME_SERVICES: [&str; 3] =
    ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];

/// Those of them that are beside the C library.
fn name_services(closure: &Closure) -> BTreeMap<String, PathBuf> {
    let folder = closure
        .libraries
        .get("libc.so.6")
        .and_then(|libc| libc.parent());
    let found = folder
        .into_iter()
        .flat_map(|folder| NAME_SERVICES.map(|name| (name.to_owned(), folder.join(name))));
    found.filter(|(_, file)| file.is_file()).collect()
}

/// The files that say who is who, and where names of hosts are looked up.
pub(crate) fn users() -> [(&'static str, String); 3] {
    [
        (
            "/etc/passwd",
            format!(
                "root:x:0:0:root:/root:/sbin/nologin\nmlrs:x:{USER}:{GROUP}:mlrs:/tmp:/sbin/nologin\n"
            ),
        ),
        ("/etc/group", format!("root:x:0:\nmlrs:x:{GROUP}:\n")),
        ("/etc/nsswitch.conf", "hosts: files dns\n".to_owned()),
    ]
}

/// The compiled time zones below a folder, by name. `posix` and `right` hold them once more.
fn zone_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut waiting = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((path, prefix, depth)) = waiting.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let inner = entry.path();
            // Follows links: most names of zones are links to others.
            let Ok(facts) = std::fs::metadata(&inner) else {
                continue;
            };
            let again = prefix.is_empty() && ["posix", "right"].contains(&name.as_str());
            if facts.is_dir() && !again && depth < 4 {
                waiting.push((inner, format!("{prefix}{name}/"), depth + 1));
            } else if facts.is_file() && is_zone(&inner) {
                found.push((format!("{prefix}{name}"), inner));
            }
        }
    }
    found
}

/// Whether a file begins as RFC 8536 has it.
fn is_zone(path: &Path) -> bool {
    use std::io::Read as _;
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && &magic == b"TZif"
}

/// The layer with the program.
pub(crate) fn binary(file: &Path) -> LayerPlan {
    let mut plan = LayerPlan::new(LayerKind::Binary, "mlrs");
    plan.file(BINARY_PATH, Content::File(file.to_owned()), 0o755);
    plan
}

/// The layer with ONNX Runtime and those libraries that nothing else needs.
pub(crate) fn engine(
    file: &Path,
    version: Option<&str>,
    own: &BTreeMap<String, PathBuf>,
) -> LayerPlan {
    let comment = ["ONNX Runtime"].into_iter().chain(version);
    let comment = comment.collect::<Vec<_>>().join(" ");
    let mut plan = LayerPlan::new(LayerKind::Engine, comment);
    plan.file(ENGINE_PATH, Content::File(file.to_owned()), 0o755);
    libraries(&mut plan, own);
    plan
}

/// Names of files in a layer by which it takes away what is in those below it.
const WHITEOUT: &str = ".wh.";

/// The layer with the model.
///
/// # Errors
/// When something in the directory is neither a file nor a directory, has a name with a meaning in
/// layers, or cannot be read.
pub(crate) fn model(directory: &Path) -> Result<LayerPlan, ArchiveError> {
    let mut plan = LayerPlan::new(LayerKind::Model, "model");
    plan.folder(MODEL_PATH, 0o755);
    for item in archive::items(directory)? {
        let path = format!("{MODEL_PATH}/{}", item.name);
        let name = item.name.rsplit('/').next().unwrap_or_default();
        if name.starts_with(WHITEOUT) {
            return Err(ArchiveError::NotPackable {
                path: item.path,
                problem: "in an image, a name that begins with `.wh.` takes files away",
            });
        }
        if item.is_directory {
            plan.folder(&path, 0o755);
        } else {
            plan.file(&path, Content::File(item.path), 0o644);
        }
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_compiled_zones_are_taken_and_each_once() {
        let root = tempfile::tempdir().unwrap();
        let zones = root.path().join("usr/share/zoneinfo");
        std::fs::create_dir_all(zones.join("Europe")).unwrap();
        std::fs::create_dir_all(zones.join("right")).unwrap();
        std::fs::write(zones.join("Europe/Berlin"), b"TZif2...").unwrap();
        std::fs::write(zones.join("right/UTC"), b"TZif2...").unwrap();
        std::fs::write(zones.join("tzdata.zi"), b"# version").unwrap();
        std::os::unix::fs::symlink("Europe/Berlin", zones.join("Arctic")).unwrap();
        let mut names: Vec<_> = zone_files(&zones).into_iter().map(|zone| zone.0).collect();
        names.sort();
        assert_eq!(names, ["Arctic", "Europe/Berlin"]);
    }

    #[test]
    fn a_system_without_certificates_is_told() {
        let root = tempfile::tempdir().unwrap();
        let (plan, warnings) = system(&Closure::default(), root.path());
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let paths: Vec<_> = plan.entries().map(|entry| entry.0).collect();
        assert_eq!(
            paths,
            ["etc", "etc/group", "etc/nsswitch.conf", "etc/passwd", "tmp"]
        );
    }

    #[test]
    fn a_link_in_a_model_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("MLmodel"), "flavors: {}").unwrap();
        assert!(model(folder.path()).is_ok());
        std::os::unix::fs::symlink("/etc/shadow", folder.path().join("data")).unwrap();
        let error = model(folder.path()).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }

    #[test]
    fn a_name_that_takes_files_away_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("MLmodel"), "flavors: {}").unwrap();
        std::fs::write(folder.path().join(".wh.MLmodel"), "").unwrap();
        let error = model(folder.path()).unwrap_err();
        assert!(error.to_string().contains("takes files away"), "{error}");
    }
}
