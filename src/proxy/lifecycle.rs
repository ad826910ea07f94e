//! The requests in flight, and the stages of the proxy's end. All configurations share it.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// The time that a token may take once the proxy stops. Most arrive within it. A tool that hangs
/// must not keep the process running.
const GRACE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lifecycle {
    in_flight: AtomicUsize,
    is_cut_off: AtomicBool,
    /// The time at which no request waits for a token any longer.
    stop_waiting: watch::Sender<Option<Instant>>,
}

impl Lifecycle {
    pub(super) fn begin_request(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_request(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Notes that the proxy is stopping.
    pub(super) fn stop(&self) {
        self.stop_waiting.send_replace(Some(Instant::now() + GRACE));
    }

    /// Notes that the requests in flight are cut off now.
    pub(super) fn cut_off(&self) {
        self.is_cut_off.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.is_cut_off.load(Ordering::Relaxed)
    }

    /// Waits for a token. `None` if the proxy stops first.
    pub(super) async fn wait_for<T>(&self, token: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            token = token => Some(token),
            () = self.over() => None,
        }
    }

    async fn over(&self) {
        let mut stop_waiting = self.stop_waiting.subscribe();
        let deadline = stop_waiting.wait_for(Option::is_some).await;
        let deadline = deadline.ok().and_then(|deadline| *deadline);
        // Always set, since the sender lives as long as `self`.
        sleep_until(deadline.unwrap_or_else(Instant::now)).await;
    }
}
