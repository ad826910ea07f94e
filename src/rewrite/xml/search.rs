//! Values that may be searches.

use super::{State, Text, Unescape, Unescaped, XmlRewriter};

impl XmlRewriter {
    pub(super) fn search(&mut self, quote: u8, start: usize, text: Text) {
        self.unescape = Unescape::default();
        self.search.start(&self.bases, text, start);
        self.state = State::InSearch { quote };
    }

    pub(super) fn in_search(&mut self, byte: u8, quote: u8, at: usize) {
        let (bases, output) = (&*self.bases, &mut self.output);
        let character = match self.unescape.push(byte, quote) {
            Unescaped::Part => return,
            Unescaped::Character(character) => character,
            // In no base and no number.
            Unescaped::Other if byte != quote => 0xFF,
            Unescaped::Other => {
                self.search.abort(bases, output);
                self.state = State::Tag;
                return;
            }
            Unescaped::End => {
                self.search.finish(bases, output);
                self.state = State::Tag;
                return;
            }
        };
        let len = self.unescape.len();
        if !self.search.push(bases, output, character, len, at + 1) {
            self.state = State::InValue { quote };
        }
    }
}
