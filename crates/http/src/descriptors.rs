//! File descriptors: how many this process may have, and how many connections that is enough for.
//!
//! A server without descriptors cannot accept a connection, open its database or read an artifact. So
//! connections are limited before descriptors run out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything that is no connection and no artifact: databases, the model, logs.
const RESERVE: u64 = 64;

/// Files of artifacts that are open at the same time, unless descriptors are few.
const MOST_TRANSFERS: u64 = 256;

/// What this process may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Connections at the same time.
    pub connections: usize,
    /// Files that are sent, and as many that are received, at the same time.
    pub transfers: usize,
}

impl Descriptors {
    /// Raises this process's limit as far as it needs for so many connections, and shares it out. Many
    /// systems give a process 1,024 descriptors and let it ask for more.
    pub fn for_connections(wanted: usize) -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let needed = needed(wanted as u64);
        let Some(soft) = current.filter(|soft| *soft < needed) else {
            return Self::share(current, wanted);
        };
        let raised = maximum.map_or(needed, |hard| hard.min(needed)).max(soft);
        let limit = Rlimit {
            current: Some(raised),
            maximum,
        };
        let shared = match setrlimit(Resource::Nofile, limit) {
            Ok(()) => Self::share(Some(raised), wanted),
            Err(error) => {
                tracing::warn!(%error, soft, "the limit of file descriptors cannot be raised");
                Self::share(current, wanted)
            }
        };
        if shared.connections < wanted {
            tracing::warn!(
                descriptors = raised,
                connections = shared.connections,
                wanted,
                "the limit of file descriptors (`ulimit -n`) allows fewer connections than configured"
            );
        }
        shared
    }

    /// The parts of a limit; none is no limit.
    fn share(limit: Option<u64>, wanted: usize) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        let transfers = (limit / 8).clamp(1, MOST_TRANSFERS);
        let connections = limit.saturating_sub(2 * transfers + RESERVE).max(1);
        Self {
            connections: usize::try_from(connections)
                .unwrap_or(usize::MAX)
                .min(wanted),
            transfers: transfers as usize,
        }
    }
}

fn needed(connections: u64) -> u64 {
    connections.saturating_add(2 * MOST_TRANSFERS + RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_every_descriptor() {
        for (limit, wanted, connections, transfers) in [
            (Some(1024), 8192, 704, 128),
            (Some(1024), 100, 100, 128),
            (Some(256), 8192, 128, 32),
            (Some(16), 8192, 1, 2),
            (Some(needed(8192)), 8192, 8192, 256),
            (None, 8192, 8192, 256),
        ] {
            let expected = Descriptors {
                connections,
                transfers,
            };
            assert_eq!(Descriptors::share(limit, wanted), expected, "{limit:?}");
        }
    }
}
