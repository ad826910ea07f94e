//! Finds the end of a JSON object or array without links.
//!
//! Nearly all bytes of a search response lie in `entry[].resource`, so this loop decides how fast a
//! response passes. It takes 64 bytes at a time and works on bit masks, one bit per byte, as
//! simdjson does (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019).

use memchr::memchr2;
use wide::u8x16;

/// The state of a scan within a value. The scan balances brackets and respects strings, and checks
/// no other rule of JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Skip {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Skip {
    /// Starts after the opening bracket of the value.
    pub(super) fn opened() -> Self {
        Self {
            depth: 1,
            in_string: false,
            escaped: false,
        }
    }

    /// Returns the position after the value's closing bracket, or `None` if it is not in `bytes`.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(block) = bytes[at..].first_chunk::<64>() {
            let (end, quiet) = self.end_in(block, 64);
            if let Some(end) = end {
                return Some(at + end);
            }
            at += 64;
            if quiet && self.in_string && !self.escaped {
                // The block lies in a long string, such as a narrative or an attachment.
                at += memchr2(b'"', b'\\', &bytes[at..])?;
            }
        }
        let tail = &bytes[at..];
        if tail.is_empty() {
            return None;
        }
        let mut padded = [b' '; 64];
        padded[..tail.len()].copy_from_slice(tail);
        let (end, _) = self.end_in(&padded, tail.len());
        Some(at + end?)
    }

    /// Returns the end of the value if it is in this block of `len` bytes, and whether the block
    /// has no quotation mark.
    #[inline]
    fn end_in(&mut self, block: &[u8; 64], len: usize) -> (Option<usize>, bool) {
        let lanes = Lanes::of(block);
        let mut quotes = lanes.equal_to(b'"');
        if self.escaped || lanes.contain(b'\\') {
            quotes &= !self.escaped_in(lanes.equal_to(b'\\'), len);
        }
        // All ones when the block begins within a string.
        let mut inside = u64::from(self.in_string).wrapping_neg();
        let quiet = quotes == 0;
        if !quiet {
            inside ^= parity_of_lower_bits(quotes);
            self.in_string = inside >> 63 == 1;
        }
        // Most blocks have no brackets.
        let mut brackets = lanes.brackets() & !inside;
        if brackets == 0 {
            return (None, quiet);
        }
        let closing = lanes.closing_brackets() & brackets;
        let closed = closing.count_ones() as usize;
        if closed >= self.depth {
            while brackets != 0 {
                let at = brackets.trailing_zeros();
                // Branchless, since it cannot be predicted whether a bracket opens or closes.
                self.depth = self.depth + 1 - 2 * (closing >> at & 1) as usize;
                if self.depth == 0 {
                    return (Some(at as usize + 1), quiet);
                }
                brackets &= brackets - 1;
            }
            return (None, quiet);
        }
        self.depth = self.depth + brackets.count_ones() as usize - 2 * closed;
        (None, quiet)
    }

    /// Returns a mask of the bytes that a backslash escapes, and remembers whether the first byte
    /// of the next block is escaped.
    ///
    /// In a run of backslashes, every second one is itself escaped. Adding the start of the run to
    /// the run carries a bit to its end, and the parity of that position shows whether the length
    /// is odd.
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

/// A block as vectors of 16 bytes, which every machine supports. Collecting a mask costs as much as
/// comparing, so only the necessary masks are collected.
struct Lanes([u8x16; 4]);

/// The bit in which `[` differs from `{`, and `]` from `}`.
const FOLD: u8 = b'[' ^ b'{';

impl Lanes {
    #[inline]
    fn of(block: &[u8; 64]) -> Self {
        let (lanes, _) = block.as_chunks::<16>();
        Self(std::array::from_fn(|index| u8x16::new(lanes[index])))
    }

    #[inline]
    fn equal_to(&self, wanted: u8) -> u64 {
        self.mask(|lane| lane.simd_eq(u8x16::splat(wanted)))
    }

    #[inline]
    fn contain(&self, wanted: u8) -> bool {
        let wanted = u8x16::splat(wanted);
        let [a, b, c, d] = self.0.map(|lane| lane.simd_eq(wanted));
        ((a | b) | (c | d)).to_bitmask() != 0
    }

    #[inline]
    fn brackets(&self) -> u64 {
        self.mask(|lane| {
            let folded = lane | u8x16::splat(FOLD);
            folded.simd_eq(u8x16::splat(b'{')) | folded.simd_eq(u8x16::splat(b'}'))
        })
    }

    #[inline]
    fn closing_brackets(&self) -> u64 {
        self.mask(|lane| (lane | u8x16::splat(FOLD)).simd_eq(u8x16::splat(b'}')))
    }

    /// A mask with one bit for each byte, set where the comparison gives all ones.
    #[inline]
    fn mask(&self, compare: impl Fn(u8x16) -> u8x16) -> u64 {
        let [a, b, c, d] = self.0.map(|lane| u64::from(compare(lane).to_bitmask()));
        a | b << 16 | c << 32 | d << 48
    }
}

/// Sets bit n if an odd number of bits is set in 0..=n. In a mask of quotation marks, this shows
/// whether byte n lies within a string.
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

    /// Finds the end of the value one byte at a time, as a reference for [`Skip::end`].
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
