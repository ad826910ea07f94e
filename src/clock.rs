//! The wall clock that token expiry is judged by.
//!
//! Monotonic clocks stop while a laptop sleeps; a token does not. Tests move this clock to
//! show what a sleep, or a clock set back, does to a running proxy.

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
    /// The time now.
    pub fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        match self.offset_seconds.load(Ordering::Relaxed) {
            0 => now,
            ahead @ 1.. => now + Duration::from_secs(ahead.unsigned_abs()),
            behind => now - Duration::from_secs(behind.unsigned_abs()),
        }
    }

    /// Moves the clock by so many seconds, back if negative.
    pub fn shift(&self, seconds: i64) {
        self.offset_seconds.fetch_add(seconds, Ordering::Relaxed);
    }
}
