//! Keeps bytes back, from the first link on of which it is unknown whether it is to be changed.

use bytes::BytesMut;

use super::{
    bases::{Bases, Match, Syntax},
    document::{Condition, Verdict},
};

/// So much is kept back. Servers write what decides about a link, the resource type and the
/// Bundle's type, in the first few hundred bytes; only what sorts members by name puts a Bundle's
/// entries before its type.
pub(super) const MAX_HELD: usize = 4 * 1024 * 1024;

pub(super) struct Sink {
    /// Ready to go out.
    ready: BytesMut,
    /// The bytes from the first undecided change on. Empty if there is none.
    held: Vec<u8>,
    waiting: Vec<Change>,
    limit: usize,
    /// Too much would have been kept back: nothing is, until all open documents are known.
    gave_up: bool,
}

struct Change {
    /// Where in the bytes kept back.
    at: usize,
    found: Match,
    condition: Condition,
}

impl Default for Sink {
    fn default() -> Self {
        Self {
            ready: BytesMut::new(),
            held: Vec::new(),
            waiting: Vec::new(),
            limit: MAX_HELD,
            gave_up: false,
        }
    }
}

impl Sink {
    #[cfg(test)]
    pub(super) fn hold_at_most(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_holding() && self.ready.is_empty()
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many changes wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn reserve(&mut self, additional: usize) {
        self.ready.reserve(additional);
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        if self.is_holding() {
            self.held.extend_from_slice(bytes);
        } else {
            self.ready.extend_from_slice(bytes);
        }
    }

    /// Lets a change of the bytes that are appended next wait.
    pub(super) fn hold(&mut self, found: Match, condition: Condition) {
        if !self.gave_up {
            self.waiting.push(Change {
                at: self.held.len(),
                found,
                condition,
            });
        }
    }

    /// Undoes the changes that the verdict is against, and makes the others once nothing is left
    /// to wait for.
    pub(super) fn settle(&mut self, verdict: &Verdict, bases: &Bases, syntax: Syntax) {
        self.check_limit();
        // Only what waits for this document is visited: each change as often as it lies within
        // documents of unknown kind, which are limited in depth. It is none if all was given up.
        let mut kept = verdict.since;
        for index in verdict.since..self.waiting.len() {
            if verdict.allows(self.waiting[index].condition) {
                self.waiting.swap(kept, index);
                self.waiting[kept].condition = Condition::HoldsAnswers;
                kept += 1;
            }
        }
        self.waiting.truncate(kept);
        if verdict.is_last {
            self.gave_up = false;
        }
        if verdict.is_last || !self.is_holding() {
            self.release(bases, syntax);
        }
    }

    /// Gives up if too much is kept back: at the end of each chunk, which bounds memory, and before
    /// each verdict, so that it does not matter how chunks are cut.
    fn check_limit(&mut self) {
        if self.held.len() > self.limit {
            self.gave_up = true;
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.ready.extend_from_slice(&self.held);
        self.held = Vec::new();
        self.waiting = Vec::new();
    }

    fn release(&mut self, bases: &Bases, syntax: Syntax) {
        let held = std::mem::take(&mut self.held);
        let mut done = 0;
        for change in std::mem::take(&mut self.waiting) {
            self.ready.extend_from_slice(&held[done..change.at]);
            let replacement = bases.replacement(change.found, syntax);
            self.ready.extend_from_slice(replacement.as_bytes());
            done = change.at + change.found.len;
        }
        self.ready.extend_from_slice(&held[done..]);
    }

    /// The output that is ready at the end of a chunk.
    pub(super) fn take(&mut self) -> BytesMut {
        self.check_limit();
        self.ready.split()
    }

    /// Everything, at the end of the document.
    pub(super) fn finish(mut self) -> BytesMut {
        self.give_up();
        self.ready
    }
}
