//! Sends the client the part of a response that came before the response broke off.
//!
//! When a body fails, hyper discards the bytes that it has not written yet, even the response's
//! head. So the failure is held back until the connection has written all bytes before it.
//!
//! Without it, a client may get no response if the upstream breaks off midway, and
//! `what_there_is_comes_and_then_the_connection_ends` in `tests/it/broken_answers.rs` fails. Delete
//! it once hyper writes its buffer before it ends a connection whose body failed.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use http::Version;
use parking_lot::Mutex;

/// The write progress of one connection, which decides when a broken response may fail.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteProgress(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether the system has not taken the last write yet.
    is_blocked: AtomicBool,
    /// Whether the end of the connection marks the end of the response, as in HTTP/1.0.
    ends_with_connection: AtomicBool,
    has_broken_off: AtomicBool,
    /// Number of polls of the connection that have begun. Only its own task counts.
    begun: AtomicU64,
    rounds: Mutex<Rounds>,
}

/// The polls of a connection, counted as rounds of writing. Bytes handed to a connection are
/// written at its next poll. If the client is slow, the bytes are written by the end of the first
/// later poll that leaves nothing to write.
#[derive(Debug, Default)]
struct Rounds {
    /// The last poll that left nothing to write.
    written: u64,
    connection: Option<Waker>,
    waiting: Vec<Waker>,
}

/// The time of a failure, counted in polls of its connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

impl WriteProgress {
    /// Drives a connection to its end.
    pub(super) async fn drive<C: Future + Unpin>(&self, connection: &mut C) -> C::Output {
        let mut known: Option<Waker> = None;
        std::future::poll_fn(|cx| {
            if !known
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                known = Some(cx.waker().clone());
                self.0.rounds.lock().connection.clone_from(&known);
            }
            let round = self.0.begun.load(Ordering::Relaxed) + 1;
            self.0.begun.store(round, Ordering::Relaxed);
            let polled = Pin::new(&mut *connection).poll(cx);
            // If a failure occurs during this poll, the connection is polled once more.
            if polled.is_pending()
                && self.has_broken_off()
                && !self.0.is_blocked.load(Ordering::Relaxed)
            {
                self.end_round(round);
            }
            polled
        })
        .await
    }

    fn end_round(&self, round: u64) {
        let mut rounds = self.0.rounds.lock();
        rounds.written = round;
        let waiting = std::mem::take(&mut rounds.waiting);
        drop(rounds);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Notes the result of a write or a flush.
    pub(super) fn wrote<T>(&self, result: &Poll<T>) {
        let is_blocked = result.is_pending();
        self.0.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// Notes that a response has broken off, and wakes the connection to write the bytes before the
    /// failure.
    pub(super) fn break_off(&self) -> Moment {
        self.0.has_broken_off.store(true, Ordering::Release);
        // The bytes reached the connection through a lock of hyper's or through the task that
        // counts, so this count is not older than the bytes.
        let moment = Moment(self.0.begun.load(Ordering::Relaxed));
        let connection = self.0.rounds.lock().connection.clone();
        if let Some(connection) = connection {
            connection.wake();
        }
        moment
    }

    /// Completes once all bytes of a moment are written.
    pub(super) fn poll_written(&self, cx: &Context<'_>, moment: Moment) -> Poll<()> {
        let mut rounds = self.0.rounds.lock();
        if rounds.written > moment.0 {
            return Poll::Ready(());
        }
        if !rounds
            .waiting
            .iter()
            .any(|waker| waker.will_wake(cx.waker()))
        {
            rounds.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Notes the version of a request.
    pub(super) fn set_version(&self, version: Version) {
        let is_old = version < Version::HTTP_11;
        self.0.ends_with_connection.store(is_old, Ordering::Relaxed);
    }

    /// Whether a client would take the end of the connection for the end of the response.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.0.ends_with_connection.load(Ordering::Relaxed)
    }

    pub(super) fn has_broken_off(&self) -> bool {
        self.0.has_broken_off.load(Ordering::Acquire)
    }
}
