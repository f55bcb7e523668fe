//! Which hosts an address of artifacts may name.
//!
//! Some schemes name the host to connect to. A server that followed such an address for a client
//! could be made to ask hosts that the client cannot reach itself; so only hosts of the server's own
//! roots are taken, and schemes that the operator allows. The rules and texts are those of MLflow's
//! `mlflow/store/artifact/host_policy.py`.

use crate::error::StoreError;
use crate::rules::locations::scheme_of;

/// A scheme that names a host, what it is compared as, and the ports that are meant where an address
/// has none. Where that depends on the client's configuration there are no ports.
struct Scheme {
    name: &'static str,
    family: &'static str,
    ports: &'static [u16],
}

const fn scheme(name: &'static str, family: &'static str, ports: &'static [u16]) -> Scheme {
    Scheme {
        name,
        family,
        ports,
    }
}

const SCHEMES: [Scheme; 11] = [
    scheme("ftp", "ftp", &[21]),
    scheme("sftp", "sftp", &[22]),
    scheme("hdfs", "hdfs", &[]),
    scheme("viewfs", "hdfs", &[]),
    scheme("http", "http", &[80]),
    scheme("https", "http", &[443]),
    scheme("mlflow-artifacts", "http", &[80, 443]),
    scheme("r2", "r2", &[443]),
    scheme("b2", "b2", &[443]),
    scheme("abfss", "abfss", &[443]),
    // Not one of MLflow's, but this server would connect as well.
    scheme("abfs", "abfss", &[443]),
];

/// A host that would be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    family: &'static str,
    host: String,
    port: Option<u16>,
}

/// The hosts and schemes that a server takes.
#[derive(Debug, Clone, Default)]
pub struct HostPolicy {
    allowed: Vec<String>,
    trusted: Vec<Target>,
}

impl HostPolicy {
    /// A policy that takes any host with these schemes, and the hosts of these roots.
    pub fn new<'a>(
        allowed: impl IntoIterator<Item = &'a str>,
        own_roots: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let allowed = allowed.into_iter();
        let own_roots = own_roots.into_iter();
        Self {
            allowed: allowed
                .map(|name| name.trim().to_ascii_lowercase())
                .collect(),
            trusted: own_roots
                .filter_map(|root| targets(&plain(root)))
                .flat_map(|(_, targets)| targets)
                .collect(),
        }
    }

    /// Refuses an address that a client sends in the field of this name.
    ///
    /// # Errors
    /// When it names a host that is not taken.
    pub fn check_field(&self, uri: &str, field: &str) -> Result<(), StoreError> {
        match self.refused(uri) {
            None => Ok(()),
            Some(scheme) => Err(StoreError::invalid(format!(
                "'{field}' cannot use the '{scheme}' scheme: {}",
                reason(scheme)
            ))),
        }
    }

    /// Refuses an address that is in the store, before it is followed.
    ///
    /// # Errors
    /// When it names a host that is not taken.
    pub fn check_stored(&self, uri: &str) -> Result<(), StoreError> {
        match self.refused(uri) {
            None => Ok(()),
            Some(scheme) => Err(StoreError::invalid(format!(
                "The tracking server does not connect to artifact location '{uri}': {}",
                reason(scheme)
            ))),
        }
    }

    /// The scheme of an address that is not taken.
    fn refused(&self, uri: &str) -> Option<&'static str> {
        let (scheme, targets) = targets(&plain(uri))?;
        let is_taken = self.allowed.iter().any(|allowed| allowed == scheme)
            || targets.iter().any(|target| self.trusted.contains(target));
        (!is_taken).then_some(scheme)
    }
}

fn reason(scheme: &str) -> String {
    format!(
        "the '{scheme}' scheme addresses a host other than the tracking server's configured \
         artifact storage, so the server would connect to the host named in the URI. Set the \
         MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES environment variable on the server to \
         allow it."
    )
}

