//! Which package of Debian a file came with: dpkg's own lists.

use std::collections::HashMap;
use std::path::Path;

use crate::elf::below;
use crate::platform::Platform;
use crate::sbom::encoded;

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// The packages of a system; none when it is not like Debian.
pub(crate) struct Packages {
    /// Path without `/usr` before it → the number of the package.
    files: HashMap<String, usize>,
    owners: Vec<Owner>,
    /// `debian`, or the name of a system made of it.
    distribution: String,
    /// Its release, such as `12`.
    release: Option<String>,
    platform: Platform,
}

impl Packages {
    /// Reads the lists of the system whose root is this folder.
    pub(crate) fn read(root: &Path, platform: Platform) -> Self {
        let versions = versions(&below(root, "/var/lib/dpkg/status"));
        let mut packages = Self {
            files: HashMap::new(),
            owners: Vec::new(),
            distribution: release_field(root, "ID").unwrap_or_else(|| "debian".to_owned()),
            release: release_field(root, "VERSION_ID"),
            platform,
        };
        let lists = std::fs::read_dir(below(root, "/var/lib/dpkg/info"));
        for list in lists.into_iter().flatten().flatten() {
            let Ok(name) = list.file_name().into_string() else {
                continue;
            };
            let Some(name) = name.strip_suffix(".list") else {
                continue;
            };
            // `libc6:amd64` where a package is for one architecture.
            let name = name.split(':').next().unwrap_or(name);
            let Some(version) = versions.get(name) else {
                continue;
            };
            let text = std::fs::read_to_string(list.path()).unwrap_or_default();
            let number = packages.owners.len();
            packages.owners.push(Owner {
                name: name.to_owned(),
                version: version.clone(),
            });
            let paths = text.lines().map(|path| (merged(path).to_owned(), number));
            packages.files.extend(paths);
        }
        packages
    }

    /// The package of a file; a link is followed.
    pub(crate) fn owner(&self, file: &Path, root: &Path) -> Option<&Owner> {
        let find = |path: &Path| {
            let inside = path.strip_prefix(root).ok()?.to_str()?;
            let absolute = format!("/{inside}");
            self.files.get(merged(&absolute))
        };
        let real = std::fs::canonicalize(file).ok();
        let number = find(file).or_else(|| find(real.as_deref()?));
        if let Some(number) = number {
            return self.owners.get(*number);
        }
        // Made of what came with the package when it was installed.
        let is_bundle = file.ends_with("ca-certificates.crt");
        let mut owners = self.owners.iter();
        owners.find(|owner| is_bundle && owner.name == "ca-certificates")
    }
}

impl Packages {
    /// The package URL of a package.
    pub(crate) fn purl(&self, owner: &Owner) -> String {
        let Packages {
            distribution,
            release,
            platform,
            ..
        } = self;
        let release = release.as_ref();
        let release = release.map(|release| format!("&distro={distribution}-{release}"));
        format!(
            "pkg:deb/{distribution}/{}@{}?arch={}{}",
            encoded(&owner.name),
            encoded(&owner.version),
            platform.architecture.name(),
            release.unwrap_or_default()
        )
    }
}

/// A field of `/etc/os-release`.
fn release_field(root: &Path, field: &str) -> Option<String> {
    let text = std::fs::read_to_string(below(root, "/etc/os-release")).ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix('='))?;
    let value = value.trim_matches(['"', '\'']);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (!value.is_empty() && value.bytes().all(is_plain)).then(|| value.to_owned())
}

/// `/lib` and `/usr/lib` are one folder in a Debian of today, and dpkg has either.
fn merged(path: &str) -> &str {
    path.strip_prefix("/usr").unwrap_or(path)
}

/// The versions of the packages that are installed.
fn versions(status: &Path) -> HashMap<String, String> {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let mut versions = HashMap::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("Package: ") {
            name = value;
        } else if let Some(value) = line.strip_prefix("Version: ") {
            versions.insert(name.to_owned(), value.to_owned());
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_under_either_name_of_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let info = root.path().join("var/lib/dpkg/info");
        std::fs::create_dir_all(&info).unwrap();
        std::fs::write(
            root.path().join("var/lib/dpkg/status"),
            "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\nPackage: other\nVersion: 1\n",
        )
        .unwrap();
        std::fs::write(info.join("libc6:amd64.list"), "/.\n/lib/libc.so.6\n").unwrap();
        let packages = Packages::read(root.path(), "linux/amd64".parse().unwrap());
        let owner = |path: &str| packages.owner(&root.path().join(path), root.path());
        let libc = Owner {
            name: "libc6".to_owned(),
            version: "2.36-9".to_owned(),
        };
        assert_eq!(owner("lib/libc.so.6"), Some(&libc));
        assert_eq!(owner("usr/lib/libc.so.6"), Some(&libc));
        assert_eq!(owner("lib/libm.so.6"), None);
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let release = "NAME=Ubuntu\nID=ubuntu\nVERSION_ID=\"24.04\"\n";
        std::fs::write(root.path().join("etc/os-release"), release).unwrap();
        let packages = Packages::read(root.path(), "linux/amd64".parse().unwrap());
        let owner = Owner {
            name: "libstdc++6".to_owned(),
            version: "1:14+2".to_owned(),
        };
        assert_eq!(
            packages.purl(&owner),
            "pkg:deb/ubuntu/libstdc%2B%2B6@1%3A14%2B2?arch=amd64&distro=ubuntu-24.04"
        );
    }

    #[test]
    fn a_system_without_dpkg_has_no_packages() {
        let root = tempfile::tempdir().unwrap();
        let packages = Packages::read(root.path(), "linux/amd64".parse().unwrap());
        assert_eq!(
            packages.owner(&root.path().join("lib/libc.so.6"), root.path()),
            None
        );
    }
}
