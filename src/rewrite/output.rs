//! What becomes of a chunk: itself if nothing in it changes, else one new buffer.
//!
//! One chunk in gives at most one chunk out: many small pieces would each cost a frame of HTTP/2
//! or an element of a vectored write, which is dearer than the copy.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::{
    bases::{Bases, Match, Syntax},
    plan::Kind,
};

/// So much is kept back while it is unknown whether a link in it is to be changed. Servers write
/// what decides it, the resource type and the bundle's type, in the first few hundred bytes.
const MAX_HELD: usize = 64 * 1024;

pub(super) struct Output {
    syntax: Syntax,
    chunk: Bytes,
    /// The chunk is dealt with up to here.
    done: usize,
    /// The start of a URL that goes on in this chunk: at most a base, though each of its
    /// characters may have been written as an escape.
    started: Vec<u8>,
    sink: Sink,
}

#[derive(Default)]
struct Sink {
    changed: BytesMut,
    held: Option<Held>,
}

/// What follows the first link of a document of unknown kind.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

struct Change {
    at: usize,
    found: Match,
    /// Made if the document turns out to be of this kind.
    only_in: Kind,
}

impl Output {
    pub(super) fn new(syntax: Syntax) -> Self {
        Self {
            syntax,
            chunk: Bytes::new(),
            done: 0,
            started: Vec::new(),
            sink: Sink::default(),
        }
    }

    pub(super) fn begin(&mut self, chunk: Bytes) {
        self.chunk = chunk;
        self.done = 0;
    }

    /// Ends the chunk, whose bytes from `unfinished` on are the start of a URL.
    pub(super) fn end(&mut self, unfinished: Option<usize>) -> Bytes {
        let chunk = std::mem::take(&mut self.chunk);
        let done = std::mem::take(&mut self.done);
        let upto = unfinished.unwrap_or(chunk.len());
        self.started.extend_from_slice(&chunk[upto..]);
        if self.sink.is_empty() {
            return chunk.slice(done..upto);
        }
        self.sink.append(&chunk[done..upto]);
        self.sink.changed.split().freeze()
    }

    /// Gives out whatever was kept back.
    pub(super) fn finish(mut self, bases: &Bases) -> Bytes {
        self.sink.release(bases, self.syntax, None);
        self.sink.append(&self.started);
        self.sink.changed.freeze()
    }

    /// The URL begun in an earlier chunk turned out to be none of ours.
    pub(super) fn keep(&mut self) {
        self.sink.append(&self.started);
        self.started.clear();
    }

    /// Changes the base of the URL that starts at `start`; with a condition, not before
    /// [`Output::decide`] says of which kind the document is.
    pub(super) fn change(
        &mut self,
        bases: &Bases,
        start: usize,
        found: Match,
        only_in: Option<Kind>,
    ) {
        // One allocation for the chunk: what is put in may be longer than what it replaces, and most
        // links are far apart.
        if self.sink.is_empty() {
            let len = self.chunk.len();
            self.sink.changed.reserve(len + len / 16 + 64);
        }
        self.take_until(start);
        let (before, after) = self.started.split_at(found.len.min(self.started.len()));
        let here = start..start + (found.len - before.len());
        self.done = here.end;
        if let Some(only_in) = only_in {
            self.sink.hold(found, only_in);
            self.sink.append(before);
            self.sink.append(&self.chunk[here]);
        } else {
            self.sink
                .append(bases.replacement(found, self.syntax).as_bytes());
        }
        self.sink.append(after);
        self.started.clear();
    }

    /// The document's kind is known at `at`: makes the changes that wait for it. `None` undoes them.
    ///
    /// Answers `false` if too much had to wait for it: then nothing was changed, nor should be.
    pub(super) fn decide(&mut self, bases: &Bases, at: usize, kind: Option<Kind>) -> bool {
        if self.sink.held.is_none() {
            return true;
        }
        self.take_until(at);
        // Not changed even if all came in one chunk: how chunks are cut must not matter.
        let in_time = !self.is_full();
        self.sink
            .release(bases, self.syntax, kind.filter(|_| in_time));
        in_time
    }

    /// Whether more was kept back than may be.
    pub(super) fn is_full(&self) -> bool {
        let held = self.sink.held.as_ref();
        held.is_some_and(|held| held.bytes.len() > MAX_HELD)
    }

    fn take_until(&mut self, at: usize) {
        self.sink.append(&self.chunk[self.done..at]);
        self.done = at;
    }
}

/// Without the bytes, which are a patient's.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}

impl Sink {
    fn is_empty(&self) -> bool {
        self.held.is_none() && self.changed.is_empty()
    }

    fn append(&mut self, bytes: &[u8]) {
        match &mut self.held {
            Some(held) => held.bytes.extend_from_slice(bytes),
            None => self.changed.extend_from_slice(bytes),
        }
    }

    fn hold(&mut self, found: Match, only_in: Kind) {
        let held = self.held.get_or_insert_default();
        held.changes.push(Change {
            at: held.bytes.len(),
            found,
            only_in,
        });
    }

    fn release(&mut self, bases: &Bases, syntax: Syntax, kind: Option<Kind>) {
        let Some(held) = self.held.take() else {
            return;
        };
        let mut done = 0;
        for change in held.changes {
            if kind == Some(change.only_in) {
                self.append(&held.bytes[done..change.at]);
                self.append(bases.replacement(change.found, syntax).as_bytes());
                done = change.at + change.found.len;
            }
        }
        self.append(&held.bytes[done..]);
    }
}
