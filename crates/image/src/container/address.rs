//! Where a deployment answers: what an engine says of a published port, as seen from this machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bollard::models::PortBinding;
use reqwest::Url;

/// Where a deployment answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    authority: String,
    only_on: Option<String>,
}

impl Address {
    /// Host and port, as a URL has them: `127.0.0.1:8080`, `[::1]:8080`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The other machine, if it answers there and nowhere else.
    pub fn only_on(&self) -> Option<&str> {
        self.only_on.as_deref()
    }

    /// The address of a published port. `machine` is where the engine runs, if it is not here.
    pub(super) fn of(binding: PortBinding, machine: Option<&str>) -> Option<Self> {
        let port: u16 = binding.host_port?.parse().ok()?;
        let published = match binding.host_ip.as_deref() {
            None | Some("") => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Some(address) => address.parse().ok()?,
        };
        let only_on = machine.filter(|_| published.is_loopback());
        let authority = match (machine, published) {
            (Some(machine), published) if published.is_unspecified() => authority(machine, port),
            (None, IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => {
                SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string()
            }
            (None, IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => {
                SocketAddr::from((Ipv6Addr::LOCALHOST, port)).to_string()
            }
            _ => SocketAddr::new(published, port).to_string(),
        };
        Some(Self {
            authority,
            only_on: only_on.map(str::to_owned),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}", self.authority)?;
        match &self.only_on {
            Some(machine) => write!(formatter, " on `{machine}` only"),
            None => Ok(()),
        }
    }
}

fn authority(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, port).to_string(),
        Err(_) => format!("{host}:{port}"),
    }
}

/// The machine that an engine at this address runs on, as `DOCKER_HOST` has it; nothing if it is this
/// one.
pub(super) fn machine(docker_host: Option<&str>) -> Option<String> {
    let url = Url::parse(docker_host?).ok()?;
    if !matches!(url.scheme(), "tcp" | "http" | "https" | "ssh") {
        return None;
    }
    let host = url.host_str()?.trim_matches(['[', ']']);
    let is_here = |address: IpAddr| address.is_loopback() || address.is_unspecified();
    let is_here = host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_here);
    (!is_here && !host.is_empty()).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(host_ip: Option<&str>, machine: Option<&str>) -> String {
        let binding = PortBinding {
            host_ip: host_ip.map(str::to_owned),
            host_port: Some("8080".to_owned()),
        };
        Address::of(binding, machine).unwrap().to_string()
    }

    #[test]
    fn a_port_of_this_machine_is_asked_on_this_machine() {
        for (published, expected) in [
            (None, "http://127.0.0.1:8080"),
            (Some(""), "http://127.0.0.1:8080"),
            (Some("0.0.0.0"), "http://127.0.0.1:8080"),
            (Some("127.0.0.1"), "http://127.0.0.1:8080"),
            (Some("192.0.2.7"), "http://192.0.2.7:8080"),
            (Some("::"), "http://[::1]:8080"),
            (Some("::1"), "http://[::1]:8080"),
            (Some("2001:db8::7"), "http://[2001:db8::7]:8080"),
        ] {
            assert_eq!(shown(published, None), expected, "{published:?}");
        }
    }

    #[test]
    fn a_port_of_another_machine_is_asked_there() {
        for (published, machine, expected) in [
            (None, "other", "http://other:8080"),
            (Some("0.0.0.0"), "other", "http://other:8080"),
            (Some("::"), "other", "http://other:8080"),
            (Some("::"), "2001:db8::9", "http://[2001:db8::9]:8080"),
            (Some("192.0.2.7"), "other", "http://192.0.2.7:8080"),
            (
                Some("127.0.0.1"),
                "other",
                "http://127.0.0.1:8080 on `other` only",
            ),
            (Some("::1"), "other", "http://[::1]:8080 on `other` only"),
        ] {
            assert_eq!(shown(published, Some(machine)), expected, "{published:?}");
        }
    }

    #[test]
    fn no_port_is_no_address() {
        assert_eq!(Address::of(PortBinding::default(), None), None);
    }

    #[test]
    fn an_engine_is_here_or_on_another_machine() {
        for here in [
            None,
            Some("unix:///var/run/docker.sock"),
            Some("npipe:////./pipe/docker_engine"),
            Some("tcp://127.0.0.1:2375"),
            Some("tcp://localhost:2375"),
            Some("tcp://[::1]:2375"),
            Some("tcp://0.0.0.0:2375"),
            Some("no address"),
        ] {
            assert_eq!(machine(here), None, "{here:?}");
        }
        for (there, expected) in [
            ("tcp://other:2375", "other"),
            ("https://docker.example.com:2376", "docker.example.com"),
            ("tcp://192.0.2.7:2375", "192.0.2.7"),
            ("tcp://[2001:db8::9]:2375", "2001:db8::9"),
        ] {
            assert_eq!(machine(Some(there)).as_deref(), Some(expected));
        }
    }
}
