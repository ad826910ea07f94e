//! The progress of one exchange: the bytes that have moved so far, and the deadline for the next
//! bytes. There is no total timeout: an upload may take hours while bytes move.

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

/// The time after the last byte of a request in which a 408 may still be about the idle connection.
/// It is longer than any round trip, and shorter than the time that any server waits for the rest
/// of a request.
const CROSSING: Duration = Duration::from_secs(1);

/// The timeouts of `[network]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// The time from the request's end to the response's head.
    pub(super) response: Duration,
    /// The time without a byte in either direction.
    pub(super) idle: Duration,
}

/// The state that both bodies of an exchange share with the wait for the response's head, and the
/// replay buffer of the request's body.
#[derive(Debug)]
pub(super) struct Progress {
    start: Instant,
    timeouts: Timeouts,
    uploaded: AtomicU64,
    /// Milliseconds since `start`.
    last_moved: AtomicU64,
    is_sent: AtomicBool,
    minimum_rate: MinimumRate,
    replay: ReplayBuffer,
}

/// The party that an exchange waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Late {
    /// The client sends no more of its body, or too little.
    Client,
    /// The upstream takes no more of the request.
    Upstream(Duration),
    /// The upstream has the whole request and sends no response.
    Response(Duration),
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
            replay: ReplayBuffer::new(),
        }
    }

    /// Notes that bytes moved, in either direction. Returns the time since the start.
    pub(super) fn moved(&self) -> Duration {
        let elapsed = self.start.elapsed();
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.last_moved.store(milliseconds, Ordering::Relaxed);
        elapsed
    }

    /// Notes bytes that the client has sent, or its trailers. Returns the number of bytes so far.
    pub(super) fn uploaded(&self, data: Option<&Bytes>) -> u64 {
        self.moved();
        let bytes = data.map_or(0, Bytes::len) as u64;
        self.minimum_rate.sent(bytes);
        self.uploaded.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    /// Adds a part of the body to the replay buffer, in case it must be sent again. The buffer
    /// takes no trailers, so a body with trailers is dropped from it.
    pub(super) fn buffer(&self, data: Option<&Bytes>) {
        match data {
            Some(data) => self.replay.push(data),
            None => self.replay.give_up(),
        }
    }

    /// Whether a response that crossed the end of the request on the way may still arrive.
    pub(super) fn is_just_sent(&self) -> bool {
        self.last_moved_at().elapsed() < CROSSING
    }

    pub(super) fn bytes_uploaded(&self) -> u64 {
        self.uploaded.load(Ordering::Relaxed)
    }

    pub(super) fn set_waiting_for_client(&self) {
        self.minimum_rate.wait();
    }

    /// Notes that the whole request has been sent.
    pub(super) fn set_sent(&self) {
        self.replay.end();
        self.minimum_rate.stop_waiting();
        self.is_sent.store(true, Ordering::Relaxed);
    }

    /// The request's body, if all of it has come and is buffered.
    pub(super) fn buffered_body(&self) -> Option<Vec<Bytes>> {
        self.replay.whole()
    }

    /// Waits for all of the request's body. `None` if it is too large for the buffer or stops coming.
    pub(super) async fn wait_for_body(&self) -> Option<Vec<Bytes>> {
        loop {
            tokio::select! {
                biased;
                body = self.replay.wait() => return body,
                () = sleep_until(self.idle_deadline()) => {
                    if self.idle_deadline() <= Instant::now() {
                        return None;
                    }
                }
            }
        }
    }

    /// Notes that the request's body is no longer read.
    pub(super) fn set_dropped(&self) {
        self.replay.stop();
    }

    /// The buffered start of a body whose rest has not been read. `None` if it is not buffered.
    pub(super) fn resume(&self) -> Option<Vec<Bytes>> {
        self.replay.resume()
    }

    /// The deadline for the next bytes: the end of the idle timeout, or the time at which the
    /// client is below the minimum rate.
    pub(super) fn idle_deadline(&self) -> Instant {
        let idle = self.last_moved_at() + self.timeouts.idle;
        self.minimum_rate
            .deadline()
            .map_or(idle, |slow| idle.min(slow))
    }

    /// Waits for `future`, which ends with the response's head or before, for as long as bytes
    /// move.
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
                // The request's end has moved the deadline.
                if deadline < due {
                    due = deadline;
                    timer.reset(due);
                }
                // Polled without a coop budget, since a future that is always ready would exhaust
                // the budget before the timer is polled.
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

    /// The current deadline for the response's head, and the party that is late at that time.
    fn head_deadline(&self) -> (Instant, Late) {
        if self.is_sent.load(Ordering::Relaxed) {
            let timeout = self.timeouts.response;
            (self.last_moved_at() + timeout, Late::Response(timeout))
        } else if self.minimum_rate.deadline().is_some() {
            (self.idle_deadline(), Late::Client)
        } else {
            (self.idle_deadline(), Late::Upstream(self.timeouts.idle))
        }
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

    const RESPONSE: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn the_response_timeout_holds_from_the_end_of_the_request() {
        let progress = Progress::new(Timeouts {
            response: RESPONSE,
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
        assert_eq!(late, Ok(Err(Late::Response(RESPONSE))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_long_after_a_request_did_not_cross_it() {
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
    async fn a_future_that_is_always_busy_is_late_all_the_same() {
        let progress = Progress::new(Timeouts {
            response: RESPONSE,
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
        assert_eq!(late, Ok(Err(Late::Response(RESPONSE))));
    }
}
