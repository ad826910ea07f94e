//! The rewriter for JSON: a push tokenizer that tracks its position in the document.
//!
//! The rewriter reads only the elements that the plan lists. It skips the rest by its brackets,
//! without checking it. From a place that is not valid JSON, the rest of the document passes
//! unchanged.
//!
//! Memory is bounded: a frame for each open object or array that the plan leads into (at most
//! [`MAX_DEPTH`]), the start of one URL, and the bytes that [`Output`] holds back. [`Output`] holds
//! bytes back only if a link precedes the members that decide whether links may change. FHIR leaves
//! the order of members open, though servers write `resourceType` and `type` first.

#[cfg(test)]
mod properties;
mod search;
#[cfg(test)]
mod tests;
mod unescape;

use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr2;

use super::{
    bases::{Bases, Matcher, Syntax},
    document::{Condition, Documents},
    output::Output,
    plan::{Element, IGNORED, Kind, Plan, Text},
    search::Search,
    skip::Skip,
    word::Word,
};
use unescape::{Unescape, Unescaped};

/// The depth to which nested objects and arrays are followed; deeper parts pass unchanged. No known
/// FHIR or DICOM server nests so deep.
const MAX_DEPTH: usize = 1024;

/// Changes the links in one JSON document.
#[derive(Debug)]
pub struct JsonRewriter {
    bases: Arc<Bases>,
    state: State,
    frames: Vec<Frame>,
    documents: Documents,
    /// The key or text being read.
    word: Word,
    unescape: Unescape,
    matcher: Matcher,
    search: Search,
    output: Output,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Before a value. `]` may stand in place of the first value of an array.
    Value {
        element: &'static Element,
        first: bool,
    },
    /// Before a key. `}` may stand in place of the first key of an object.
    Key {
        first: bool,
    },
    InKey,
    /// Between a key and its value.
    Colon(&'static Element),
    /// In a string that decides the kind of the document.
    InWord(Text),
    /// At the start of a string that may be a URL below a base. `start` is its position in the
    /// chunk; 0 if it began in an earlier chunk.
    InUrl {
        start: usize,
        only_if: Option<Condition>,
    },
    /// In a string that may be a search or its query.
    InSearch,
    InString {
        escaped: bool,
    },
    /// In a number, `true`, `false` or `null`.
    InScalar,
    /// In an object or array of no interest.
    Skipping(Skip),
    /// After a member or item.
    Behind,
    /// The rest passes unchanged.
    Passing,
}

/// An open object or array.
#[derive(Debug, Clone, Copy)]
struct Frame {
    element: &'static Element,
    is_object: bool,
}

impl JsonRewriter {
    /// Creates a rewriter for one document.
    pub fn new(plan: Plan, bases: Arc<Bases>) -> Self {
        let state = if bases.is_empty() {
            State::Passing
        } else {
            State::Value {
                element: plan.root(),
                first: false,
            }
        };
        Self {
            bases,
            state,
            frames: Vec::new(),
            documents: Documents::default(),
            word: Word::default(),
            unescape: Unescape::default(),
            matcher: Matcher::default(),
            search: Search::default(),
            output: Output::new(Syntax::Json),
        }
    }

    /// Takes the next chunk of the document, cut anywhere, and returns the next chunk of the
    /// rewritten document, which may be empty. A chunk without changes is not copied.
    #[must_use]
    pub fn push(&mut self, chunk: &Bytes) -> Bytes {
        self.output.begin(chunk.clone());
        self.scan(chunk);
        let unfinished = match &mut self.state {
            State::InUrl { start, .. } => Some(std::mem::take(start)),
            State::InSearch => self.search.unfinished(),
            _ => None,
        };
        self.output.end(unfinished)
    }

    /// Ends the document and returns the bytes that were held back, most often none.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.output.finish()
    }

