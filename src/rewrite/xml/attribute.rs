//! The values of attributes, and the text of patches.

use memchr::memchr3;

use super::{Condition, Plan, State, Syntax, Text, Unescape, Unescaped, Word, XmlRewriter};

impl XmlRewriter {
    /// Handles the value of the attribute just read, which begins at `start`.
    pub(super) fn value(&mut self, quote: u8, bytes: &[u8], start: usize) {
        self.state = State::InValue { quote };
        let is_listed = match self.word.bytes() {
            b"value" => true,
            // The attribute `url` of an extension.
            b"url" => self.plan == Plan::Request,
            _ => false,
        };
        if is_listed && self.ignored == 0 {
            self.text(quote, bytes, start);
        }
    }

    /// Handles a possible URL, which begins at `start`.
    pub(super) fn text(&mut self, quote: u8, bytes: &[u8], start: usize) {
        self.state = State::InValue { quote };
        let Some(frame) = self.frames.last() else {
            return;
        };
        match frame.element.text {
            text @ (Text::Search | Text::Condition) => self.search(quote, bytes, start, text),
            Text::Url => self.url(quote, bytes, start, None),
            Text::UrlIn(kind) if self.documents.may_be(kind) => {
                self.url(quote, bytes, start, self.documents.condition(kind));
            }
            Text::BundleType => {
                self.word = Word::default();
                self.unescape = Unescape::default();
                self.state = State::InWord { quote };
            }
            _ => {}
        }
    }

    pub(super) fn in_word(&mut self, byte: u8, quote: u8, at: usize) {
        match self.unescape.push(byte, quote) {
            Unescaped::Part => {}
            Unescaped::Character(character) => self.word.push(character),
            Unescaped::Other if byte != quote => self.word.push(0),
            Unescaped::Other | Unescaped::End => {
                self.state = State::behind(quote);
                let word = self.word;
                let document = self.documents.current_mut();
                let kind = document.and_then(|document| document.is_bundle_of_type(word.bytes()));
                self.settle(at, kind);
            }
        }
    }

    fn url(&mut self, quote: u8, bytes: &[u8], start: usize, only_if: Option<Condition>) {
        let found = self.bases.at_start_of(&bytes[start..], Syntax::Xml, quote);
        if let Some(found) = found {
            self.output.change(&self.bases, start, found, only_if);
            return;
        }
        self.unescape = Unescape::default();
        self.matcher.start(&self.bases);
        self.state = State::InUrl {
            quote,
            start,
            only_if,
        };
    }

    pub(super) fn in_url(&mut self, byte: u8, quote: u8, start: usize, only_if: Option<Condition>) {
        let unescaped = self.unescape.push(byte, quote);
        let found = match unescaped {
            Unescaped::Part => return,
            Unescaped::Character(character) => {
                let len = self.unescape.len();
                if self.matcher.feed(&self.bases, character, len) {
                    return;
                }
                self.matcher.found()
            }
            Unescaped::Other => self.matcher.found(),
            Unescaped::End => self.matcher.finish(&self.bases),
        };
        match found {
            Some(found) => self.output.change(&self.bases, start, found, only_if),
            None => self.output.keep(),
        }
        self.state = if byte == quote {
            State::behind(quote)
        } else {
            State::InValue { quote }
        };
    }

    fn search(&mut self, quote: u8, bytes: &[u8], start: usize, text: Text) {
        if text == Text::Search {
            // Most values are short and not searches, so a quick scan handles them.
            let value = &bytes[start..];
            let end = memchr3(quote, b'&', b'?', value);
            if end.is_some_and(|end| value[end] == quote) {
                return self.url(quote, bytes, start, None);
            }
        }
        self.unescape = Unescape::default();
        self.search.start(&self.bases, text, start);
        self.state = State::InSearch { quote };
    }

    pub(super) fn in_search(&mut self, byte: u8, quote: u8, at: usize) {
        let (bases, output) = (&*self.bases, &mut self.output);
        let character = match self.unescape.push(byte, quote) {
            Unescaped::Part => return,
            Unescaped::Character(character) => character,
            // A byte that neither a base nor a percent-encoding contains.
            Unescaped::Other if byte != quote => 0xFF,
            Unescaped::Other => {
                self.search.abort(bases, output);
                self.state = State::behind(quote);
                return;
            }
            Unescaped::End => {
                self.search.finish(bases, output);
                self.state = State::behind(quote);
                return;
            }
        };
        let len = self.unescape.len();
        if !self.search.push(bases, output, character, len, at + 1) {
            self.state = State::InValue { quote };
        }
    }
}
