//! Reads the `:path` of HTTP/2 header blocks (HPACK, RFC 7541).
//!
//! The dynamic table must change as the receiver's does, so every field is read. Of the fields
//! other than `:path`, only the sizes are kept. A block that h2 would refuse is an error, and ends
//! the reading. Delete this file with `http2_targets`.

mod huffman;

use std::collections::VecDeque;

#[cfg(test)]
pub(super) use huffman::encode;

/// The initial size of the table, and the largest that the client may choose (RFC 9113, section
/// 6.5.2).
const MAX_TABLE: usize = 4096;
/// The part of an entry's size that is not text (RFC 7541, section 4.1).
const OVERHEAD: usize = 32;
/// The largest number of bytes of an integer after its prefix, as in h2.
const MAX_INTEGER: usize = 4;
/// The memory for texts that is kept from block to block.
const SPARE: usize = 4096;
const PATH: &[u8] = b":path";

/// The lengths of the names in the static table (Appendix A), whose first index is 1.
const STATIC_NAMES: [usize; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14,
    16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10,
    25, 17, 10, 4, 3, 16,
];

/// The bytes are not a header block, or not one that h2 reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads the blocks of one connection, in order.
#[derive(Debug)]
pub(super) struct PathReader {
    /// The entries of the dynamic table, the newest first.
    entries: VecDeque<Entry>,
    size: usize,
    max_size: usize,
    /// The name and the value of a field, if they are Huffman-coded.
    name: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    name: Name,
    size: usize,
    /// The value, if the name is `:path`.
    path: Box<[u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Path,
    Other { length: usize },
}

impl Name {
    fn of(name: &[u8]) -> Self {
        match name {
            PATH => Self::Path,
            other => Self::Other {
                length: other.len(),
            },
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Path => PATH.len(),
            Self::Other { length } => length,
        }
    }
}

impl PathReader {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            max_size: MAX_TABLE,
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Reads a whole block and calls `found` with the value of each `:path` in it.
    pub(super) fn read(
        &mut self,
        mut block: &[u8],
        mut found: impl FnMut(&[u8]),
    ) -> Result<(), Malformed> {
        let mut may_resize = true;
        while let Some(first) = block.first() {
            match first.leading_zeros() {
                // Section 6.1.
                0 => match integer(&mut block, 7)? {
                    4 => found(b"/"),
                    5 => found(b"/index.html"),
                    index if is_static(index) => {}
                    index => {
                        let entry = self.entry(index)?;
                        if entry.name == Name::Path {
                            found(&entry.path);
                        }
                    }
                },
                // Section 6.2.1.
                1 => self.literal(&mut block, 6, true, &mut found)?,
                // Section 6.3, and 4.2: at the beginning of a block only.
                2 if may_resize => {
                    self.resize(integer(&mut block, 5)?)?;
                    continue;
                }
                2 => return Err(Malformed),
                // Sections 6.2.2 and 6.2.3.
                _ => self.literal(&mut block, 4, false, &mut found)?,
            }
            may_resize = false;
        }
        self.name.shrink_to(SPARE);
        self.value.shrink_to(SPARE);
        Ok(())
    }

    fn literal(
        &mut self,
        block: &mut &[u8],
        prefix: u32,
        is_indexed: bool,
        found: &mut impl FnMut(&[u8]),
    ) -> Result<(), Malformed> {
        let name = match integer(block, prefix)? {
            0 => Name::of(Text::take(block)?.read(&mut self.name)?),
            4 | 5 => Name::Path,
            index if is_static(index) => Name::Other {
                length: STATIC_NAMES[index - 1],
            },
            index => self.entry(index)?.name,
        };
        let value = Text::take(block)?;
        if name != Name::Path && !is_indexed {
            return Ok(());
        }
        let value = value.read(&mut self.value)?;
        let size = name.len() + value.len() + OVERHEAD;
        let mut path = &[][..];
        if name == Name::Path {
            found(value);
            path = value;
        }
        // Section 4.4: an entry larger than the table empties it.
        let fits = is_indexed && size <= self.max_size;
        let entry = fits.then(|| Entry {
            name,
            size,
            path: path.into(),
        });
        if is_indexed {
            self.evict(self.max_size.saturating_sub(size));
        }
        if let Some(entry) = entry {
            self.size += size;
            self.entries.push_front(entry);
        }
        Ok(())
    }

    /// Returns the entry of the dynamic table with that index (section 2.3.3).
    fn entry(&self, index: usize) -> Result<&Entry, Malformed> {
        let index = index.checked_sub(STATIC_NAMES.len() + 1);
        let entry = index.and_then(|index| self.entries.get(index));
        entry.ok_or(Malformed)
    }

    fn resize(&mut self, size: usize) -> Result<(), Malformed> {
        if size > MAX_TABLE {
            return Err(Malformed);
        }
        self.max_size = size;
        self.evict(size);
        Ok(())
    }

    /// Drops the oldest entries until the others take no more than `size`.
    fn evict(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size;
        }
    }
}

fn is_static(index: usize) -> bool {
    (1..=STATIC_NAMES.len()).contains(&index)
}

/// Reads an integer whose first byte has a prefix of so many bits (section 5.1).
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Malformed> {
    let (first, mut rest) = block.split_first().ok_or(Malformed)?;
    let mask = (1 << prefix) - 1;
    let mut value = usize::from(first & mask);
    let mut is_whole = value < usize::from(mask);
    let mut shift = 0;
    while !is_whole {
        let next;
        (next, rest) = rest.split_first().ok_or(Malformed)?;
        if shift == 7 * MAX_INTEGER {
            return Err(Malformed);
        }
        value += usize::from(next & 0x7f) << shift;
        shift += 7;
        is_whole = next & 0x80 == 0;
    }
    *block = rest;
    Ok(value)
}

/// A string as it was sent (section 5.2).
struct Text<'a> {
    bytes: &'a [u8],
    is_huffman: bool,
}

impl<'a> Text<'a> {
    fn take(block: &mut &'a [u8]) -> Result<Self, Malformed> {
        let is_huffman = block.first().is_some_and(|first| first & 0x80 != 0);
        let length = integer(block, 7)?;
        let (bytes, rest) = block.split_at_checked(length).ok_or(Malformed)?;
        *block = rest;
        Ok(Self { bytes, is_huffman })
    }

    /// Returns the text, decoded into `room` if necessary.
    fn read<'b>(self, room: &'b mut Vec<u8>) -> Result<&'b [u8], Malformed>
    where
        'a: 'b,
    {
        if !self.is_huffman {
            return Ok(self.bytes);
        }
        room.clear();
        huffman::decode(self.bytes, room).map_err(|_| Malformed)?;
        Ok(room)
    }
}

#[cfg(test)]
mod tests;
