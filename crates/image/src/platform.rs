//! Which machines an image runs on: [`Platform`].
//!
//! Names are those of the OCI image specification, which takes them from Go.

use std::fmt;
use std::str::FromStr;

use object::elf;

/// A processor that images are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `amd64`: x86 with 64 bits.
    Amd64,
    /// `arm64`: ARM with 64 bits.
    Arm64,
    /// `riscv64`: RISC-V with 64 bits.
    Riscv64,
    /// `ppc64le`: POWER with 64 bits, little-endian.
    Ppc64le,
    /// `s390x`: IBM Z.
    S390x,
}

/// Architecture, its name, other names that people type, its ELF machine, Debian's name of its folder
/// of libraries.
const KNOWN: [(Architecture, &str, &str, u16, &str); 5] = [
    (
        Architecture::Amd64,
        "amd64",
        "x86_64",
        elf::EM_X86_64,
        "x86_64-linux-gnu",
    ),
    (
        Architecture::Arm64,
        "arm64",
        "aarch64",
        elf::EM_AARCH64,
        "aarch64-linux-gnu",
    ),
    (
        Architecture::Riscv64,
        "riscv64",
        "riscv64gc",
        elf::EM_RISCV,
        "riscv64-linux-gnu",
    ),
    (
        Architecture::Ppc64le,
        "ppc64le",
        "powerpc64le",
        elf::EM_PPC64,
        "powerpc64le-linux-gnu",
    ),
    (
        Architecture::S390x,
        "s390x",
        "s390",
        elf::EM_S390,
        "s390x-linux-gnu",
    ),
];

impl Architecture {
    fn known(self) -> &'static (Architecture, &'static str, &'static str, u16, &'static str) {
        let found = KNOWN.iter().find(|known| known.0 == self);
        found.unwrap_or(&KNOWN[0])
    }

    /// Its name in an image's configuration.
    pub fn name(self) -> &'static str {
        self.known().1
    }

    /// The name that Debian's folders of libraries end with.
    pub fn triplet(self) -> &'static str {
        self.known().4
    }

    /// The architecture of an ELF machine.
    pub fn from_machine(machine: u16) -> Option<Self> {
        let found = KNOWN.iter().find(|known| known.3 == machine);
        found.map(|known| known.0)
    }

    fn from_name(name: &str) -> Option<Self> {
        let found = KNOWN
            .iter()
            .find(|known| known.1 == name || known.2 == name);
        found.map(|known| known.0)
    }
}

/// An operating system, always Linux, and an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The processor.
    pub architecture: Architecture,
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "linux/{}", self.architecture.name())
    }
}

/// The text names no platform that images are made for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no image can be made for the platform `{0}`")]
pub struct UnknownPlatform(String);

impl UnknownPlatform {
    /// The platforms that there are.
    pub fn hint(&self) -> String {
        let names = KNOWN.map(|known| format!("linux/{}", known.1));
        format!("the platforms are: {}", names.join(", "))
    }
}

impl FromStr for Platform {
    type Err = UnknownPlatform;

    /// Reads `linux/amd64`, or only `amd64`.
    fn from_str(text: &str) -> Result<Self, UnknownPlatform> {
        let name = text.strip_prefix("linux/").unwrap_or(text);
        // `linux/arm64/v8` is what some tools write for the only variant that there is.
        let name = if name == "arm64/v8" { "arm64" } else { name };
        let architecture = Architecture::from_name(name);
        let architecture = architecture.ok_or_else(|| UnknownPlatform(text.to_owned()))?;
        Ok(Self { architecture })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_the_names_that_people_type() {
        for (text, shown) in [
            ("linux/amd64", "linux/amd64"),
            ("x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("aarch64", "linux/arm64"),
        ] {
            let platform: Platform = text.parse().unwrap();
            assert_eq!(platform.to_string(), shown);
        }
        let error = "windows/amd64".parse::<Platform>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "no image can be made for the platform `windows/amd64`"
        );
        assert_eq!(
            error.hint(),
            "the platforms are: linux/amd64, linux/arm64, linux/riscv64, linux/ppc64le, linux/s390x"
        );
    }
}
