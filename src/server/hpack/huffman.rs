//! The Huffman code of HPACK strings (RFC 7541, section 5.2 and Appendix B).
//!
//! The code is canonical: codes of one length are consecutive and in the order of their symbols, and
//! longer codes follow shorter ones. The table therefore needs only the lengths.

/// The bytes are not a Huffman code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Bits of each symbol's code.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const SHORTEST: u32 = 5;
const LONGEST: u32 = 30;
const CODE: Code = Code::new();

/// The symbols in the order of their codes, and the range of the codes of each length.
struct Code {
    symbols: [u8; LENGTHS.len()],
    ranges: [Range; (LONGEST - SHORTEST + 1) as usize],
}

/// Codes of one length, moved to the top of 32 bits.
#[derive(Clone, Copy)]
struct Range {
    length: u32,
    start: u32,
    /// The first code that is longer.
    end: u32,
    first_symbol: usize,
}

impl Code {
    const fn new() -> Self {
        let empty = Range {
            length: 0,
            start: 0,
            end: 0,
            first_symbol: 0,
        };
        let mut code = Self {
            symbols: [0; LENGTHS.len()],
            ranges: [empty; (LONGEST - SHORTEST + 1) as usize],
        };
        let mut length = SHORTEST;
        let mut start = 0;
        let mut count = 0;
        while length <= LONGEST {
            let first_symbol = count;
            let mut end = start;
            let mut symbol: u8 = 0;
            loop {
                if LENGTHS[symbol as usize] as u32 == length {
                    code.symbols[count] = symbol;
                    count += 1;
                    end += 1 << (32 - length);
                }
                if symbol == u8::MAX {
                    break;
                }
                symbol += 1;
            }
            code.ranges[(length - SHORTEST) as usize] = Range {
                length,
                start,
                end,
                first_symbol,
            };
            start = end;
            length += 1;
        }
        code
    }
}

/// Appends the text to `decoded`. EOS in it is an error, and so is padding other than fewer than 8
/// one-bits.
pub(super) fn decode(encoded: &[u8], decoded: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut encoded = encoded.iter();
    // The remaining bits, from the top.
    let mut bits: u64 = 0;
    let mut count = 0;
    loop {
        while count <= 56
            && let Some(byte) = encoded.next()
        {
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
        }
        let window = (bits >> 32) as u32;
        let range = CODE.ranges.iter().find(|range| window < range.end);
        let Some(range) = range.filter(|range| range.length <= count) else {
            let is_padding = count < 8 && bits.leading_ones() == count;
            return if is_padding { Ok(()) } else { Err(Malformed) };
        };
        let offset = (window - range.start) >> (32 - range.length);
        decoded.push(CODE.symbols[range.first_symbol + offset as usize]);
        bits <<= range.length;
        count -= range.length;
    }
}

#[cfg(test)]
pub(in crate::server) fn encode(text: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut bits: u64 = 0;
    let mut count = 0;
    for byte in text {
        let range =
            CODE.ranges[u32::from(LENGTHS[usize::from(*byte)]) as usize - SHORTEST as usize];
        let symbols = &CODE.symbols[range.first_symbol..];
        let offset = symbols.iter().position(|symbol| symbol == byte);
        let offset = u64::try_from(offset.expect("every byte has a code")).expect("below 256");
        let code = u64::from(range.start >> (32 - range.length)) + offset;
        bits = bits << range.length | code;
        count += range.length;
        while count >= 8 {
            count -= 8;
            encoded.push(u8::try_from(bits >> count).expect("8 bits"));
            bits &= (1 << count) - 1;
        }
    }
    if count > 0 {
        let last = u8::try_from(bits << (8 - count)).expect("8 bits");
        encoded.push(last | 0xff >> count);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoded: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut text = Vec::new();
        decode(encoded, &mut text).map(|()| text)
    }

    #[test]
    fn every_byte_is_read_as_it_was_written() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(decoded(&encode(&all)), Ok(all));
        assert_eq!(decoded(&[]), Ok(Vec::new()));
    }

    #[test]
    fn codes_are_those_of_the_appendix() {
        // The ends of the table, and lengths that have others missing before them.
        for (encoded, symbol) in [
            (&[0b0000_0111][..], b'0'),
            (&[0b1111_1100], b'X'),
            (&[0xff, 0b1010_1111], b'#'),
            (&[0xff, 0b1100_0111], 0),
            (&[0xff, 0xfe, 0b0001_1111], b'\\'),
            (&[0xff, 0xff, 0xff, 0b1111_1011], 22),
        ] {
            assert_eq!(decoded(encoded), Ok(vec![symbol]), "{encoded:x?}");
        }
    }

    #[test]
    fn the_end_of_string_symbol_and_wrong_padding_are_errors() {
        for encoded in [
            // EOS.
            &[0xff, 0xff, 0xff, 0xff][..],
            // 8 bits of padding, alone and behind a symbol.
            &[0xff],
            &[0b0000_0111, 0xff],
            // Padding with zeros.
            &[0b0000_0000],
            &[0b0000_0110],
            // A code that is cut off.
            &[0b1111_1110],
        ] {
            assert_eq!(decoded(encoded), Err(Malformed), "{encoded:x?}");
        }
    }
}
