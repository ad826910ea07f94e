//! The rewriter for FHIR's XML, which the archived open source server can write.
//!
//! The rewriter changes the elements that the JSON rewriter changes, in the attribute `value`. The
//! name of a resource's element is its type. The schema puts a Bundle's type before its links. If a
//! server writes it later, the links wait for it as in JSON.
//!
//! An XML Patch also has values in the text of its elements, where `<` takes the place of the
//! closing quote.

mod attribute;
mod markup;
#[cfg(test)]
mod tests;
mod unescape;

use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr;

use super::{
    bases::{Bases, Matcher, Syntax},
    document::{Condition, Documents},
    output::Output,
    plan::{Element, Kind, Plan, Text},
    search::Search,
    word::Word,
};
use markup::{Markup, Progress};
use unescape::{Unescape, Unescaped};

/// The depth to which nested elements are followed. Deeper parts pass unchanged.
const MAX_DEPTH: usize = 1024;

/// Changes the links in one XML document.
#[derive(Debug)]
pub struct XmlRewriter {
    bases: Arc<Bases>,
    plan: Plan,
    state: State,
    frames: Vec<Frame>,
    /// The number of open elements without links.
    ignored: usize,
    /// Whether the document is an XML Patch (RFC 5261), which also writes values as text. FHIR has
    /// text only in narratives.
    is_patch: bool,
    documents: Documents,
    /// The name or word being read.
    word: Word,
    markup: Markup,
    unescape: Unescape,
    matcher: Matcher,
    search: Search,
    output: Output,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Between tags.
    Content,
    /// Before text of a patch.
    Text,
    /// After `<`.
    Less,
    /// In markup that is neither a tag nor text.
    Markup,
    /// In the name of an opening tag.
    Name,
    /// In an opening tag, between attributes.
    Tag,
    /// After the slash of an empty element.
    Slash,
    /// In a closing tag.
    Closing,
    /// In an attribute's name, or after it.
    Attribute { ended: bool },
    /// After `=`.
    Equals,
    /// In the value of an attribute that cannot contain a link.
    InValue { quote: u8 },
    /// In a value that decides the kind of the document.
    InWord { quote: u8 },
    /// At the start of a value that may be a URL below a base. `start` is its position in the
    /// chunk; 0 if it began in an earlier chunk.
    InUrl {
        quote: u8,
        start: usize,
        only_if: Option<Condition>,
    },
    /// In a value that may be a search or its query.
    InSearch { quote: u8 },
    /// The rest passes unchanged.
    Passing,
}

impl State {
    /// The state after a value that ends with `quote`. Text ends with `<`.
    fn behind(quote: u8) -> Self {
        if quote == b'<' { Self::Less } else { Self::Tag }
    }
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    element: &'static Element,
    /// Whether the child of the element is a resource, not a member.
    holds_resource: bool,
}

