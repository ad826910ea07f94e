//! Holds bytes back, from the first link whose change is undecided, until the kind of its document
//! is known.

use bytes::BytesMut;

use super::{
    bases::{Bases, Match, Syntax},
    document::{Condition, Verdict},
};

/// The limit on bytes held back. The resource type and the Bundle's type decide about a link.
/// Servers write both in the first few hundred bytes. Only servers that sort members by name put a
/// Bundle's entries before its type.
pub(super) const MAX_HELD: usize = 4 * 1024 * 1024;

pub(super) struct Sink {
    /// Bytes whose changes are decided.
    ready: BytesMut,
    /// The bytes from the first waiting change on; empty when none waits.
    held: Vec<u8>,
    waiting: Vec<Change>,
    limit: usize,
    /// The limit was exceeded. No bytes are held back until the kinds of all open documents are
    /// known.
    gave_up: bool,
}

struct Change {
    /// Position in the bytes held back.
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

    /// Number of changes that wait.
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

    /// Makes a change to the next appended bytes wait.
    pub(super) fn hold(&mut self, found: Match, condition: Condition) {
        if !self.gave_up {
            self.waiting.push(Change {
                at: self.held.len(),
                found,
                condition,
            });
        }
    }

    /// Drops the changes that the verdict forbids, and makes the others once no verdict is left to
    /// wait for.
    pub(super) fn settle(&mut self, verdict: &Verdict, bases: &Bases, syntax: Syntax) {
        self.check_limit();
        // Only changes that wait for this document are visited. A change is visited once for each
        // document of unknown kind around it, and their depth is limited. If all changes were given
        // up, none is left.
        let mut kept = verdict.since;
        for index in verdict.since..self.waiting.len() {
            if verdict.allows(self.waiting[index].condition) {
                self.waiting.swap(kept, index);
                self.waiting[kept].condition = Condition::HoldsResponses;
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

    /// Gives up if too many bytes are held back. It runs at the end of each chunk, to bound memory,
    /// and before each verdict, so that the result does not depend on how chunks are cut.
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

    /// Ends a chunk and returns the bytes whose changes are decided.
    pub(super) fn take(&mut self) -> BytesMut {
        self.check_limit();
        self.ready.split()
    }

    /// Ends the document and returns all bytes.
    pub(super) fn finish(mut self) -> BytesMut {
        self.give_up();
        self.ready
    }
}
