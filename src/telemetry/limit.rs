//! Keeps a client that repeats an error, or a service that does, from filling the log.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Allows one log line in a period, and counts the others.
#[derive(Debug)]
pub(crate) struct LogLimit {
    period: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

/// One line in ten seconds.
impl Default for LogLimit {
    fn default() -> Self {
        Self::every(Duration::from_secs(10))
    }
}

impl LogLimit {
    /// Allows one line in `period`.
    pub(crate) fn every(period: Duration) -> Self {
        Self {
            period,
            state: Mutex::default(),
        }
    }

    /// Returns the number of lines suppressed since the last allowed one, or `None` if it is too
    /// soon for another.
    pub(crate) fn allow(&self) -> Option<u64> {
        let mut state = self.state.lock();
        if state.last.is_some_and(|last| last.elapsed() < self.period) {
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

    const PERIOD: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn lets_one_at_a_time_through_and_counts_the_others() {
        pause();
        let limit = LogLimit::every(PERIOD);
        assert_eq!(limit.allow(), Some(0));
        for _ in 0..3 {
            advance(PERIOD / 4).await;
            assert_eq!(limit.allow(), None);
        }
        advance(PERIOD / 4).await;
        assert_eq!(limit.allow(), Some(3));
        advance(PERIOD).await;
        assert_eq!(limit.allow(), Some(0));
    }
}