    fn scan(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            match self.state {
                State::Passing => return,
                State::Skipping(mut skip) => {
                    let Some(end) = skip.end(&bytes[at..]) else {
                        self.state = State::Skipping(skip);
                        return;
                    };
                    at += end;
                    self.value_ended();
                    continue;
                }
                State::InString { escaped: true } => {
                    self.state = State::InString { escaped: false }
                }
                State::InString { escaped: false } => {
                    let Some(found) = memchr2(b'"', b'\\', &bytes[at..]) else {
                        return;
                    };
                    at += found;
                    if bytes[at] == b'"' {
                        self.value_ended();
                    } else {
                        self.state = State::InString { escaped: true };
                    }
                }
                State::InUrl { start, only_if } => self.in_url(byte, start, only_if),
                State::InSearch => self.in_search(byte, at),
                State::InKey | State::InWord(_) => self.in_word(byte, at),
                State::InScalar => match byte {
                    b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r' => {
                        self.value_ended();
                        continue;
                    }
                    b'"' | b':' | b'[' | b'{' => self.state = State::Passing,
                    _ => {}
                },
                _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => {}
                // A byte order mark is forbidden (RFC 8259, section 8.1), but sometimes written.
                State::Value { .. }
                    if self.frames.is_empty() && matches!(byte, 0xEF | 0xBB | 0xBF) => {}
                State::Value { element, first } => at = self.value(element, first, bytes, at),
                State::Key { first } => match byte {
                    b'"' => {
                        // Keys are short and rarely cut or escaped, so most are read at once.
                        let rest = &bytes[at + 1..];
                        let end = rest.iter().position(|&byte| matches!(byte, b'"' | b'\\'));
                        if let Some(end) = end.filter(|&end| rest[end] == b'"') {
                            self.key(&rest[..end]);
                            at += 1 + end;
                        } else {
                            self.start_word(State::InKey);
                        }
                    }
                    b'}' if first => self.close(true, at),
                    _ => self.state = State::Passing,
                },
                State::Colon(element) if byte == b':' => {
                    self.state = State::Value {
                        element,
                        first: false,
                    };
                }
                State::Colon(_) => self.state = State::Passing,
                State::Behind => match (byte, self.frames.last()) {
                    (b',', Some(Frame { element, is_object })) => {
                        self.state = if *is_object {
                            State::Key { first: false }
                        } else {
                            State::Value {
                                element: element.items.unwrap_or(&IGNORED),
                                first: false,
                            }
                        };
                    }
                    (b'}', _) => self.close(true, at),
                    (b']', _) => self.close(false, at),
                    _ => self.state = State::Passing,
                },
            }
            at += 1;
        }
    }

    /// Handles the value that begins at `at`. Returns the position of the last byte read.
    fn value(&mut self, element: &'static Element, first: bool, bytes: &[u8], at: usize) -> usize {
        self.state = match bytes[at] {
            b'"' => match element.text {
                Text::Url => self.url(bytes, at + 1, None),
                text @ (Text::Search | Text::Condition) => return self.search(bytes, at, text),
                Text::UrlIn(kind) if self.documents.may_be(kind) => {
                    self.url(bytes, at + 1, self.documents.condition(kind))
                }
                Text::Ignored | Text::UrlIn(_) => State::InString { escaped: false },
                text @ (Text::ResourceType | Text::BundleType) => {
                    self.start_word(State::InWord(text));
                    return at;
                }
                Text::TransactionTime => {
                    self.classify(element.text, b"", at);
                    State::InString { escaped: false }
                }
            },
            b'{' if element.has_no_members() => State::Skipping(Skip::opened()),
            b'{' if element.document && !self.open_document() => State::Skipping(Skip::opened()),
            b'{' => self.open(element, true),
            b'[' if element.items.is_none() => State::Skipping(Skip::opened()),
            b'[' => self.open(element, false),
            b']' if first => {
                self.close(false, at);
                return at;
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => State::InScalar,
            _ => State::Passing,
        };
        at
    }

    fn open(&mut self, element: &'static Element, is_object: bool) -> State {
        if self.frames.len() == MAX_DEPTH {
            return State::Passing;
        }
        self.frames.push(Frame { element, is_object });
        if is_object {
            State::Key { first: true }
        } else {
            State::Value {
                element: element.items.unwrap_or(&IGNORED),
                first: true,
            }
        }
    }

    fn close(&mut self, is_object: bool, at: usize) {
        match self.frames.pop() {
            Some(frame) if frame.is_object == is_object => {
                if frame.element.document {
                    self.close_document(at);
                }
                self.value_ended();
            }
            _ => self.state = State::Passing,
        }
    }

    fn open_document(&mut self) -> bool {
        self.documents
            .open(self.frames.len(), self.output.waiting())
    }

    fn close_document(&mut self, at: usize) {
        if let Some(verdict) = self.documents.close() {
            self.output.settle(&self.bases, at, &verdict);
        }
    }

    fn value_ended(&mut self) {
        self.state = if self.frames.is_empty() {
            State::Passing
        } else {
            State::Behind
        };
    }

    fn key(&mut self, name: &[u8]) {
        let element = self.frames.last().map_or(&IGNORED, |frame| frame.element);
        self.state = State::Colon(element.member(name));
    }

    fn start_word(&mut self, state: State) {
        self.word = Word::default();
        self.unescape = Unescape::default();
        self.state = state;
    }

    fn in_word(&mut self, byte: u8, at: usize) {
        match self.unescape.push(byte) {
            Unescaped::Part => {}
            Unescaped::Character(character) => self.word.push(character),
            Unescaped::NotAscii => self.word.push(0),
            Unescaped::Invalid => self.state = State::Passing,
            Unescaped::End => {
                let word = self.word;
                match self.state {
                    State::InKey => self.key(word.bytes()),
                    State::InWord(text) => self.classify(text, word.bytes(), at),
                    _ => {}
                }
            }
        }
    }

    /// Classifies the innermost document by one of its members.
    fn classify(&mut self, text: Text, word: &[u8], at: usize) {
        self.value_ended();
        let Some(document) = self.documents.current_mut() else {
            return;
        };
        let kind = match text {
            Text::ResourceType => document.is_of_type(word),
            Text::BundleType => document.is_bundle_of_type(word),
            Text::TransactionTime => document.has_transaction_time(),
            Text::Ignored | Text::Url | Text::Search | Text::Condition | Text::UrlIn(_) => None,
        };
        if let Some(kind) = kind {
            self.settle(at, kind);
        }
    }

    /// Sets the kind of the innermost document, unless it is known.
    fn settle(&mut self, at: usize, kind: Kind) {
        let Some(verdict) = self.documents.settle(kind) else {
            return;
        };
        self.output.settle(&self.bases, at, &verdict);
        if kind == Kind::Other {
            // The member that decided it belongs to the document itself, so the rest can be
            // skipped.
            let depth = self
                .documents
                .current()
                .map_or(0, |document| document.depth);
            self.frames.truncate(depth);
            self.documents.close();
            self.state = State::Skipping(Skip::opened());
        }
    }

    fn url(&mut self, bytes: &[u8], start: usize, only_if: Option<Condition>) -> State {
        let value = &bytes[start..];
        if !matches!(value.first(), None | Some(b'h' | b'H' | b'\\')) {
            return State::InString { escaped: false };
        }
        if let Some(found) = self.bases.at_start_of(value, Syntax::Json, b'"') {
            self.output.change(&self.bases, start, found, only_if);
            return State::InString { escaped: false };
        }
        self.unescape = Unescape::default();
        self.matcher.start(&self.bases);
        State::InUrl { start, only_if }
    }

    fn in_url(&mut self, byte: u8, start: usize, only_if: Option<Condition>) {
        let unescaped = self.unescape.push(byte);
        let found = match unescaped {
            Unescaped::Part => return,
            Unescaped::Character(character) => {
                let len = self.unescape.len();
                if self.matcher.feed(&self.bases, character, len) {
                    return;
                }
                self.matcher.found()
            }
            Unescaped::End => self.matcher.finish(&self.bases),
            Unescaped::NotAscii => self.matcher.found(),
            Unescaped::Invalid => None,
        };
        match found {
            Some(found) => self.output.change(&self.bases, start, found, only_if),
            None => self.output.keep(),
        }
        match unescaped {
            Unescaped::End => self.value_ended(),
            Unescaped::Invalid => self.state = State::Passing,
            _ => self.state = State::InString { escaped: false },
        }
    }
}
