//! A request's body, kept while it is small, to be sent again: with another token, or to an upstream
//! that did not process it.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

/// Larger bodies are not replay.
pub(super) const LIMIT: usize = 64 << 10;

/// Shares the bytes with the body that is being sent.
#[derive(Debug)]
pub(super) struct ReplayBuffer {
    state: Mutex<State>,
    settled: Notify,
}

#[derive(Debug)]
enum State {
    Growing {
        chunks: Vec<Bytes>,
        length: usize,
    },
    Whole(Vec<Bytes>),
    /// Nobody reads on, but somebody may.
    Stopped {
        chunks: Vec<Bytes>,
        length: usize,
    },
    /// Too large, or with trailers.
    Gone,
}

impl ReplayBuffer {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State::Growing {
                chunks: Vec::new(),
                length: 0,
            }),
            settled: Notify::new(),
        }
    }

    /// Notes the next bytes.
    pub(super) fn push(&self, bytes: &Bytes) {
        let mut state = self.state();
        if let State::Growing { chunks, length } = &mut *state {
            *length += bytes.len();
            if *length > LIMIT {
                *state = State::Gone;
                self.settled.notify_one();
            } else {
                chunks.push(bytes.clone());
            }
        }
    }

    /// Notes the body's end.
    pub(super) fn end(&self) {
        let mut state = self.state();
        if let State::Growing { chunks, .. } = &mut *state {
            *state = State::Whole(mem::take(chunks));
            self.settled.notify_one();
        }
    }

    /// Drops what is kept of a body with trailers, which are not replay.
    pub(super) fn give_up(&self) {
        let mut state = self.state();
        if matches!(*state, State::Growing { .. }) {
            *state = State::Gone;
            self.settled.notify_one();
        }
    }

    /// Notes that nobody reads the body to its end.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        if let State::Growing { chunks, length } = &mut *state {
            *state = State::Stopped {
                chunks: mem::take(chunks),
                length: *length,
            };
            self.settled.notify_one();
        }
    }

    /// Returns the start of a body that is not read any more, and keeps its rest from now on.
    pub(super) fn resume(&self) -> Option<Vec<Bytes>> {
        let mut state = self.state();
        let State::Stopped { chunks, length } = &mut *state else {
            return None;
        };
        let start = chunks.clone();
        *state = State::Growing {
            chunks: mem::take(chunks),
            length: *length,
        };
        Some(start)
    }

    /// The whole body, if it has come.
    pub(super) fn whole(&self) -> Option<Vec<Bytes>> {
        match &*self.state() {
            State::Whole(chunks) => Some(chunks.clone()),
            State::Growing { .. } | State::Stopped { .. } | State::Gone => None,
        }
    }

    /// The whole body. Waits until it is known whether there is one: an upstream may answer before it
    /// has read what it was sent.
    pub(super) async fn wait(&self) -> Option<Vec<Bytes>> {
        while matches!(*self.state(), State::Growing { .. }) {
            self.settled.notified().await;
        }
        self.whole()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_until_a_body_is_whole() {
        let replay = ReplayBuffer::new();
        replay.push(&Bytes::from_static(b"a"));
        let rest = async {
            replay.push(&Bytes::from_static(b"b"));
            replay.end();
        };
        let (taken, ()) = tokio::join!(replay.wait(), rest);
        let chunks = vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")];
        assert_eq!(taken, Some(chunks));
    }

    #[tokio::test]
    async fn does_not_wait_for_what_will_not_come() {
        let replay = ReplayBuffer::new();
        replay.push(&Bytes::from_static(b"a"));
        let (taken, ()) = tokio::join!(replay.wait(), async { replay.stop() });
        assert_eq!(taken, None);
    }

    #[tokio::test]
    async fn is_whole_after_all_where_somebody_reads_on() {
        let replay = ReplayBuffer::new();
        let chunks = [b"a", b"b"].map(|chunk| Bytes::from_static(chunk)).to_vec();
        replay.push(&chunks[0]);
        replay.stop();
        assert_eq!(replay.resume(), Some(vec![chunks[0].clone()]));
        assert_eq!(replay.resume(), None, "somebody does already");
        replay.push(&chunks[1]);
        replay.end();
        assert_eq!(replay.wait().await, Some(chunks));
    }

    #[tokio::test]
    async fn lets_go_of_what_is_too_large() {
        let chunk = Bytes::from(vec![0; LIMIT]);
        let replay = ReplayBuffer::new();
        replay.push(&chunk);
        replay.push(&Bytes::from_static(b"a"));
        replay.end();
        assert_eq!(replay.wait().await, None);
    }
}
