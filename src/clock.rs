//! The wall clock, which decides whether a token has expired.
//!
//! A monotonic clock stops while a laptop sleeps, but tokens still expire. Tests move this clock to
//! show the effect of a sleep, or of a clock that is set back, on a running proxy.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// The system's wall clock, plus an offset that is zero outside tests. Clones share the offset.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_seconds: Arc<AtomicI64>,
}

impl Clock {
    /// Returns the time now.
    pub fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        match self.offset_seconds.load(Ordering::Relaxed) {
            0 => now,
            ahead @ 1.. => now + Duration::from_secs(ahead.unsigned_abs()),
            behind => now - Duration::from_secs(behind.unsigned_abs()),
        }
    }

    /// Moves the clock by a number of seconds, back if negative.
    pub fn shift(&self, seconds: i64) {
        self.offset_seconds.fetch_add(seconds, Ordering::Relaxed);
    }
}
