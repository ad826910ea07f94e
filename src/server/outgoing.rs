//! Lets a client have what there is of a response that breaks off.
//!
//! When a body fails, hyper throws away what it has not written yet, even the response's head. So a
//! failure is kept back until the connection has written all that came before it.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use http::Version;

/// The bytes that one connection has written, for the sake of broken responses.
#[derive(Debug, Clone, Default)]
pub(super) struct Outgoing(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether the last write is still to be taken by the system.
    is_blocked: AtomicBool,
    /// A client of HTTP/1.0 takes the end of the connection for the end of the response.
    ends_with_connection: AtomicBool,
    has_broken_off: AtomicBool,
    /// How many polls of the connection have begun. Only its own task counts.
    begun: AtomicU64,
    rounds: Mutex<Rounds>,
}

/// Whatever is handed to a connection is written the next time that it is polled, or, if the client
/// is slow, before the first poll thereafter that leaves nothing to write.
#[derive(Debug, Default)]
struct Rounds {
    /// The last poll that left nothing to write.
    written: u64,
    connection: Option<Waker>,
    waiting: Vec<Waker>,
}

/// When a failure came up, counted in polls of its connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

impl Outgoing {
    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        let rounds = self.0.rounds.lock();
        rounds.unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives a connection to its end.
    pub(super) async fn drive<C: Future + Unpin>(&self, connection: &mut C) -> C::Output {
        let mut known: Option<Waker> = None;
        std::future::poll_fn(|cx| {
            if !known
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                known = Some(cx.waker().clone());
                self.rounds().connection.clone_from(&known);
            }
            let round = self.0.begun.load(Ordering::Relaxed) + 1;
            self.0.begun.store(round, Ordering::Relaxed);
            let polled = Pin::new(&mut *connection).poll(cx);
            // A break that comes up just now has the connection polled once more.
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
        let mut rounds = self.rounds();
        rounds.written = round;
        let waiting = std::mem::take(&mut rounds.waiting);
        drop(rounds);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Notes how a write or a flush went.
    pub(super) fn wrote<T>(&self, result: &Poll<T>) {
        let is_blocked = result.is_pending();
        self.0.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// Notes that a response has broken off, and asks for what came before it to be written.
    pub(super) fn break_off(&self) -> Moment {
        self.0.has_broken_off.store(true, Ordering::Release);
        // The bytes went to the connection through a lock of hyper's, or in the task that counts, so this number is
        // not older than they are.
        let moment = Moment(self.0.begun.load(Ordering::Relaxed));
        let connection = self.rounds().connection.clone();
        if let Some(connection) = connection {
            connection.wake();
        }
        moment
    }

    /// Ready once all is written that was there at a moment.
    pub(super) fn poll_written(&self, cx: &Context<'_>, moment: Moment) -> Poll<()> {
        let mut rounds = self.rounds();
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
    pub(super) fn asked_in(&self, version: Version) {
        let is_old = version < Version::HTTP_11;
        self.0.ends_with_connection.store(is_old, Ordering::Relaxed);
    }

    /// Whether a client would take a connection that is closed for the end of its response.
    pub(super) fn ends_with_connection(&self) -> bool {
        self.0.ends_with_connection.load(Ordering::Relaxed)
    }

    pub(super) fn has_broken_off(&self) -> bool {
        self.0.has_broken_off.load(Ordering::Acquire)
    }
}
