//! The output for each chunk: the chunk itself if nothing in it changes, otherwise one new buffer.
//!
//! One input chunk gives at most one output chunk. Many small pieces would each need an HTTP/2
//! frame or an element of a vectored write, which costs more than the copy.

use std::fmt;

use bytes::Bytes;

use super::{
    bases::{Bases, Match, Syntax},
    document::{Condition, Verdict},
    sink::Sink,
};

pub(super) struct Output {
    syntax: Syntax,
    chunk: Bytes,
    /// Position up to which the chunk was handled.
    done: usize,
    /// The start of a URL that continues in this chunk. It is at most as long as a base, with each
    /// character written as an escape.
    started: Vec<u8>,
    sink: Sink,
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

    #[cfg(test)]
    pub(super) fn hold_at_most(&mut self, limit: usize) {
        self.sink.hold_at_most(limit);
    }

    pub(super) fn begin(&mut self, chunk: Bytes) {
        self.chunk = chunk;
        self.done = 0;
    }

    /// Ends the chunk. Its bytes from `unfinished` on are the start of a URL.
    pub(super) fn end(&mut self, unfinished: Option<usize>) -> Bytes {
        let chunk = std::mem::take(&mut self.chunk);
        let done = std::mem::take(&mut self.done);
        let upto = unfinished.unwrap_or(chunk.len());
        self.started.extend_from_slice(&chunk[upto..]);
        if self.sink.is_empty() {
            return chunk.slice(done..upto);
        }
        self.sink.append(&chunk[done..upto]);
        self.sink.take().freeze()
    }

    /// Ends the document and returns the bytes that were held back.
    pub(super) fn finish(mut self) -> Bytes {
        self.sink.append(&self.started);
        self.sink.finish().freeze()
    }

    /// Keeps the URL that began in an earlier chunk, since it does not lie below a base.
    pub(super) fn keep(&mut self) {
        self.sink.append(&self.started);
        self.started.clear();
    }

    /// Number of changes that wait.
    pub(super) fn waiting(&self) -> usize {
        self.sink.waiting()
    }

    /// Changes the base of the URL that starts at `start`. With a condition, the change waits until
    /// [`Output::settle`] says that it is met.
    pub(super) fn change(
        &mut self,
        bases: &Bases,
        start: usize,
        found: Match,
        only_if: Option<Condition>,
    ) {
        // One allocation suffices for most chunks. A replacement may be longer than the original,
        // but most links are far apart.
        if self.sink.is_empty() {
            let len = self.chunk.len();
            self.sink.reserve(len + len / 16 + 64);
        }
        self.take_until(start);
        let (before, after) = self.started.split_at(found.len.min(self.started.len()));
        let here = start..start + (found.len - before.len());
        self.done = here.end;
        if let Some(condition) = only_if {
            self.sink.hold(found, condition);
            self.sink.append(before);
            self.sink.append(&self.chunk[here]);
        } else {
            self.sink
                .append(bases.replacement(found, self.syntax).as_bytes());
        }
        self.sink.append(after);
        self.started.clear();
    }

    /// Replaces the `len` bytes that start at `start`.
    pub(super) fn replace(&mut self, start: usize, len: usize, with: &[u8]) {
        self.take_until(start);
        let (before, after) = self.started.split_at(len.min(self.started.len()));
        self.done = start + (len - before.len());
        self.sink.append(with);
        self.sink.append(after);
        self.started.clear();
    }

    /// The syntax in which replacements must be written.
    pub(super) fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// Applies the verdict on a document, which became known at `at`.
    pub(super) fn settle(&mut self, bases: &Bases, at: usize, verdict: &Verdict) {
        if self.sink.is_holding() {
            self.take_until(at);
        }
        self.sink.settle(verdict, bases, self.syntax);
    }

    fn take_until(&mut self, at: usize) {
        self.sink.append(&self.chunk[self.done..at]);
        self.done = at;
    }
}

/// Omits the bytes, which are patient data.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}
