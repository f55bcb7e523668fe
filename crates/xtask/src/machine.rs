//! What the machine lacks of what the tests use, and how it is installed.
//!
//! `.ci/missing` knows it, for `.ci/run` installs the same.

use std::path::Path;
use std::process::Command;

use mlrs_testing::workspace_root;

/// A lack: Debian's packages, and what they are for.
type Lack = (String, String);

/// Says what is missing and which command installs it; nothing when all is there.
pub fn tell_lacks() {
    let script = workspace_root().join(".ci/missing");
    let Ok(output) = Command::new("bash").arg(script).output() else {
        return println!("note: there is no bash to look for the programs that the tests use");
    };
    let lacks = lacks(&String::from_utf8_lossy(&output.stdout));
    if !lacks.is_empty() {
        println!("{}", told(&lacks, Path::new("/usr/bin/apt-get").exists()));
    }
}

fn lacks(output: &str) -> Vec<Lack> {
    let lines = output.lines().filter_map(|line| line.split_once('\t'));
    lines
        .map(|(packages, purpose)| (packages.to_owned(), purpose.to_owned()))
        .collect()
}

fn told(lacks: &[Lack], is_debian: bool) -> String {
    let mut text = "not on this machine, so that some tests cannot run:\n".to_owned();
    for (packages, purpose) in lacks {
        text.extend(["  ", packages, ": ", purpose, "\n"]);
    }
    let packages: Vec<&str> = lacks
        .iter()
        .map(|(packages, _)| packages.as_str())
        .collect();
    let packages = packages.join(" ");
    let install = if is_debian {
        "to install: apt-get install --no-install-recommends "
    } else {
        "to install, by the names of Debian's packages: "
    };
    text.extend([install, &packages, "\n"]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_the_command_that_installs_it() {
        let lacks = lacks("debootstrap\tother systems\ndocker.io iptables\timages\n");
        assert_eq!(
            told(&lacks, true),
            "not on this machine, so that some tests cannot run:\n  \
             debootstrap: other systems\n  \
             docker.io iptables: images\n\
             to install: apt-get install --no-install-recommends debootstrap docker.io iptables\n"
        );
        assert!(told(&lacks, false).ends_with("packages: debootstrap docker.io iptables\n"));
    }

    /// A machine with nothing but a shell lacks everything, and is told of each thing once.
    #[test]
    fn a_bare_machine_lacks_what_continuous_integration_installs() {
        let script = workspace_root().join(".ci/missing");
        let output = Command::new("/bin/bash")
            .arg(script)
            .env_clear()
            .env("PATH", "/nowhere")
            .output()
            .unwrap();
        assert!(output.status.success());
        let lacks = lacks(&String::from_utf8(output.stdout).unwrap());
        let packages: Vec<&str> = lacks
            .iter()
            .map(|(packages, _)| packages.as_str())
            .collect();
        for package in [
            "build-essential",
            "docker.io iptables",
            "docker-registry",
            "debootstrap",
            "nodejs npm",
            "chromium",
        ] {
            assert!(packages.contains(&package), "{package}: {packages:?}");
        }
        let runner = std::fs::read_to_string(workspace_root().join(".ci/run")).unwrap();
        assert!(runner.contains("bash .ci/missing"));
    }
}
