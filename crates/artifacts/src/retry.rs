//! When and how often a failed request is sent again.
//!
//! MLflow's Python client retries 408, 429, 500, 502, 503 and 504 up to seven times with a pause of
//! `factor × 2^(n-1)` seconds before retry n (none before the first), at most 120. [`RetrySettings`]
//! does the same, but an error that waiting cannot change (no such host, nobody listens, a server
//! that explains a 500) is tried three times within two seconds.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Longest pause between two attempts, also when a server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// Pauses before the retries of an error that waiting is unlikely to change.
const QUICK_PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1200)];

/// How persistent to be.
#[derive(Debug, Clone, PartialEq)]
pub struct RetrySettings {
    /// Retries after the first attempt. `MLFLOW_HTTP_REQUEST_MAX_RETRIES`.
    pub max_retries: u32,
    /// Seconds that the pauses are multiples of. `MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR`.
    pub backoff_factor: f64,
    /// Up to this many seconds are added at random. `MLFLOW_HTTP_REQUEST_BACKOFF_JITTER`.
    pub backoff_jitter: f64,
    /// Whether `Retry-After` decides. `MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER`.
    pub respect_retry_after: bool,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            max_retries: 7,
            backoff_factor: 2.0,
            backoff_jitter: 1.0,
            respect_retry_after: true,
        }
    }
}

/// What kind of failure an attempt met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The server is busy or restarts: be patient.
    Busy {
        /// The pause that the server asked for.
        retry_after: Option<Duration>,
    },
    /// Probably for good: try a few times, quickly.
    Doubtful,
    /// The same request gets the same answer.
    Final,
}

impl RetrySettings {
    /// The pause before retry number `retry` (from 1), or `None` to give up.
    pub fn pause(&self, retry: u32, failure: Failure) -> Option<Duration> {
        if retry > self.max_retries {
            return None;
        }
        match failure {
            Failure::Final => None,
            Failure::Doubtful => QUICK_PAUSES.get(retry as usize - 1).copied(),
            Failure::Busy {
                retry_after: Some(pause),
            } if self.respect_retry_after => Some(pause.min(LONGEST_PAUSE)),
            Failure::Busy { .. } => Some(self.backoff(retry)),
        }
    }

    fn backoff(&self, retry: u32) -> Duration {
        let grown = if retry == 1 {
            0.0
        } else {
            self.backoff_factor * 2f64.powi(retry.min(32) as i32 - 1)
        };
        let seconds = grown + self.backoff_jitter * random_fraction();
        Duration::try_from_secs_f64(seconds.max(0.0))
            .unwrap_or(LONGEST_PAUSE)
            .min(LONGEST_PAUSE)
    }
}

/// A number in 0..1 from the seed that the standard library draws for each hash map; good enough
/// to keep clients from marching in step.
fn random_fraction() -> f64 {
    (RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Failure = Failure::Busy { retry_after: None };

    fn steady() -> RetrySettings {
        RetrySettings {
            backoff_jitter: 0.0,
            ..RetrySettings::default()
        }
    }

    #[test]
    fn the_pauses_are_those_of_mlflow() {
        let pauses: Vec<_> = (1..=8)
            .map(|retry| steady().pause(retry, BUSY).map(|pause| pause.as_secs()))
            .collect();
        assert_eq!(
            pauses,
            [
                Some(0),
                Some(4),
                Some(8),
                Some(16),
                Some(32),
                Some(64),
                Some(120),
                None
            ]
        );
    }

    #[test]
    fn the_server_may_ask_for_a_pause_but_not_for_ever() {
        let asked = |seconds| Failure::Busy {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(steady().pause(1, asked(7)), Some(Duration::from_secs(7)));
        assert_eq!(steady().pause(1, asked(u64::MAX)), Some(LONGEST_PAUSE));
        let deaf = RetrySettings {
            respect_retry_after: false,
            ..steady()
        };
        assert_eq!(deaf.pause(1, asked(7)), Some(Duration::ZERO));
    }

    #[test]
    fn what_cannot_change_is_tried_quickly_or_not_at_all() {
        let total: Duration = (1..=7)
            .filter_map(|retry| steady().pause(retry, Failure::Doubtful))
            .sum();
        assert!(total < Duration::from_secs(2));
        assert_eq!(steady().pause(1, Failure::Final), None);
        let never = RetrySettings {
            max_retries: 0,
            ..steady()
        };
        assert_eq!(never.pause(1, Failure::Doubtful), None);
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        for _ in 0..100 {
            let fraction = random_fraction();
            assert!((0.0..1.0).contains(&fraction));
        }
        let wild = RetrySettings {
            backoff_factor: f64::INFINITY,
            ..steady()
        };
        assert_eq!(wild.pause(3, BUSY), Some(LONGEST_PAUSE));
    }
}
