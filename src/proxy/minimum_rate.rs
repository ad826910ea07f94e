//! The minimum rate at which a client must send a body to keep its request in flight. With an idle
//! timeout alone, a client could keep a request in flight for ever by one byte a minute.
//!
//! Responses need no minimum rate. The system takes more bytes of a response only when a third of
//! its send buffer is free, and an HTTP/2 stream must take 16 KiB within the idle timeout.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// The bytes that a client must send for each [`PATIENCE`] that the proxy waits for it: on average
/// 68 bytes a second, a tenth of the rate of an old modem. Kestrel requires 240, Apache's
/// `mod_reqtimeout` 500.
const LEAST: u64 = 4096;
/// The time for [`LEAST`] bytes, unless the idle timeout is longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time that the proxy has waited for a client to send bytes. It does not include the time in
/// which the upstream takes no bytes.
#[derive(Debug)]
pub(super) struct MinimumRate {
    start: Instant,
    patience: Duration,
    /// Milliseconds from `start` to the beginning of the wait, plus one; 0 while nobody waits.
    waits_since: AtomicU64,
    /// Milliseconds waited for the current [`LEAST`] bytes.
    waited: AtomicU64,
    sent: AtomicU64,
}

impl MinimumRate {
    /// For a client that may be idle for `idle_timeout`.
    pub(super) fn new(idle_timeout: Duration) -> Self {
        Self {
            start: Instant::now(),
            patience: PATIENCE.max(idle_timeout),
            waits_since: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        }
    }

    /// Notes that the proxy waits for the client's next bytes.
    pub(super) fn wait(&self) {
        if self.waits_since.load(Ordering::Relaxed) == 0 {
            let since = self.elapsed() + 1;
            self.waits_since.store(since, Ordering::Relaxed);
        }
    }

    /// Notes that the client has sent `bytes`.
    pub(super) fn sent(&self, bytes: u64) {
        self.stop_waiting();
        let sent = self.sent.load(Ordering::Relaxed) + bytes;
        if sent < LEAST {
            self.sent.store(sent, Ordering::Relaxed);
        } else {
            self.sent.store(0, Ordering::Relaxed);
            self.waited.store(0, Ordering::Relaxed);
        }
    }

    /// Notes that the proxy no longer waits for the client.
    pub(super) fn stop_waiting(&self) {
        let since = self.waits_since.load(Ordering::Relaxed);
        if since > 0 {
            self.waits_since.store(0, Ordering::Relaxed);
            let now = self.elapsed() + 1;
            let waited = self.waited.load(Ordering::Relaxed) + now.saturating_sub(since);
            self.waited.store(waited, Ordering::Relaxed);
        }
    }

    /// The time at which a client that sends nothing more is too slow. `None` while the proxy does
    /// not wait for the client.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let since = self.waits_since.load(Ordering::Relaxed).checked_sub(1)?;
        let waited = Duration::from_millis(self.waited.load(Ordering::Relaxed));
        let left = self.patience.saturating_sub(waited);
        Some(self.start + Duration::from_millis(since) + left)
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    /// Whether a client that sends `bytes` at each interval is too slow within an hour.
    async fn is_too_slow(bytes: u64, every: Duration, idle_timeout: Duration) -> bool {
        let rate = MinimumRate::new(idle_timeout);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3600) {
            rate.wait();
            advance(every).await;
            if rate.deadline().is_some_and(|late| late <= Instant::now()) {
                return true;
            }
            rate.sent(bytes);
        }
        false
    }

    #[tokio::test]
    async fn the_least_rate_is_an_average() {
        pause();
        let second = Duration::from_secs(1);
        let minute = second * 60;
        for (bytes, every, idle_timeout, is_late) in [
            (1024, second, minute, false),
            (LEAST, second * 59, minute, false),
            (100, second, minute, false),
            (LEAST / 2, second * 29, minute, false),
            (1, second * 59, minute, true),
            (60, second, minute, true),
            (LEAST / 2, second * 31, minute, true),
            // A longer idle timeout allows longer pauses.
            (LEAST, minute * 9, minute * 10, false),
            (1, minute * 9, minute * 10, true),
            // A shorter idle timeout does not change the rate.
            (1000, second, second, false),
            (100, second, second, false),
        ] {
            let found = is_too_slow(bytes, every, idle_timeout).await;
            assert_eq!(found, is_late, "{bytes} bytes every {every:?}");
        }
    }

    #[tokio::test]
    async fn the_time_that_the_upstream_takes_does_not_count() {
        pause();
        let rate = MinimumRate::new(PATIENCE);
        for _ in 0..100 {
            rate.wait();
            advance(PATIENCE / 200).await;
            assert!(rate.deadline().is_some_and(|late| Instant::now() < late));
            rate.sent(1);
            assert_eq!(rate.deadline(), None);
            advance(PATIENCE).await;
        }
    }
}
