//! Decodes percent-encoding, one character at a time.

/// The characters that may begin a percent-encoding, and the number of bytes of each.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum Percent {
    #[default]
    None,
    Sign(usize),
    Digit(usize, u8, usize),
}

/// The result of one more character.
pub(super) enum Step {
    /// More characters are needed.
    Part,
    /// The characters encode this one, and took this number of bytes.
    Encoded(u8, usize),
    /// The characters before it stand for themselves. The character itself is not handled yet.
    Other(Percent),
}

impl Percent {
    /// Takes the next character, which took `len` bytes.
    pub(super) fn push(&mut self, character: u8, len: usize) -> Step {
        let before = std::mem::take(self);
        match (before, char::from(character).to_digit(16)) {
            (Self::Sign(sign), Some(_)) => {
                *self = Self::Digit(sign, character, len);
                Step::Part
            }
            (Self::Digit(sign, first, first_len), Some(low)) => {
                let high = char::from(first).to_digit(16).unwrap_or(0);
                // Two hexadecimal digits fit into a byte.
                let decoded = u8::try_from(high << 4 | low).unwrap_or(b'%');
                Step::Encoded(decoded, sign + first_len + len)
            }
            _ => Step::Other(before),
        }
    }

    /// Returns the characters themselves, and the number of bytes of each.
    pub(super) fn characters(self) -> impl Iterator<Item = (u8, usize)> {
        let (sign, digit) = match self {
            Self::None => (None, None),
            Self::Sign(len) => (Some((b'%', len)), None),
            Self::Digit(len, digit, digit_len) => (Some((b'%', len)), Some((digit, digit_len))),
        };
        sign.into_iter().chain(digit)
    }
}
