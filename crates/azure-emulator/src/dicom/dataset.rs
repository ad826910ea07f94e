//! Reads and writes part 10 files (PS3.10): little endian, explicit or implicit VR.

use std::{collections::BTreeMap, ops::Range};

use super::dictionary;

const IMPLICIT_VR: &str = "1.2.840.10008.1.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
/// A length that ends at a delimiter.
const UNDEFINED: u32 = u32::MAX;
const ITEM: u32 = 0xfffe_e000;
const ITEM_END: u32 = 0xfffe_e00d;
const SEQUENCE_END: u32 = 0xfffe_e0dd;
/// Sequences nest; files that nest deeper than this are made to hurt.
const MAX_DEPTH: u32 = 16;

/// The reason why the service refuses a DICOM file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum ParseError {
    #[error("the file does not start with a preamble and DICM")]
    NotDicom,
    #[error("the file ends inside an element")]
    Truncated,
    #[error("transfer syntax {0} is not supported")]
    TransferSyntax(String),
    #[error("sequences nest too deep")]
    TooDeep,
}

/// The value of one element, as places in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Plain(Range<usize>),
    Items(Vec<Dataset>),
    /// Encapsulated pixel data; the offset table comes first.
    Fragments(Vec<Range<usize>>),
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) vr: [u8; 2],
    pub(super) value: Value,
}

/// Elements by tag.
pub(super) type Dataset = BTreeMap<u32, Element>;

/// Parses a file. The result contains the file's meta group as well.
pub(super) fn parse(file: &[u8]) -> Result<Dataset, ParseError> {
    if file.get(128..132) != Some(b"DICM") {
        return Err(ParseError::NotDicom);
    }
    let mut reader = Reader {
        file,
        at: 132,
        end: file.len(),
        explicit: true,
        depth: 0,
    };
    let mut dataset = Dataset::new();
    while reader.peek_tag().is_some_and(|tag| tag >> 16 == 2) {
        let (tag, element) = reader.element()?;
        dataset.insert(tag, element);
    }
    let syntax = text(file, &dataset, dictionary::TRANSFER_SYNTAX).unwrap_or_default();
    if syntax == DEFLATED || syntax == BIG_ENDIAN {
        return Err(ParseError::TransferSyntax(syntax));
    }
    reader.explicit = syntax != IMPLICIT_VR;
    while reader.at < reader.end {
        let (tag, element) = reader.element()?;
        dataset.insert(tag, element);
    }
    Ok(dataset)
}

/// The text of an element, without its padding.
pub(super) fn text(file: &[u8], dataset: &Dataset, tag: u32) -> Option<String> {
    match &dataset.get(&tag)?.value {
        Value::Plain(range) => {
            let text = String::from_utf8_lossy(&file[range.clone()]);
            Some(text.trim_matches(['\0', ' ']).to_owned())
        }
        _ => None,
    }
}

