//! The signal that a connection has become idle.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Wakes the listeners that wait for a connection to become idle.
#[derive(Debug, Default)]
pub(super) struct Idleness {
    waiting: AtomicUsize,
    pub(super) came: Notify,
}

impl Idleness {
    /// Notes that a connection has become idle.
    pub(super) fn came(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.came.notify_one();
        }
    }
}

/// Counts a listener that waits, until it is dropped.
pub(super) struct Waiting<'a>(&'a Idleness);

impl<'a> Waiting<'a> {
    pub(super) fn begin(idleness: &'a Idleness) -> Self {
        idleness.waiting.fetch_add(1, Ordering::SeqCst);
        Self(idleness)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
