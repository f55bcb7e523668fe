//! What predictions cost, by their size: whether one is cheap enough for the caller's thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A prediction that takes longer than this would hold up the other requests of an async thread;
/// one that takes less is over before another thread has woken up.
const CHEAP: Duration = Duration::from_micros(200);

/// Sizes are told apart by the power of two of their rows.
const SIZES: usize = 24;

/// A running mean of the time that predictions take, for each order of size. Zero is unknown.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    nanoseconds: [AtomicU64; SIZES],
}

impl Costs {
    fn of(&self, rows: usize) -> &AtomicU64 {
        &self.nanoseconds[(rows.max(1).ilog2() as usize).min(SIZES - 1)]
    }

    /// Takes note of a prediction.
    pub(crate) fn record(&self, rows: usize, ran: Duration) {
        let mean = self.of(rows);
        let new = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX).max(1);
        let old = mean.load(Ordering::Relaxed);
        // The mean of eight; a lost update does no harm.
        let next = if old == 0 {
            new
        } else {
            old - old / 8 + new / 8
        };
        mean.store(next, Ordering::Relaxed);
    }

    /// Whether predictions of this size are known to be cheap.
    pub(crate) fn is_cheap(&self, rows: usize) -> bool {
        let mean = self.of(rows).load(Ordering::Relaxed);
        mean != 0 && Duration::from_nanos(mean) <= CHEAP
    }
}

#[cfg(test)]
mod tests {
    use super::Costs;
    use std::time::Duration;

    #[test]
    fn only_what_was_measured_is_cheap() {
        let costs = Costs::default();
        assert!(!costs.is_cheap(1));
        costs.record(1, Duration::from_micros(10));
        assert!(costs.is_cheap(1));
        assert!(!costs.is_cheap(1000));
        for _ in 0..20 {
            costs.record(1, Duration::from_millis(5));
        }
        assert!(!costs.is_cheap(1));
    }
}