/// The number in an element of VR US or IS.
pub(super) fn number(file: &[u8], dataset: &Dataset, tag: u32) -> Option<usize> {
    let element = dataset.get(&tag)?;
    match (&element.vr, &element.value) {
        (b"US", Value::Plain(range)) => {
            let bytes = file.get(range.start..range.start + 2)?;
            Some(usize::from(u16::from_le_bytes(bytes.try_into().ok()?)))
        }
        _ => text(file, dataset, tag)?.parse().ok(),
    }
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
    end: usize,
    explicit: bool,
    depth: u32,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Result<Range<usize>, ParseError> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.end);
        let range = self.at..end.ok_or(ParseError::Truncated)?;
        self.at = range.end;
        Ok(range)
    }

    fn u16(&mut self) -> Result<u16, ParseError> {
        let bytes = &self.file[self.take(2)?];
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, ParseError> {
        let bytes = &self.file[self.take(4)?];
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn tag(&mut self) -> Result<u32, ParseError> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    fn peek_tag(&self) -> Option<u32> {
        let bytes = self.file.get(self.at..self.at + 4)?;
        let half = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]));
        Some(half(bytes[0], bytes[1]) << 16 | half(bytes[2], bytes[3]))
    }

    fn element(&mut self) -> Result<(u32, Element), ParseError> {
        let tag = self.tag()?;
        let (vr, length) = if self.explicit {
            let range = self.take(2)?;
            let vr = [self.file[range.start], self.file[range.start + 1]];
            let length = if has_long_length(vr) {
                self.take(2)?;
                self.u32()?
            } else {
                u32::from(self.u16()?)
            };
            (vr, length)
        } else {
            (dictionary::vr(tag), self.u32()?)
        };
        let value = match (&vr, length) {
            (b"SQ", _) => Value::Items(self.items(length)?),
            (_, UNDEFINED) if tag == dictionary::PIXEL_DATA => Value::Fragments(self.fragments()?),
            // Of undefined length and unknown: a sequence in implicit VR (PS3.5, 6.2.2).
            (_, UNDEFINED) => {
                let explicit = std::mem::replace(&mut self.explicit, false);
                let items = self.items(length);
                self.explicit = explicit;
                Value::Items(items?)
            }
            (_, length) => Value::Plain(self.take(length as usize)?),
        };
        Ok((tag, Element { vr, value }))
    }

    fn items(&mut self, length: u32) -> Result<Vec<Dataset>, ParseError> {
        if self.depth == MAX_DEPTH {
            return Err(ParseError::TooDeep);
        }
        self.depth += 1;
        let outer = self.enter(length)?;
        let mut items = Vec::new();
        while self.at < self.end {
            match (self.tag()?, self.u32()?) {
                (SEQUENCE_END, _) => break,
                (_, length) => items.push(self.item(length)?),
            }
        }
        self.leave(outer, length);
        self.depth -= 1;
        Ok(items)
    }

    fn item(&mut self, length: u32) -> Result<Dataset, ParseError> {
        let outer = self.enter(length)?;
        let mut item = Dataset::new();
        while self.at < self.end {
            if self.peek_tag() == Some(ITEM_END) {
                self.take(8)?;
                break;
            }
            let (tag, element) = self.element()?;
            item.insert(tag, element);
        }
        self.leave(outer, length);
        Ok(item)
    }

    fn fragments(&mut self) -> Result<Vec<Range<usize>>, ParseError> {
        let mut fragments = Vec::new();
        loop {
            match (self.tag()?, self.u32()?) {
                (ITEM, length) => fragments.push(self.take(length as usize)?),
                _ => return Ok(fragments),
            }
        }
    }

    /// Narrows the reader to a length, if there is one; returns the end to go back to.
    fn enter(&mut self, length: u32) -> Result<usize, ParseError> {
        let outer = self.end;
        if length != UNDEFINED {
            let end = self.at.checked_add(length as usize);
            self.end = end
                .filter(|&end| end <= outer)
                .ok_or(ParseError::Truncated)?;
        }
        Ok(outer)
    }

    fn leave(&mut self, outer: usize, length: u32) {
        if length != UNDEFINED {
            self.at = self.end;
        }
        self.end = outer;
    }
}

/// VRs whose length takes four bytes in explicit VR (PS3.5, 7.1.2).
fn has_long_length(vr: [u8; 2]) -> bool {
    matches!(
        &vr,
        b"OB"
            | b"OD"
            | b"OF"
            | b"OL"
            | b"OV"
            | b"OW"
            | b"SQ"
            | b"SV"
            | b"UC"
            | b"UN"
            | b"UR"
            | b"UT"
            | b"UV"
    )
}

/// Writes a file in explicit VR little endian from elements in the order of their tags.
pub(in super::super) fn write(elements: &[(u32, [u8; 2], Vec<u8>)]) -> Vec<u8> {
    let mut meta = Vec::new();
    push(
        &mut meta,
        dictionary::TRANSFER_SYNTAX,
        *b"UI",
        b"1.2.840.10008.1.2.1",
    );
    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    let length = u32::try_from(meta.len()).expect("one short element");
    push(&mut file, 0x0002_0000, *b"UL", &length.to_le_bytes());
    file.extend(meta);
    for (tag, vr, value) in elements {
        push(&mut file, *tag, *vr, value);
    }
    file
}

