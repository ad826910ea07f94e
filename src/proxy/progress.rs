//! What has moved so far in one progress, and which deadline that leaves. There is no total
//! timeout: an upload of hours is fine while bytes move.

use std::{
    future::poll_fn,
    pin::pin,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    task::{Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    task::coop::unconstrained,
    time::{Instant, sleep_until},
};

use super::{minimum_rate::MinimumRate, replay::ReplayBuffer, timers::Timers};

/// For this long after the last byte sent, a 408 may still be about the idle connection. It is longer than
/// any round trip, and shorter than any time that a server waits for the rest of a request.
const CROSSING: Duration = Duration::from_secs(1);

/// The limits of `[network]`.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From the request's end to the response's head.
    pub response: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
}

/// Shared by both bodies of an progress and by whoever waits for the response's head.
#[derive(Debug)]
pub(super) struct Progress {
    start: Instant,
    timeouts: Timeouts,
    uploaded: AtomicU64,
    /// Milliseconds since `start`.
    last_moved: AtomicU64,
    is_sent: AtomicBool,
    /// Of the client as it sends its body.
    minimum_rate: MinimumRate,
    is_too_large: AtomicBool,
    is_broken_off: AtomicBool,
    is_damaged: AtomicBool,
    replay: ReplayBuffer,
}

/// Whom an progress that stands still is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// The client sends no more of its body, or too little.
    Client,
    /// The upstream takes no more of the request.
    Upstream,
    /// The upstream has the whole request and does not answer.
    Response,
}

impl Progress {
    pub(super) fn new(timeouts: Timeouts) -> Self {
        Self {
            start: Instant::now(),
            timeouts,
            uploaded: AtomicU64::new(0),
            last_moved: AtomicU64::new(0),
            is_sent: AtomicBool::new(false),
            minimum_rate: MinimumRate::new(timeouts.idle),
            is_too_large: AtomicBool::new(false),
            is_broken_off: AtomicBool::new(false),
            is_damaged: AtomicBool::new(false),
            replay: ReplayBuffer::new(),
        }
    }

    /// Notes that bytes moved, in whichever direction; returns the time since the start.
    pub(super) fn moved(&self) -> Duration {
        let elapsed = self.start.elapsed();
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.last_moved.store(milliseconds, Ordering::Relaxed);
        elapsed
    }

