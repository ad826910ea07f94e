//! Decodes the escapes of JSON strings.

/// Decodes a string's content byte by byte.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Unescape {
    state: Escape,
    /// Number of bytes of the character so far.
    len: usize,
}

#[derive(Debug, Default, Clone, Copy)]
enum Escape {
    #[default]
    None,
    Backslash,
    Hex {
        digits: u8,
        value: u16,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unescaped {
    /// More bytes belong to the character.
    Part,
    Character(u8),
    /// A character that no base contains, or one of its bytes in UTF-8.
    NotAscii,
    /// The closing quote.
    End,
    Invalid,
}

impl Unescape {
    /// Number of bytes that the last character took.
    pub(super) fn len(self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, byte: u8) -> Unescaped {
        if matches!(self.state, Escape::None) {
            self.len = 0;
        }
        self.len += 1;
        match self.state {
            Escape::None => match byte {
                b'"' => Unescaped::End,
                b'\\' => {
                    self.state = Escape::Backslash;
                    Unescaped::Part
                }
                0x80.. => Unescaped::NotAscii,
                _ => Unescaped::Character(byte),
            },
            Escape::Backslash => {
                self.state = Escape::None;
                match byte {
                    b'"' | b'\\' | b'/' => Unescaped::Character(byte),
                    b'b' => Unescaped::Character(0x08),
                    b'f' => Unescaped::Character(0x0c),
                    b'n' => Unescaped::Character(b'\n'),
                    b'r' => Unescaped::Character(b'\r'),
                    b't' => Unescaped::Character(b'\t'),
                    b'u' => {
                        self.state = Escape::Hex {
                            digits: 0,
                            value: 0,
                        };
                        Unescaped::Part
                    }
                    _ => Unescaped::Invalid,
                }
            }
            Escape::Hex { digits, value } => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    return Unescaped::Invalid;
                };
                // A hexadecimal digit fits.
                let value = value << 4 | u16::try_from(digit).unwrap_or(0);
                if digits < 3 {
                    self.state = Escape::Hex {
                        digits: digits + 1,
                        value,
                    };
                    return Unescaped::Part;
                }
                self.state = Escape::None;
                match u8::try_from(value) {
                    Ok(character) if character.is_ascii() => Unescaped::Character(character),
                    _ => Unescaped::NotAscii,
                }
            }
        }
    }
}