fn push(file: &mut Vec<u8>, tag: u32, vr: [u8; 2], value: &[u8]) {
    let [a, b, c, d] = tag.to_be_bytes();
    file.extend_from_slice(&[b, a, d, c]);
    file.extend_from_slice(&vr);
    let padded = value.len().next_multiple_of(2);
    if has_long_length(vr) {
        let length = u32::try_from(padded).expect("a small value");
        file.extend_from_slice(&[0, 0]);
        file.extend_from_slice(&length.to_le_bytes());
    } else {
        let length = u16::try_from(padded).expect("a small value");
        file.extend_from_slice(&length.to_le_bytes());
    }
    file.extend_from_slice(value);
    if padded > value.len() {
        file.push(if matches!(&vr, b"UI" | b"OB") {
            0
        } else {
            b' '
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCES: u32 = 0x0008_1140;

    fn file(syntax: &str, dataset: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 128];
        file.extend_from_slice(b"DICM");
        push(
            &mut file,
            dictionary::TRANSFER_SYNTAX,
            *b"UI",
            syntax.as_bytes(),
        );
        file.extend_from_slice(dataset);
        file
    }

    fn implicit(tag: u32, length: u32, value: &[u8]) -> Vec<u8> {
        let [a, b, c, d] = tag.to_be_bytes();
        let mut element = vec![b, a, d, c];
        element.extend(length.to_le_bytes());
        element.extend(value);
        element
    }

    #[test]
    fn reads_what_it_wrote() {
        let file = write(&[
            (dictionary::STUDY, *b"UI", b"1.2.3".to_vec()),
            (dictionary::ROWS, *b"US", 16_u16.to_le_bytes().to_vec()),
            (dictionary::PIXEL_DATA, *b"OB", vec![7; 3]),
        ]);
        let dataset = parse(&file).expect("a valid file");
        assert_eq!(
            text(&file, &dataset, dictionary::STUDY),
            Some("1.2.3".into())
        );
        assert_eq!(number(&file, &dataset, dictionary::ROWS), Some(16));
        assert_eq!(
            dataset[&dictionary::PIXEL_DATA].value,
            Value::Plain(file.len() - 4..file.len())
        );
    }

    #[test]
    fn reads_implicit_vr_and_nested_sequences() {
        let uid = implicit(0x0008_1155, 4, b"1.2\0");
        let inner = implicit(ITEM, u32::try_from(uid.len()).expect("short"), &uid);
        let mut open = implicit(ITEM, UNDEFINED, &uid);
        open.extend(implicit(ITEM_END, 0, b""));
        open.extend(&inner);
        open.extend(implicit(SEQUENCE_END, 0, b""));
        let mut dataset = implicit(REFERENCES, UNDEFINED, &open);
        dataset.extend(implicit(0x0010_0020, 4, b"ID1 "));

        let file = file(IMPLICIT_VR, &dataset);
        let parsed = parse(&file).expect("a valid file");
        assert_eq!(text(&file, &parsed, 0x0010_0020), Some("ID1".into()));
        match &parsed[&REFERENCES].value {
            Value::Items(items) => {
                assert_eq!(items.len(), 2);
                assert_eq!(text(&file, &items[1], 0x0008_1155), Some("1.2".into()));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn broken_files_are_errors_and_never_panics() {
        assert_eq!(parse(b""), Err(ParseError::NotDicom));
        let whole = write(&[(dictionary::STUDY, *b"UI", b"1.2.3.4".to_vec())]);
        for length in 0..whole.len() {
            let _ = parse(&whole[..length]);
        }
        assert_eq!(parse(&whole[..whole.len() - 1]), Err(ParseError::Truncated));
        assert_eq!(
            parse(&file(BIG_ENDIAN, b"")),
            Err(ParseError::TransferSyntax(BIG_ENDIAN.into()))
        );
        let deep = implicit(REFERENCES, UNDEFINED, &implicit(ITEM, UNDEFINED, b"")).repeat(20);
        assert_eq!(parse(&file(IMPLICIT_VR, &deep)), Err(ParseError::TooDeep));
    }
}
