//! Admission by bytes: how much of request bodies may be in memory at the same time.
//!
//! Like a semaphore that never waits. A request gets all the bytes it asks for or none, so two
//! large requests cannot hold half each and wait for one another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// The budget that all requests of a server share.
#[derive(Clone, Debug)]
pub struct BytesInFlight(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    capacity: usize,
    used: AtomicUsize,
}

/// Bytes that a request holds; they go back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl BytesInFlight {
    /// A budget of `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Budget {
            capacity,
            used: AtomicUsize::new(0),
        }))
    }

    /// Bytes held now.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be held.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// Takes `bytes` from the budget, or nothing when they are not there.
    pub fn try_admit(&self, bytes: usize) -> Option<Permit> {
        self.0.take(bytes).then(|| Permit {
            budget: Arc::clone(&self.0),
            bytes,
        })
    }
}

impl Budget {
    fn take(&self, bytes: usize) -> bool {
        let grown = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.capacity);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .is_ok()
    }
}

impl Permit {
    /// Makes sure that the permit holds at least `total` bytes; false when they are not there.
    pub fn grow_to(&mut self, total: usize) -> bool {
        let missing = total.saturating_sub(self.bytes);
        let granted = missing == 0 || self.budget.take(missing);
        if granted {
            self.bytes += missing;
        }
        granted
    }

    /// Bytes that hold the permit for as long as anybody has a part of them.
    pub fn attached_to(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held {
            bytes,
            _permit: self,
        })
    }

    /// Bytes that it holds.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Bytes with their share of the budget.
struct Held {
    bytes: Vec<u8>,
    _permit: Permit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing() {
        let budget = BytesInFlight::new(10);
        let first = budget.try_admit(7).unwrap();
        assert!(budget.try_admit(4).is_none());
        let second = budget.try_admit(3).unwrap();
        assert_eq!(budget.used(), 10);
        drop(first);
        assert_eq!(budget.used(), 3);
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn bytes_hold_their_permit_until_nobody_has_a_part_of_them() {
        let budget = BytesInFlight::new(10);
        let permit = budget.try_admit(4).unwrap();
        let bytes = permit.attached_to(b"1234".to_vec());
        let part = bytes.slice(1..3);
        drop(bytes);
        assert_eq!((budget.used(), &part[..]), (4, &b"23"[..]));
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_permit_grows_within_the_budget_and_gives_everything_back() {
        let budget = BytesInFlight::new(10);
        let mut permit = budget.try_admit(2).unwrap();
        assert!(permit.grow_to(10));
        assert!(permit.grow_to(5), "a smaller total is already held");
        assert!(!permit.grow_to(11));
        assert!(!permit.grow_to(usize::MAX));
        assert_eq!(permit.bytes(), 10);
        drop(permit);
        assert_eq!(budget.used(), 0);
    }
}
