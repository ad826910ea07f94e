//! The pause after a failed token request, before the next one.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use crate::credentials::{CredentialError, Reason};

const FIRST: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(30);
/// The longest pause while a person must act. A person who has signed in or corrected a secret
/// should not wait long for it to work.
const MAX_AFTER_ACTION: Duration = Duration::from_secs(3);

/// The longest `Retry-After` of an issuer that is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The last failed fetch of a source, and the end of the pause after it.
#[derive(Debug, Clone)]
pub(super) struct FailedFetch {
    pub(super) error: CredentialError,
    pub(super) retry_at: Instant,
    count: u32,
}

impl FailedFetch {
    /// Doubles the previous pause, up to a bound that depends on whether a person must act. If the
    /// issuer names a time, the pause is at least that long, up to [`MAX_RETRY_AFTER`].
    pub(super) fn after(previous: Option<&Self>, error: CredentialError) -> Self {
        let count = previous.map_or(0, |previous| previous.count.saturating_add(1));
        let max = match error.reason {
            Reason::Transient => MAX,
            Reason::Absent | Reason::NeedsAction => MAX_AFTER_ACTION,
            Reason::Waiting => {
                return Self {
                    retry_at: Instant::now(),
                    error,
                    count: 0,
                };
            }
        };
        let pause = FIRST.saturating_mul(1 << count.min(10)).min(max);
        let pause = pause + jitter(pause / 4);
        let requested = error.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        Self {
            retry_at: Instant::now() + pause.max(requested),
            error,
            count,
        }
    }

    /// The time until the next attempt. A credential that waits for a person is polled.
    pub(super) fn retry_in(&self) -> Duration {
        match self.error.reason {
            Reason::Waiting => self.error.retry_after.unwrap_or(FIRST).max(FIRST),
            _ => self.pause(),
        }
    }

    /// The time left of the pause; zero when it is over.
    pub(super) fn pause(&self) -> Duration {
        self.retry_at.saturating_duration_since(Instant::now())
    }
}

/// A random duration below `limit`.
pub(super) fn jitter(limit: Duration) -> Duration {
    // The standard library's only source of randomness is the seed of its hash maps.
    let random = RandomState::new().hash_one(0_u8);
    let thousandths = u32::try_from(random % 1000).unwrap_or_default();
    limit * thousandths / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(reason: Reason, retry_after: Option<Duration>) -> CredentialError {
        CredentialError {
            message: String::new(),
            remedy: String::new(),
            reason,
            retry_after,
        }
    }

    fn pauses(reason: Reason, rounds: usize) -> Vec<u64> {
        let mut failure = None;
        (0..rounds)
            .map(|_| {
                let next = FailedFetch::after(failure.as_ref(), error(reason, None));
                let pause = next.pause().as_millis();
                failure = Some(next);
                u64::try_from(pause).expect("a small number")
            })
            .collect()
    }

    #[test]
    fn pauses_double_up_to_their_bound() {
        for (pause, base) in pauses(Reason::Transient, 8)
            .into_iter()
            .zip([1, 2, 4, 8, 16, 30, 30, 30])
        {
            assert!(
                (base * 900..=base * 1250).contains(&pause),
                "{pause} for {base}"
            );
        }
        assert!(
            pauses(Reason::NeedsAction, 8)
                .into_iter()
                .all(|pause| pause <= 3750)
        );
    }

    #[test]
    fn a_credential_that_waits_for_a_person_is_not_paused() {
        let mut failure = None;
        for _ in 0..5 {
            let waiting = error(Reason::Waiting, Some(Duration::from_secs(5)));
            let next = FailedFetch::after(failure.as_ref(), waiting);
            assert_eq!(next.pause(), Duration::ZERO);
            assert_eq!(next.retry_in(), Duration::from_secs(5));
            failure = Some(next);
        }
        let next = FailedFetch::after(failure.as_ref(), error(Reason::Transient, None));
        assert!(next.pause() < Duration::from_secs(3), "{:?}", next.pause());
    }

    #[test]
    fn an_issuer_that_names_a_time_gets_it() {
        let failure = FailedFetch::after(
            None,
            error(Reason::Transient, Some(Duration::from_secs(90))),
        );
        assert!(failure.pause() > Duration::from_secs(89));
    }

    #[test]
    fn no_issuer_stops_the_proxy_for_good() {
        let failure = FailedFetch::after(None, error(Reason::Transient, Some(Duration::MAX)));
        assert!(failure.pause() <= MAX_RETRY_AFTER);
    }
}
