//! Collects words from a fixed list out of chunks that are cut anywhere.

/// A key or a word from a fixed list, decoded.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Word {
    bytes: [u8; Self::LONGEST + 1],
    len: usize,
}

impl Word {
    /// Length of the longest word in the list, `transaction-response`. The names of elements in
    /// `plan.rs` must be no longer.
    pub(super) const LONGEST: usize = 20;

    pub(super) fn push(&mut self, character: u8) {
        // One byte more than the longest word, so that a longer text equals no word.
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = character;
            self.len += 1;
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether the text is longer than the longest word.
    pub(super) fn is_full(&self) -> bool {
        self.len == self.bytes.len()
    }
}
