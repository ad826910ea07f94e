//! Keeps a client that repeats itself from filling the log.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const PAUSE: Duration = Duration::from_secs(10);

/// Lets one log line through in ten seconds, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// The number of lines held back since the last one that was let through; `None` if it is too
    /// soon for another.
    pub(super) fn take_turn(&self) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.last.is_some_and(|last| last.elapsed() < PAUSE) {
            told.untold += 1;
            return None;
        }
        told.last = Some(Instant::now());
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    #[tokio::test]
    async fn lets_one_at_a_time_through_and_counts_the_others() {
        pause();
        let seldom = Seldom::default();
        assert_eq!(seldom.take_turn(), Some(0));
        for _ in 0..3 {
            advance(PAUSE / 4).await;
            assert_eq!(seldom.take_turn(), None);
        }
        advance(PAUSE / 4).await;
        assert_eq!(seldom.take_turn(), Some(3));
        advance(PAUSE).await;
        assert_eq!(seldom.take_turn(), Some(0));
    }
}
