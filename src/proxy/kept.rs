//! A request's body, kept while it is small: an upstream that refuses the token wants it again.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

/// Larger bodies are not kept.
pub(super) const LIMIT: usize = 64 << 10;

/// Shares the bytes with the body that is being sent.
#[derive(Debug)]
pub(super) struct Kept(Mutex<State>);

#[derive(Debug)]
enum State {
    Growing {
        chunks: Vec<Bytes>,
        length: usize,
    },
    Whole(Vec<Bytes>),
    /// Too large, with trailers, or taken.
    Gone,
}

impl Kept {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::Growing {
            chunks: Vec::new(),
            length: 0,
        }))
    }

    /// Notes the next bytes.
    pub(super) fn push(&self, bytes: &Bytes) {
        let mut state = self.state();
        if let State::Growing { chunks, length } = &mut *state {
            *length += bytes.len();
            if *length > LIMIT {
                *state = State::Gone;
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
        }
    }

    /// Keeps nothing any more.
    pub(super) fn give_up(&self) {
        *self.state() = State::Gone;
    }

    /// The whole body, once.
    pub(super) fn take(&self) -> Option<Vec<Bytes>> {
        match mem::replace(&mut *self.state(), State::Gone) {
            State::Whole(chunks) => Some(chunks),
            State::Growing { .. } | State::Gone => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_out_whole_bodies_only_and_once() {
        let kept = Kept::new();
        kept.push(&Bytes::from_static(b"a"));
        assert_eq!(kept.take(), None);

        let kept = Kept::new();
        kept.push(&Bytes::from_static(b"a"));
        kept.push(&Bytes::from_static(b"b"));
        kept.end();
        let chunks = vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")];
        assert_eq!(kept.take(), Some(chunks));
        assert_eq!(kept.take(), None);
    }

    #[test]
    fn lets_go_of_what_is_too_large() {
        let chunk = Bytes::from(vec![0; LIMIT]);
        let kept = Kept::new();
        kept.push(&chunk);
        kept.push(&Bytes::from_static(b"a"));
        kept.end();
        assert_eq!(kept.take(), None);
    }
}
