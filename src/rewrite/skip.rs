//! Finds the end of a JSON object or array that nobody wants to look into.
//!
//! Nearly all bytes of a search answer lie in `entry[].resource`, so this is the loop that decides
//! how fast an answer passes. It takes 64 bytes at a time and works on bit masks, one bit a byte,
//! as simdjson does (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019).

use wide::u8x16;

/// How far into a value the scan has come. Brackets are balanced and strings respected; nothing
/// else is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Skip {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Skip {
    /// Behind the opening bracket of the value.
    pub(super) fn opened() -> Self {
        Self {
            depth: 1,
            in_string: false,
            escaped: false,
        }
    }

    /// The position behind the value's closing bracket, or `None` if it is not in `bytes`.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let (blocks, tail) = bytes.as_chunks::<64>();
        for (index, block) in blocks.iter().enumerate() {
            if let Some(end) = self.end_in(block, 64) {
                return Some(index * 64 + end);
            }
        }
        if tail.is_empty() {
            return None;
        }
        let mut padded = [b' '; 64];
        padded[..tail.len()].copy_from_slice(tail);
        let end = self.end_in(&padded, tail.len())?;
        Some(blocks.len() * 64 + end)
    }

    #[inline]
    fn end_in(&mut self, block: &[u8; 64], len: usize) -> Option<usize> {
        let mut masks = Masks::of(block);
        if masks.backslashes != 0 || self.escaped {
            masks.quotes &= !self.escaped_in(masks.backslashes, len);
        }
        // All ones when the block begins within a string.
        let carried = u64::from(self.in_string).wrapping_neg();
        let inside = parity_of_lower_bits(masks.quotes) ^ carried;
        self.in_string = inside >> 63 == 1;

        let closing = masks.closing & !inside;
        let opening = masks.opening & !inside;
        let closed = closing.count_ones() as usize;
        if closed >= self.depth {
            let mut brackets = opening | closing;
            while brackets != 0 {
                let at = brackets.trailing_zeros();
                // Without a branch, for which of the two it is cannot be predicted.
                self.depth = self.depth + 1 - 2 * (closing >> at & 1) as usize;
                if self.depth == 0 {
                    return Some(at as usize + 1);
                }
                brackets &= brackets - 1;
            }
            return None;
        }
        self.depth = self.depth + opening.count_ones() as usize - closed;
        None
    }

    /// The bytes that a backslash takes the meaning of; remembers whether the next block begins
    /// with one.
    ///
    /// In a run of backslashes every second one is itself escaped. Adding the run's start to the
    /// run carries a bit to its end, from whose parity the run's length follows.
    fn escaped_in(&mut self, backslashes: u64, len: usize) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let carried = u64::from(self.escaped);
        let backslashes = backslashes & !carried;
        let follows = backslashes << 1 | carried;
        let odd_starts = backslashes & !EVEN & !follows;
        let (runs, overflow) = odd_starts.overflowing_add(backslashes);
        let escaped = (EVEN ^ (runs << 1)) & follows;
        self.escaped = if len == 64 {
            overflow
        } else {
            escaped >> len & 1 == 1
        };
        escaped
    }
}

struct Masks {
    quotes: u64,
    backslashes: u64,
    opening: u64,
    closing: u64,
}

impl Masks {
    #[inline]
    fn of(block: &[u8; 64]) -> Self {
        // `[` and `{` differ in one bit only, and so do `]` and `}`.
        let fold = u8x16::splat(b'[' ^ b'{');
        let mut masks = Self {
            quotes: 0,
            backslashes: 0,
            opening: 0,
            closing: 0,
        };
        let (lanes, _) = block.as_chunks::<16>();
        for (index, lane) in lanes.iter().enumerate() {
            let bytes = u8x16::new(*lane);
            let folded = bytes | fold;
            let equal = |bytes: u8x16, wanted: u8| {
                let mask = bytes.simd_eq(u8x16::splat(wanted)).to_bitmask();
                u64::from(mask) << (index * 16)
            };
            masks.quotes |= equal(bytes, b'"');
            masks.backslashes |= equal(bytes, b'\\');
            masks.opening |= equal(folded, b'{');
            masks.closing |= equal(folded, b'}');
        }
        masks
    }
}

/// Bit n tells whether an odd number of bits is set in 0..=n: with quotes, whether byte n lies
/// within a string.
#[inline]
fn parity_of_lower_bits(mut bits: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << distance;
    }
    bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Skip;

    /// The same, one byte at a time.
    fn end_by_bytes(bytes: &[u8]) -> Option<usize> {
        let (mut depth, mut in_string, mut escaped) = (1, false, false);
        for (at, byte) in bytes.iter().enumerate() {
            let was_escaped = std::mem::take(&mut escaped);
            match byte {
                b'\\' => escaped = !was_escaped,
                b'"' if !was_escaped => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn end_in_pieces(bytes: &[u8], piece: usize) -> Option<usize> {
        let mut skip = Skip::opened();
        for (index, bytes) in bytes.chunks(piece).enumerate() {
            if let Some(end) = skip.end(bytes) {
                return Some(index * piece + end);
            }
        }
        None
    }

    #[test]
    fn runs_of_backslashes_are_counted_across_blocks() {
        for run in 0..140 {
            for before in 0..70 {
                let text = format!("{}\"{}\"}}\"}}", " ".repeat(before), "\\".repeat(run));
                let expected = end_by_bytes(text.as_bytes());
                assert_eq!(Skip::opened().end(text.as_bytes()), expected, "{text}");
                assert_eq!(end_in_pieces(text.as_bytes(), 7), expected, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_end_is_found_however_the_bytes_are_cut(
            text in prop::collection::vec(
                prop::sample::select(b"{}[]\"\\\\ab, :\x00\x7f\xff".to_vec()), 0..400),
            piece in 1..200_usize,
        ) {
            let expected = end_by_bytes(&text);
            prop_assert_eq!(Skip::opened().end(&text), expected);
            prop_assert_eq!(end_in_pieces(&text, piece), expected);
        }
    }
}
