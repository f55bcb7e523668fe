//! The name of an image: [`ImageName`].

use std::fmt;
use std::str::FromStr;

use oci_client::Reference;

/// A name with a tag, such as `iris:3` or `registry.example/team/iris:3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    text: String,
    reference: Reference,
}

/// The text is no name of an image.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no name of an image: {reason}")]
pub struct NameError {
    text: String,
    reason: String,
}

impl NameError {
    /// What names look like.
    pub fn hint(&self) -> &'static str {
        "a name has lower-case letters, digits, `.`, `_`, `-` and `/`; a tag follows a colon and has at \
         most 128 letters, digits, `.`, `_` and `-`: `iris:3`, `localhost:5000/team/iris:3`"
    }
}

impl ImageName {
    /// The name as a registry's client takes it.
    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The registry's host, with its port if it has one.
    pub fn registry(&self) -> &str {
        self.reference.resolve_registry()
    }

    /// Whether the name begins with a registry, as `docker.io/team/iris` does. Without one a name is
    /// of Docker Hub for those who pull.
    pub fn has_registry(&self) -> bool {
        // The rule of Docker: what looks like a host is one.
        self.text
            .split_once('/')
            .is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
    }

    /// Whether the name has a digest, so that it can only be of an image that is there.
    pub fn has_digest(&self) -> bool {
        self.reference.digest().is_some()
    }

    /// The tag; an image that is named by its digest has none.
    pub fn tag(&self) -> Option<&str> {
        self.reference.tag()
    }
}

impl fmt::Display for ImageName {
    /// The name as it was typed, with its tag.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    /// Reads a name; without a tag it gets `latest`.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = |reason: String| NameError {
            text: text.to_owned(),
            reason,
        };
        let reference: Reference = text
            .parse()
            .map_err(|error: oci_client::ParseError| refused(error.to_string()))?;
        let last = text.rsplit('/').next().unwrap_or_default();
        let named = reference.digest().is_some() || last.contains(':');
        let text = if named {
            text.to_owned()
        } else {
            format!("{text}:latest")
        };
        Ok(Self { text, reference })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_a_tag() {
        for (text, shown, registry) in [
            ("iris", "iris:latest", "index.docker.io"),
            (
                "localhost:5000/team/iris",
                "localhost:5000/team/iris:latest",
                "localhost:5000",
            ),
            (
                "registry.example/iris:3",
                "registry.example/iris:3",
                "registry.example",
            ),
        ] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(name.registry(), registry);
        }
    }

    #[test]
    fn a_name_tells_whether_it_has_a_registry_and_a_digest() {
        for (text, has_registry) in [
            ("iris:3", false),
            ("team/iris", false),
            ("docker.io/team/iris", true),
            ("localhost/iris", true),
            ("localhost:5000/iris:3", true),
        ] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(name.has_registry(), has_registry, "{text}");
            assert!(!name.has_digest());
        }
        let digest = "0".repeat(64);
        for text in ["iris", "iris:3"] {
            let name: ImageName = format!("{text}@sha256:{digest}").parse().unwrap();
            assert!(name.has_digest());
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "", "Iris:1", "iris:a b", "iris:", "iris:-x", "a//b", "iris:1:2",
        ] {
            let error = text.parse::<ImageName>().unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("`{text}` is no name")),
                "{error}"
            );
        }
        let long = format!("iris:{}", "a".repeat(129));
        assert!(long.parse::<ImageName>().is_err());
    }
}