    /// Notes bytes that the client has sent, or its trailers; returns how many there are by now.
    pub(super) fn uploaded(&self, data: Option<&Bytes>) -> u64 {
        self.moved();
        let bytes = data.map_or(0, Bytes::len) as u64;
        self.minimum_rate.sent(bytes);
        self.uploaded.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Keeps what goes to the upstream, in case it wants it again; with trailers nothing is replay.
    pub(super) fn buffer(&self, data: Option<&Bytes>) {
        match data {
            Some(data) => self.replay.push(data),
            None => self.replay.give_up(),
        }
    }

    /// Whether a message that crossed the end of the request may still be coming in.
    pub(super) fn is_just_sent(&self) -> bool {
        self.last_moved_at().elapsed() < CROSSING
    }

    pub(super) fn bytes_uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::Relaxed)
    }

    pub(super) fn set_waiting_for_client(&self) {
        self.minimum_rate.wait();
    }

    /// Notes that the request is with the upstream as a whole.
    pub(super) fn set_sent(&self) {
        self.replay.end();
        self.minimum_rate.stop_waiting();
        self.is_sent.store(true, Ordering::Relaxed);
    }

    /// The request's body, if it is small and has come as a whole by now.
    pub(super) fn replayable_body(&self) -> Option<Vec<Bytes>> {
        self.replay.whole()
    }

    /// The request's body, if it is small, once it has come as a whole.
    pub(super) async fn whole_body(&self) -> Option<Vec<Bytes>> {
        loop {
            tokio::select! {
                biased;
                kept = self.replay.wait() => return kept,
                () = sleep_until(self.idle_deadline()) => {
                    if self.idle_deadline() <= Instant::now() {
                        return None;
                    }
                }
            }
        }
    }

    /// Notes that nobody reads the request's body any more.
    pub(super) fn set_dropped(&self) {
        self.replay.stop();
    }

    /// The start of the request's body, of which nobody reads the rest, if it can be read on.
    pub(super) fn resume(&self) -> Option<Vec<Bytes>> {
        self.replay.resume()
    }

    pub(super) fn set_too_large(&self) {
        self.is_too_large.store(true, Ordering::Relaxed);
    }

    /// Notes that the client's body was malformed or ended early.
    pub(super) fn set_broken_off(&self) {
        self.is_broken_off.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_broken_off(&self) -> bool {
        self.is_broken_off.load(Ordering::Relaxed)
    }

    /// Notes that the client's body is not compressed in the way that its head says.
    pub(super) fn set_damaged(&self) {
        self.is_damaged.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.is_too_large.load(Ordering::Relaxed)
    }

    /// When the progress will have stood still for too long, or its client will have been too slow,
    /// if nothing moves until then.
    pub(super) fn idle_deadline(&self) -> Instant {
        let idle = self.last_moved_at() + self.timeouts.idle;
        self.minimum_rate
            .deadline()
            .map_or(idle, |slow| idle.min(slow))
    }

    /// Waits for what has to come before a response's head, for as long as something moves.
    pub(super) async fn while_moving<T>(
        &self,
        timers: &Timers,
        future: impl Future<Output = T>,
    ) -> Result<T, Late> {
        let mut future = pin!(future);
        let mut due = self.head_deadline().0;
        let mut timer = timers.at(due);
        poll_fn(|cx| {
            if let Poll::Ready(result) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(result));
            }
            loop {
                let (deadline, late) = self.head_deadline();
                // From the request's end on, another limit holds.
                if deadline < due {
                    due = deadline;
                    timer.reset(due);
                }
                // It has its say even where the other is always ready for more.
                ready!(pin!(unconstrained(&mut timer)).poll(cx));
                if deadline <= Instant::now() {
                    return Poll::Ready(Err(late));
                }
                due = deadline;
                timer.reset(due);
            }
        })
        .await
    }

    /// When the wait for a response's head ends, as things stand, and who will have been late.
    fn head_deadline(&self) -> (Instant, Late) {
        if self.is_sent.load(Ordering::Relaxed) {
            (
                self.last_moved_at() + self.timeouts.response,
                Late::Response,
            )
        } else if self.minimum_rate.deadline().is_some() {
            (self.idle_deadline(), Late::Client)
        } else {
            (self.idle_deadline(), Late::Upstream)
        }
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    fn last_moved_at(&self) -> Instant {
        self.start + Duration::from_millis(self.last_moved.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        task::coop::consume_budget,
        time::{advance, timeout},
    };

    use super::*;

    #[tokio::test]
    async fn the_limit_for_an_answer_holds_from_the_end_of_the_request() {
        let progress = Progress::new(Timeouts {
            response: Duration::from_millis(10),
            idle: Duration::from_secs(60),
        });
        let timers = Timers::default();
        let sending = async {
            tokio::task::yield_now().await;
            progress.set_sent();
            std::future::pending::<()>().await;
        };
        let waiting = progress.while_moving(&timers, sending);
        let late = timeout(Duration::from_secs(10), waiting).await;
        assert_eq!(late, Ok(Err(Late::Response)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_long_after_a_request_did_not_cross_it() {
        let hour = Duration::from_secs(3600);
        let progress = Progress::new(Timeouts {
            response: hour,
            idle: hour,
        });
        advance(CROSSING).await;
        assert!(!progress.is_just_sent());
        progress.moved();
        assert!(progress.is_just_sent());
    }

    #[tokio::test]
    async fn whoever_is_always_busy_is_late_all_the_same() {
        let progress = Progress::new(Timeouts {
            response: Duration::from_millis(10),
            idle: Duration::from_secs(60),
        });
        progress.set_sent();
        let busy = async {
            loop {
                consume_budget().await;
            }
        };
        let timers = Timers::default();
        let waiting = progress.while_moving::<()>(&timers, busy);
        let late = timeout(Duration::from_secs(10), waiting).await;
        assert_eq!(late, Ok(Err(Late::Response)));
    }
}