/// An address as parsers of addresses see it (WHATWG URL, basic URL parser, steps 1 to 3).
fn plain(uri: &str) -> String {
    let uri = uri.trim_start_matches(|letter| letter <= ' ');
    uri.replace(['\t', '\r', '\n'], "")
}

/// The scheme of an address that names a host, and the hosts that it may mean; none of them when it
/// is not well-formed, because parsers differ on those.
fn targets(uri: &str) -> Option<(&'static str, Vec<Target>)> {
    let name = scheme_of(uri)?;
    let scheme = SCHEMES.iter().find(|scheme| scheme.name == name)?;
    let rest = uri[name.len() + 1..].strip_prefix("//").unwrap_or_default();
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // Without a host, it is the server itself that is meant.
    if scheme.name == "mlflow-artifacts" && authority.is_empty() {
        return None;
    }
    let targets = host_and_port(authority).map(|(host, port)| {
        let target = |port| Target {
            family: scheme.family,
            host: host.clone(),
            port,
        };
        match (port, scheme.ports) {
            (None, []) => vec![target(None)],
            (None, ports) => ports.iter().map(|port| target(Some(*port))).collect(),
            (port, _) => vec![target(port)],
        }
    });
    Some((scheme.name, targets.unwrap_or_default()))
}

/// Host in lower case and port of an authority (RFC 3986, 3.2).
fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    if authority.contains(|letter: char| letter == '\\' || letter.is_whitespace()) {
        return None;
    }
    let (_, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, rest) = match place.strip_prefix('[') {
        Some(literal) => literal.split_once(']')?,
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let port = match rest.strip_prefix(':') {
        Some("") => None,
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        None if rest.is_empty() => None,
        _ => return None,
    };
    Some((host.to_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(policy: &HostPolicy, uri: &str) -> bool {
        policy.check_field(uri, "source").is_ok() && policy.check_stored(uri).is_ok()
    }

    #[test]
    fn addresses_that_name_a_host_are_refused() {
        let policy = HostPolicy::default();
        for refused in [
            "ftp://h/x",
            "HTTP://h/x",
            " http://h/x",
            "ht\ntp://h/x",
            "mlflow-artifacts://h/x",
            "hdfs://h/x",
            // Without a host, its client takes one of its own.
            "hdfs:///x",
            "ftp:x",
            "abfss://box@account.dfs.core.windows.net/x",
        ] {
            assert!(!takes(&policy, refused), "{refused}");
        }
        for taken in [
            "s3://box/x",
            "mlflow-artifacts:/x",
            "mlflow-artifacts:///x",
            "/srv/http://h/x",
            "dbfs:/x",
            "wasbs://box@account.blob.core.windows.net/x",
        ] {
            assert!(takes(&policy, taken), "{taken}");
        }
    }

    #[test]
    fn an_allowed_scheme_may_name_any_host() {
        let policy = HostPolicy::new(["ftp", " HDFS ", ""], []);
        for taken in ["ftp://h/x", "FTP://h:nine/x", "hdfs://h/x"] {
            assert!(takes(&policy, taken), "{taken}");
        }
        // Each is named on its own.
        for refused in ["viewfs://h/x", "sftp://h/x"] {
            assert!(!takes(&policy, refused), "{refused}");
        }
    }

    #[test]
    fn hosts_of_own_roots_are_taken_by_family_name_and_port() {
        let policy = HostPolicy::new(
            [],
            ["https://Store.example/x", "hdfs://n/x", "sftp://u@s:2222/"],
        );
        for taken in [
            "https://store.example/y",
            "http://store.example:443/y",
            "mlflow-artifacts://store.example/y",
            "viewfs://n/y",
            "sftp://other@s:2222/y",
        ] {
            assert!(takes(&policy, taken), "{taken}");
        }
        for refused in [
            "http://store.example/y",
            "https://store.example:444/y",
            "https://store.example@other/y",
            "https://store.example\\@other/y",
            "https://store.example:99999/y",
            "https://[store.example/y",
            "hdfs://n:8020/y",
            "sftp://s/y",
        ] {
            assert!(!takes(&policy, refused), "{refused}");
        }
    }
}
