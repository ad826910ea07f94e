//! Finds the end of comments, instructions, CDATA sections and document types, which begin with
//! `<!` or `<?`.
//!
//! FHIR forbids document types, but not every server refuses them. They are read only to find their
//! end. An entity that a document type defines is never expanded.

use super::Word;

/// The progress in one piece of markup, from its third character on.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Markup {
    place: Place,
    /// The keyword that follows `<!`.
    keyword: Word,
    in_prolog: bool,
    /// Whether the markup stands between the brackets of a document type.
    in_subset: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum Place {
    /// After `<!`.
    #[default]
    Keyword,
    /// Before `>`, which has to follow `mark`, repeated `times` times.
    Until { mark: u8, times: u8, seen: u8 },
    /// In a document type, outside of its brackets.
    DocumentType,
    /// Between the brackets of a document type.
    Subset,
    /// Between the brackets, after `<`.
    Less,
    /// Between the brackets, in a declaration.
    Declaration,
    /// In a quoted part of a document type or a declaration.
    Literal { quote: u8 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More bytes belong to the markup.
    Open,
    Ended,
    Invalid,
}

const COMMENT: Place = Place::until(b'-', 2);
const SECTION: Place = Place::until(b']', 2);
const INSTRUCTION: Place = Place::until(b'?', 1);

impl Place {
    const fn until(mark: u8, times: u8) -> Self {
        Self::Until {
            mark,
            times,
            seen: 0,
        }
    }
}

impl Markup {
    /// Begins after `<!` or `<?`. A document type stands in the prolog, before the document's
    /// element.
    pub(super) fn begun_with(second: u8, in_prolog: bool) -> Self {
        Self {
            place: if second == b'?' {
                INSTRUCTION
            } else {
                Place::Keyword
            },
            in_prolog,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, byte: u8) -> Progress {
        let next = match self.place {
            Place::Keyword => self.keyword(byte),
            Place::Until { times, seen, .. } if byte == b'>' && seen == times => self
                .in_subset
                .then_some(Place::Subset)
                .ok_or(Progress::Ended),
            Place::Until { mark, times, seen } => Ok(Place::Until {
                mark,
                times,
                seen: if byte == mark { times.min(seen + 1) } else { 0 },
            }),
            Place::DocumentType => match byte {
                b'"' | b'\'' => Ok(Place::Literal { quote: byte }),
                b'[' => {
                    self.in_subset = true;
                    Ok(Place::Subset)
                }
                b'>' => Err(Progress::Ended),
                b'<' => Err(Progress::Invalid),
                _ => Ok(Place::DocumentType),
            },
            Place::Subset => match byte {
                b'<' => Ok(Place::Less),
                b']' => {
                    self.in_subset = false;
                    Ok(Place::DocumentType)
                }
                b'>' | b'"' | b'\'' | b'[' => Err(Progress::Invalid),
                _ => Ok(Place::Subset),
            },
            Place::Less => match byte {
                b'?' => Ok(INSTRUCTION),
                b'!' => {
                    self.keyword = Word::default();
                    Ok(Place::Keyword)
                }
                _ => Err(Progress::Invalid),
            },
            Place::Declaration => match byte {
                b'"' | b'\'' => Ok(Place::Literal { quote: byte }),
                b'>' => Ok(Place::Subset),
                b'<' => Err(Progress::Invalid),
                _ => Ok(Place::Declaration),
            },
            Place::Literal { quote } if byte != quote => Ok(Place::Literal { quote }),
            Place::Literal { .. } if self.in_subset => Ok(Place::Declaration),
            Place::Literal { .. } => Ok(Place::DocumentType),
        };
        match next {
            Ok(place) => {
                self.place = place;
                Progress::Open
            }
            Err(end) => end,
        }
    }

    fn keyword(&mut self, byte: u8) -> Result<Place, Progress> {
        if self.in_subset && byte.is_ascii_uppercase() {
            return Ok(Place::Declaration);
        }
        self.keyword.push(byte);
        let expected: &[&[u8]] = match (self.in_subset, self.in_prolog) {
            (true, _) => &[b"--"],
            (false, true) => &[b"--", b"DOCTYPE"],
            (false, false) => &[b"--", b"[CDATA["],
        };
        match self.keyword.bytes() {
            start if !expected.iter().any(|word| word.starts_with(start)) => Err(Progress::Invalid),
            b"--" => Ok(COMMENT),
            b"[CDATA[" => Ok(SECTION),
            b"DOCTYPE" => Ok(Place::DocumentType),
            _ => Ok(Place::Keyword),
        }
    }
}