impl XmlRewriter {
    /// Creates a rewriter for one document. Only plans for resources apply to XML. With any other
    /// plan, the document passes unchanged.
    pub fn new(plan: Plan, bases: Arc<Bases>) -> Self {
        let state = match plan {
            Plan::FhirResponse | Plan::Request if !bases.is_empty() => State::Content,
            _ => State::Passing,
        };
        let element = plan.root();
        Self {
            bases,
            plan,
            state,
            frames: vec![Frame {
                element,
                holds_resource: element.document,
            }],
            ignored: 0,
            is_patch: false,
            documents: Documents::default(),
            word: Word::default(),
            markup: Markup::default(),
            unescape: Unescape::default(),
            matcher: Matcher::default(),
            search: Search::default(),
            output: Output::new(Syntax::Xml),
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
            State::InSearch { .. } => self.search.unfinished(),
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
                State::Content => {
                    let Some(found) = memchr(b'<', &bytes[at..]) else {
                        return;
                    };
                    at += found;
                    self.state = State::Less;
                }
                State::Text => match byte {
                    b' ' | b'\t' | b'\n' | b'\r' => {}
                    b'<' => self.state = State::Less,
                    _ => {
                        self.text(b'<', bytes, at);
                        continue;
                    }
                },
                State::InValue { quote } => {
                    let Some(found) = memchr(quote, &bytes[at..]) else {
                        return;
                    };
                    at += found;
                    self.state = State::behind(quote);
                }
                State::Closing => {
                    let Some(found) = memchr(b'>', &bytes[at..]) else {
                        return;
                    };
                    at += found;
                    self.close(at);
                }
                State::Less => self.less(byte),
                State::Markup => match self.markup.push(byte) {
                    Progress::Open => {}
                    Progress::Ended => self.state = State::Content,
                    Progress::Invalid => self.state = State::Passing,
                },
                State::Name => match byte {
                    b'/' | b'>' | b' ' | b'\t' | b'\n' | b'\r' => {
                        self.open(at);
                        if matches!(self.state, State::Tag) {
                            self.tag(byte);
                        }
                    }
                    // A prefix is ignored, since FHIR has only one namespace.
                    b':' => self.word = Word::default(),
                    _ => self.word.push(byte),
                },
                State::Tag => self.tag(byte),
                State::Slash if byte == b'>' => self.close(at),
                State::Attribute { ended } => match byte {
                    b'=' => self.state = State::Equals,
                    b' ' | b'\t' | b'\n' | b'\r' => self.state = State::Attribute { ended: true },
                    b'/' | b'>' | b'<' | b'"' | b'\'' => self.state = State::Passing,
                    _ if ended => self.state = State::Passing,
                    _ => self.word.push(byte),
                },
                State::Equals => match byte {
                    b'"' | b'\'' => self.value(byte, bytes, at + 1),
                    b' ' | b'\t' | b'\n' | b'\r' => {}
                    _ => self.state = State::Passing,
                },
                State::Slash => self.state = State::Passing,
                State::InWord { quote } => self.in_word(byte, quote, at),
                State::InUrl {
                    quote,
                    start,
                    only_if,
                } => self.in_url(byte, quote, start, only_if),
                State::InSearch { quote } => self.in_search(byte, quote, at),
            }
            at += 1;
        }
    }

    fn less(&mut self, byte: u8) {
        self.word = Word::default();
        self.state = match byte {
            b'!' | b'?' => {
                let in_prolog = self.frames.len() == 1 && self.ignored == 0;
                self.markup = Markup::begun_with(byte, in_prolog);
                State::Markup
            }
            b'/' => State::Closing,
            b'>' | b' ' | b'\t' | b'\n' | b'\r' => State::Passing,
            _ => {
                self.word.push(byte);
                State::Name
            }
        };
    }

    fn tag(&mut self, byte: u8) {
        self.state = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => State::Tag,
            b'/' => State::Slash,
            b'>' if self.is_patch && self.ignored == 0 => State::Text,
            b'>' => State::Content,
            b'<' | b'=' | b'"' | b'\'' => State::Passing,
            _ => {
                self.word = Word::default();
                self.word.push(byte);
                State::Attribute { ended: false }
            }
        };
    }

    /// Opens an element of the name just read.
    fn open(&mut self, at: usize) {
        self.state = State::Tag;
        let Some(parent) = self.frames.last().filter(|_| self.ignored == 0) else {
            self.ignored += 1;
            return;
        };
        let name = self.word;
        if self.frames.len() == 1 {
            self.is_patch = self.plan == Plan::Request && name.bytes() == b"diff";
        }
        let frame = if parent.holds_resource {
            let element = parent.element;
            if !self.open_document(name.bytes(), at) {
                self.ignored = 1;
                return;
            }
            Frame {
                element,
                holds_resource: false,
            }
        } else {
            let element = parent.element.member(name.bytes());
            // In XML, a JSON array is an element that is repeated.
            let element = element.items.unwrap_or(element);
            Frame {
                element,
                holds_resource: element.document,
            }
        };
        if frame.element.has_no_members() && frame.element.text == Text::Ignored {
            self.ignored = 1;
        } else if self.frames.len() == MAX_DEPTH {
            self.state = State::Passing;
        } else {
            self.frames.push(frame);
        }
    }

    fn open_document(&mut self, resource_type: &[u8], at: usize) -> bool {
        let depth = self.frames.len();
        if !self.documents.open(depth, self.output.waiting()) {
            return false;
        }
        let document = self.documents.current_mut();
        let kind = document.and_then(|document| document.is_of_type(resource_type));
        self.settle(at, kind);
        if depth == 1 && kind == Some(Kind::Other) {
            self.state = State::Passing;
        }
        true
    }

    /// Sets the kind of the innermost document, if it is known now and was not before.
    fn settle(&mut self, at: usize, kind: Option<Kind>) {
        if let Some(verdict) = kind.and_then(|kind| self.documents.settle(kind)) {
            self.output.settle(&self.bases, at, &verdict);
        }
    }

    fn close(&mut self, at: usize) {
        self.state = State::Content;
        if self.ignored > 0 {
            self.ignored -= 1;
        } else {
            self.frames.pop();
            let depth = self.documents.current().map(|document| document.depth);
            if depth == Some(self.frames.len())
                && let Some(verdict) = self.documents.close()
            {
                self.output.settle(&self.bases, at, &verdict);
            }
        }
        if self.frames.len() <= 1 && self.ignored == 0 {
            self.state = State::Passing;
        }
    }
}
