//! The open connections: how many each address has, and which have been idle longest.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::activity::Activity;

/// So many idle connections end at once when there is no place for another; each search looks at all
/// connections.
const MOST_ENDED: usize = 32;

/// All connections of a server.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, (Owner, Arc<Activity>)>,
    of_owner: HashMap<Owner, usize>,
}

/// Who opened a connection: an IPv4 address, or the network that a customer gets in IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner(IpAddr);

impl Owner {
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }

    /// Whether it is this machine, which may be a proxy for everybody.
    fn is_this_machine(address: IpAddr) -> bool {
        address.to_canonical().is_loopback()
    }
}

/// An open connection; it is forgotten when this is dropped.
#[derive(Debug)]
pub(super) struct Registered {
    registry: Arc<Registry>,
    key: u64,
}

impl Registry {
    /// Takes a connection in. None when its address has `most` of them; then idle ones of that address
    /// are told to end.
    pub(super) fn register(
        self: &Arc<Self>,
        address: IpAddr,
        activity: &Arc<Activity>,
        most: usize,
    ) -> Option<Registered> {
        let owner = Owner::of(address);
        let mut open = self.open();
        let count = open.of_owner.get(&owner).copied().unwrap_or(0);
        // Those that are told to end are gone in a moment.
        if count >= most
            && !Owner::is_this_machine(address)
            && open.end_idle(|other| other == owner) == 0
        {
            return None;
        }
        let key = open.next;
        open.next += 1;
        open.connections.insert(key, (owner, Arc::clone(activity)));
        *open.of_owner.entry(owner).or_default() += 1;
        Some(Registered {
            registry: Arc::clone(self),
            key,
        })
    }

    /// Tells those that have been idle longest to end.
    pub(super) fn make_room(&self) {
        self.open().end_idle(|_| true);
    }

    /// Tells all to end when they are idle.
    pub(super) fn end_all(&self) {
        for (_, activity) in self.open().connections.values() {
            activity.end_when_idle();
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// How many were told to end.
    fn end_idle(&self, is_meant: impl Fn(Owner) -> bool) -> usize {
        let mut idle: Vec<_> = self
            .connections
            .values()
            .filter(|(owner, activity)| is_meant(*owner) && !activity.is_ending())
            .filter_map(|(_, activity)| Some((activity.idle_since()?, activity)))
            .collect();
        let count = idle.len().div_ceil(8).min(MOST_ENDED);
        if count > 0 {
            idle.select_nth_unstable_by_key(count - 1, |(since, _)| *since);
        }
        for (_, activity) in &idle[..count] {
            activity.make_room();
        }
        count
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut open = self.registry.open();
        let Some((owner, _)) = open.connections.remove(&self.key) else {
            return;
        };
        if let Some(count) = open.of_owner.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                open.of_owner.remove(&owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_a_limit_and_this_machine_has_none() {
        let registry = Arc::new(Registry::default());
        let busy = Activity::new();
        let _request = busy.begin();
        let one = |text| registry.register(address(text), &busy, 2);
        let first = one("192.0.2.1");
        let _second = one("::ffff:192.0.2.1").unwrap();
        assert!(one("192.0.2.1").is_none());
        let _others = (one("192.0.2.2").unwrap(), one("2001:db8::1").unwrap());
        let _same_network = one("2001:db8::ffff:1").unwrap();
        assert!(one("2001:db8::2").is_none());
        let local: Vec<_> = (0..5).map(|_| one("127.0.0.1").unwrap()).collect();
        assert_eq!(local.len(), 5);
        drop(first);
        assert!(one("192.0.2.1").is_some());
    }

    #[test]
    fn an_address_beyond_its_limit_loses_its_own_idle_connections() {
        let registry = Arc::new(Registry::default());
        let (own, foreign) = (Activity::new(), Activity::new());
        let _own = registry.register(address("192.0.2.1"), &own, 1).unwrap();
        let _foreign = registry
            .register(address("192.0.2.2"), &foreign, 1)
            .unwrap();
        let next = registry.register(address("192.0.2.1"), &Activity::new(), 1);
        assert!(next.is_some() && own.ends(true) && !foreign.ends(true));
    }

    #[test]
    fn room_is_made_by_those_that_have_been_idle_longest() {
        let registry = Arc::new(Registry::default());
        let connections: Vec<_> = (0..10)
            .map(|_| {
                let activity = Activity::new();
                let place = registry.register(address("192.0.2.1"), &activity, 10);
                std::thread::sleep(std::time::Duration::from_millis(2));
                (activity, place.unwrap())
            })
            .collect();
        // The oldest has work to do.
        let _request = connections[0].0.begin();
        registry.make_room();
        let ending: Vec<usize> = (0..10)
            .filter(|index| connections[*index].0.ends(true))
            .collect();
        assert_eq!(ending, [1, 2]);
    }
}
