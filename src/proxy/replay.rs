//! The replay buffer: a small request body, kept in case the request is sent again, with another
//! token or to an upstream that did not process it.

use std::mem;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The size of the buffer. A larger body cannot be sent again.
pub(super) const LIMIT: usize = 64 << 10;

/// The buffer of one request. Its bytes are shared with the body that is being sent.
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
    /// No connection reads the body now. Another connection may do so later.
    Stopped {
        chunks: Vec<Bytes>,
        length: usize,
    },
    /// The body is too large, or has trailers.
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

    /// Adds the next bytes.
    pub(super) fn push(&self, bytes: &Bytes) {
        let mut state = self.state.lock();
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
        let mut state = self.state.lock();
        if let State::Growing { chunks, .. } = &mut *state {
            *state = State::Whole(mem::take(chunks));
            self.settled.notify_one();
        }
    }

    /// Drops a body with trailers, which are not buffered.
    pub(super) fn give_up(&self) {
        let mut state = self.state.lock();
        if matches!(*state, State::Growing { .. }) {
            *state = State::Gone;
            self.settled.notify_one();
        }
    }

    /// Notes that the body is dropped before its end.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        if let State::Growing { chunks, length } = &mut *state {
            *state = State::Stopped {
                chunks: mem::take(chunks),
                length: *length,
            };
            self.settled.notify_one();
        }
    }

    /// Returns the start of a body that was dropped, and buffers its rest from now on.
    pub(super) fn resume(&self) -> Option<Vec<Bytes>> {
        let mut state = self.state.lock();
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

    /// The whole body, if all of it has come.
    pub(super) fn whole(&self) -> Option<Vec<Bytes>> {
        match &*self.state.lock() {
            State::Whole(chunks) => Some(chunks.clone()),
            State::Growing { .. } | State::Stopped { .. } | State::Gone => None,
        }
    }

    /// The whole body. Waits until all of it has come, since an upstream may respond before it has read
    /// the request.
    pub(super) async fn wait(&self) -> Option<Vec<Bytes>> {
        while matches!(*self.state.lock(), State::Growing { .. }) {
            self.settled.notified().await;
        }
        self.whole()
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
    async fn does_not_wait_for_a_body_that_was_dropped() {
        let replay = ReplayBuffer::new();
        replay.push(&Bytes::from_static(b"a"));
        let (taken, ()) = tokio::join!(replay.wait(), async { replay.stop() });
        assert_eq!(taken, None);
    }

    #[tokio::test]
    async fn is_whole_after_all_where_another_connection_reads_on() {
        let replay = ReplayBuffer::new();
        let chunks = [b"a", b"b"].map(|chunk| Bytes::from_static(chunk)).to_vec();
        replay.push(&chunks[0]);
        replay.stop();
        assert_eq!(replay.resume(), Some(vec![chunks[0].clone()]));
        assert_eq!(replay.resume(), None, "another connection does already");
        replay.push(&chunks[1]);
        replay.end();
        assert_eq!(replay.wait().await, Some(chunks));
    }

    #[tokio::test]
    async fn drops_a_body_that_is_too_large() {
        let chunk = Bytes::from(vec![0; LIMIT]);
        let replay = ReplayBuffer::new();
        replay.push(&chunk);
        replay.push(&Bytes::from_static(b"a"));
        replay.end();
        assert_eq!(replay.wait().await, None);
    }
}
