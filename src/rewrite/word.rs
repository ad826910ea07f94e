//! Words from a fixed list, collected however they are cut.

/// A key or a word from a fixed list, decoded.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Word {
    bytes: [u8; Self::LONGEST + 1],
    len: usize,
}

impl Word {
    /// As long as the longest word that means something, `transaction-response`.
    const LONGEST: usize = 20;

    pub(super) fn push(&mut self, character: u8) {
        // One more than the longest, so that what is too long equals no word.
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = character;
            self.len += 1;
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
    /// Whether it holds more than the longest word has.
    pub(super) fn is_full(&self) -> bool {
        self.len == self.bytes.len()
    }
}
