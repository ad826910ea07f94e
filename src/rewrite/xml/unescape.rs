//! Decodes the references in XML attributes, such as `&amp;`, `&#47;` and `&#x2f;`.

use super::Word;

/// Decodes an attribute's value byte by byte.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Unescape {
    /// The text between `&` and `;`.
    reference: Option<Word>,
    /// Number of bytes of the character so far.
    len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unescaped {
    /// More bytes belong to the character.
    Part,
    Character(u8),
    /// A character that no base contains, one of its bytes, or a reference that is incomplete at
    /// the closing quote.
    Other,
    /// The closing quote.
    End,
}

impl Unescape {
    /// Number of bytes that the last character took.
    pub(super) fn len(self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, byte: u8, quote: u8) -> Unescaped {
        if byte == quote {
            let is_cut = self.reference.take().is_some();
            return if is_cut {
                Unescaped::Other
            } else {
                Unescaped::End
            };
        }
        if self.reference.is_none() {
            self.len = 0;
        }
        self.len += 1;
        match &mut self.reference {
            None if byte == b'&' => {
                self.reference = Some(Word::default());
                Unescaped::Part
            }
            None if byte.is_ascii() => Unescaped::Character(byte),
            None => Unescaped::Other,
            Some(reference) if byte == b';' => {
                let character = referred(reference.bytes());
                self.reference = None;
                character.map_or(Unescaped::Other, Unescaped::Character)
            }
            Some(reference) if reference.is_full() => {
                // No reference to a character of a base is this long.
                self.reference = None;
                Unescaped::Other
            }
            Some(reference) => {
                reference.push(byte);
                Unescaped::Part
            }
        }
    }
}

fn referred(name: &[u8]) -> Option<u8> {
    let number = match name {
        b"amp" => return Some(b'&'),
        b"lt" => return Some(b'<'),
        b"gt" => return Some(b'>'),
        b"quot" => return Some(b'"'),
        b"apos" => return Some(b'\''),
        [b'#', b'x', digits @ ..] => (digits, 16),
        [b'#', digits @ ..] => (digits, 10),
        _ => return None,
    };
    let (digits, radix) = number;
    // `from_str_radix` would accept a sign.
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let digits = std::str::from_utf8(digits).ok()?;
    let character = u8::from_str_radix(digits, radix).ok()?;
    character.is_ascii().then_some(character)
}
