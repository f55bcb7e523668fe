//! Names as Kubernetes takes them: checked once, when they are said, and not by the API server later.
//!
//! The rules are those of RFC 1035 and RFC 1123 as Kubernetes states them, and the grammar of image
//! references of the distribution specification.

use std::fmt;
use std::str::FromStr;

/// A name that Kubernetes would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}")]
pub struct NameError {
    text: String,
    what: &'static str,
    rule: &'static str,
}

impl NameError {
    /// What it should look like.
    pub fn hint(&self) -> &'static str {
        self.rule
    }
}

const LONGEST_LABEL: usize = 63;
const LONGEST_SUBDOMAIN: usize = 253;

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= LONGEST_SUBDOMAIN && text.split('.').all(is_label)
}

macro_rules! name {
    ($(#[$about:meta])* $type:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $type(String);

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { text: text.to_owned(), what: $what, rule: $rule })
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The name of a deployment and of everything that belongs to it: a label of RFC 1035, because a
    /// Service has it.
    Name,
    "name of a deployment",
    "use lower-case letters, digits and `-`, begin with a letter, at most 63 in all",
    |text| is_label(text) && text.starts_with(|first: char| first.is_ascii_lowercase())
);

name!(
    /// A namespace: a label of RFC 1123.
    Namespace,
    "namespace",
    "use lower-case letters, digits and `-`, at most 63 in all",
    is_label
);

name!(
    /// The name of a Secret, a class, a gateway or a service account: a subdomain of RFC 1123.
    ObjectName,
    "name of a Kubernetes object",
    "use lower-case letters, digits, `-` and `.`, at most 253 in all",
    is_subdomain
);

name!(
    /// A host name that requests come to.
    HostName,
    "host name",
    "write a host such as `iris.example.com`, without a scheme, port or path",
    is_subdomain
);

name!(
    /// An image: `[REGISTRY[:PORT]/]PATH[:TAG][@sha256:DIGEST]`.
    ImageReference,
    "image reference",
    "write `[REGISTRY/]NAME[:TAG][@sha256:DIGEST]`, such as `registry.example.com/iris:1`",
    is_image
);

fn is_image(text: &str) -> bool {
    let (rest, digest) = text
        .split_once('@')
        .map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    let tag_at = rest
        .rfind(':')
        .filter(|colon| !rest[*colon..].contains('/'));
    let (name, tag) = tag_at.map_or((rest, None), |colon| {
        (&rest[..colon], Some(&rest[colon + 1..]))
    });
    let path = match name.split_once('/') {
        // Only a registry has a dot or a port, or is called so.
        Some((registry, path)) if registry.contains(['.', ':']) || registry == "localhost" => {
            if !is_registry(registry) {
                return false;
            }
            path
        }
        _ => name,
    };
    path.len() <= 255
        && path.split('/').all(is_path_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text
        .rsplit_once(':')
        .map_or((text, None), |(host, port)| (host, Some(port)));
    is_subdomain(&host.to_ascii_lowercase())
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_path_component(text: &str) -> bool {
    let ends_well = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let bytes = text.as_bytes();
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes
            .iter()
            .all(|byte| ends_well(Some(byte)) || b"._-".contains(byte))
        && !["..", "___", "._", "_.", "-.", ".-", "_-", "-_"]
            .iter()
            .any(|bad| text.contains(bad))
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, digits)| {
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => return false,
        };
        digits.len() == length
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label_that_begins_with_a_letter() {
        for good in ["a", "iris", "iris-2", &"a".repeat(63)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "2iris",
            "-iris",
            "iris-",
            "Iris",
            "iris.x",
            "iris_x",
            "ïris",
            &"a".repeat(64),
        ] {
            let error = bad.parse::<Name>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`{bad}` is no name of a deployment")
            );
        }
    }

    #[test]
    fn namespaces_and_other_objects_have_their_own_rules() {
        assert!("2prod".parse::<Namespace>().is_ok());
        assert!("a.b".parse::<Namespace>().is_err());
        assert!("a.b-c.2".parse::<ObjectName>().is_ok());
        for bad in ["", "a..b", "a/b", "A"] {
            assert!(bad.parse::<ObjectName>().is_err(), "{bad}");
        }
        assert!("https://iris.example.com".parse::<HostName>().is_err());
    }

    #[test]
    fn images_are_references() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        for good in [
            "iris",
            "iris:1",
            "team/iris:v1.0-rc_1",
            "localhost/iris",
            "localhost:5000/iris:latest",
            "registry.example.com/a/b_c/d__e:1",
            &format!("iris@{digest}"),
            &format!("registry.example.com:443/iris:1@{digest}"),
        ] {
            assert!(good.parse::<ImageReference>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "Iris",
            "iris:",
            "iris:a b",
            "iris:-1",
            "/iris",
            "iris/",
            "a//b",
            "a..b",
            "localhost:0/iris",
            "localhost:99999/iris",
            "iris@sha256:12",
            "iris@md5:00000000000000000000000000000000",
            "https://registry.example.com/iris",
        ] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
    }
}
