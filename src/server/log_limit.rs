//! Keeps a client that repeats an error from filling the log.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const PAUSE: Duration = Duration::from_secs(10);

/// Allows one log line in ten seconds, and counts the others.
#[derive(Debug, Default)]
pub(super) struct LogLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogLimit {
    /// Returns the number of lines suppressed since the last allowed one, or `None` if it is too
    /// soon for another.
    pub(super) fn allow(&self) -> Option<u64> {
        let mut state = self.0.lock();
        if state.last.is_some_and(|last| last.elapsed() < PAUSE) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    #[tokio::test]
    async fn lets_one_at_a_time_through_and_counts_the_others() {
        pause();
        let limit = LogLimit::default();
        assert_eq!(limit.allow(), Some(0));
        for _ in 0..3 {
            advance(PAUSE / 4).await;
            assert_eq!(limit.allow(), None);
        }
        advance(PAUSE / 4).await;
        assert_eq!(limit.allow(), Some(3));
        advance(PAUSE).await;
        assert_eq!(limit.allow(), Some(0));
    }
}
