//! Where a server listens, and where a program on this machine reaches it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, lookup_host};

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{host}` port {port}")]
pub struct BindError {
    /// The host as it was given.
    pub host: String,
    /// The port as it was given.
    pub port: u16,
    /// The cause.
    #[source]
    pub source: io::Error,
}

impl BindError {
    /// What the user can do, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => Some(format!(
                "another process listens on port {}; stop it, or choose another port (0 takes a free one)",
                self.port
            )),
            io::ErrorKind::PermissionDenied if self.port < 1024 => {
                Some("ports below 1024 need privileges; choose a higher one".to_owned())
            }
            io::ErrorKind::AddrNotAvailable => Some(
                "the address is not one of this machine; `0.0.0.0` listens on all of them"
                    .to_owned(),
            ),
            // What the name lookup of the system says has no kind.
            _ if self.host.parse::<IpAddr>().is_err() => {
                Some("the name cannot be looked up: give an IP address of this machine".to_owned())
            }
            _ => None,
        }
    }
}

/// Listens on `host` and `port`; 0 takes any free port, which [`TcpListener::local_addr`] tells.
///
/// # Errors
/// When the name does not resolve or no address of it can be listened on.
pub async fn bind(host: &str, port: u16) -> Result<TcpListener, BindError> {
    let failed = |source| BindError {
        host: host.to_owned(),
        port,
        source,
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((host, port)).await.map_err(failed)? {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

/// Where a program on this machine reaches a listener: one that listens on every address of the
/// machine has none of its own, and is asked at the loopback.
pub fn local_target(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}
