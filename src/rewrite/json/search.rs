//! Strings that may be searches.

use memchr::memchr3;

use super::{JsonRewriter, State, Text, Unescape, Unescaped};

impl JsonRewriter {
    /// Handles the string that begins at `at`. Returns the position of the last byte read.
    pub(super) fn search(&mut self, bytes: &[u8], at: usize, text: Text) -> usize {
        let start = at + 1;
        if text == Text::Search {
            // Most strings are short and not searches, so a quick scan handles them.
            let value = &bytes[start..];
            let end = memchr3(b'"', b'\\', b'?', value);
            if let Some(end) = end.filter(|&end| value[end] == b'"') {
                self.state = self.url(bytes, start, None);
                if !matches!(self.state, State::InString { .. }) {
                    return at;
                }
                self.value_ended();
                return start + end;
            }
        }
        self.unescape = Unescape::default();
        self.search.start(&self.bases, text, start);
        self.state = State::InSearch;
        at
    }

    pub(super) fn in_search(&mut self, byte: u8, at: usize) {
        let (bases, output) = (&*self.bases, &mut self.output);
        let unescaped = self.unescape.push(byte);
        let character = match unescaped {
            Unescaped::Part => return,
            Unescaped::Character(character) => character,
            // A byte that neither a base nor a percent-encoding contains.
            Unescaped::NotAscii => 0xFF,
            Unescaped::End => {
                self.search.finish(bases, output);
                return self.value_ended();
            }
            Unescaped::Invalid => {
                self.search.abort(bases, output);
                // As in strings of no interest, an escape ends before a quote.
                if byte == b'"' {
                    return self.value_ended();
                }
                let escaped = byte == b'\\';
                self.state = State::InString { escaped };
                return;
            }
        };
        let len = self.unescape.len();
        if !self.search.push(bases, output, character, len, at + 1) {
            self.state = State::InString { escaped: false };
        }
    }
}
