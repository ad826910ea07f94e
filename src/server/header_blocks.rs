//! Finds the header blocks in the bytes that an HTTP/2 client sends (RFC 9113, sections 4 and 6),
//! however the bytes are cut, and skips all other frames. A frame that h2 would refuse is an error.
//! Delete this file with `http2_targets`.

use std::borrow::Cow;

use super::hpack::Malformed;

const HEADERS: u8 = 1;
/// A frame that clients must not send: h2 ends the connection (section 8.4).
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;

const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The length of the connection preface, "PRI * HTTP/2.0..." (section 3.4).
const PREFACE: usize = 24;
const HEAD: usize = 9;

/// Reads the frames of one connection, from its first byte.
#[derive(Debug)]
pub(super) struct HeaderBlocks {
    max_block: usize,
    next: Next,
    /// The start of the next part, if the bytes were cut within it.
    part: Vec<u8>,
    /// The stream whose block continues in CONTINUATION frames.
    open: Option<u32>,
    block: Vec<u8>,
}

/// The part of the connection that comes next.
#[derive(Debug, Clone, Copy)]
enum Next {
    Skipped(usize),
    Head,
    Payload(Head),
}

/// The head of a frame that contains a block or a part of one.
#[derive(Debug, Clone, Copy)]
struct Head {
    length: usize,
    is_headers: bool,
    flags: u8,
    stream: u32,
}

impl HeaderBlocks {
    /// Creates a reader for which a block of more than `max_block` bytes is an error.
    pub(super) fn new(max_block: usize) -> Self {
        Self {
            max_block,
            next: Next::Skipped(PREFACE),
            part: Vec::new(),
            open: None,
            block: Vec::new(),
        }
    }

    /// Takes the next bytes, and calls `found` with each block that they complete.
    pub(super) fn read(
        &mut self,
        mut bytes: &[u8],
        mut found: impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        loop {
            match self.next {
                Next::Skipped(left) => {
                    let Some(rest) = bytes.get(left..) else {
                        self.next = Next::Skipped(left - bytes.len());
                        return Ok(());
                    };
                    bytes = rest;
                    self.next = Next::Head;
                }
                Next::Head => {
                    let Some(head) = whole(&mut self.part, HEAD, &mut bytes) else {
                        return Ok(());
                    };
                    self.next = self.after(&head)?;
                }
                Next::Payload(head) => {
                    let Some(payload) = whole(&mut self.part, head.length, &mut bytes) else {
                        return Ok(());
                    };
                    self.next = Next::Head;
                    self.take_fragment(head, head.fragment(&payload)?, &mut found)?;
                }
            }
        }
    }

    fn after(&self, head: &[u8]) -> Result<Next, Malformed> {
        let [a, b, c, kind, flags, stream @ ..] = head else {
            return Err(Malformed);
        };
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let stream = u32::from_be_bytes(stream.try_into().map_err(|_| Malformed)?) & (!0 >> 1);
        let is_headers = match (*kind, self.open) {
            (HEADERS, None) if stream != 0 => true,
            (CONTINUATION, Some(open)) if stream == open => false,
            (HEADERS | PUSH_PROMISE | CONTINUATION, _) | (_, Some(_)) => return Err(Malformed),
            (_, None) => return Ok(Next::Skipped(length)),
        };
        if self.block.len() + length > self.max_block {
            return Err(Malformed);
        }
        Ok(Next::Payload(Head {
            length,
            is_headers,
            flags: *flags,
            stream,
        }))
    }

    fn take_fragment(
        &mut self,
        head: Head,
        fragment: &[u8],
        found: &mut impl FnMut(&[u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let is_end = head.flags & END_HEADERS != 0;
        self.open = (!is_end).then_some(head.stream);
        if is_end && head.is_headers {
            return found(fragment);
        }
        self.block.extend_from_slice(fragment);
        if is_end {
            found(&std::mem::take(&mut self.block))?;
        }
        Ok(())
    }
}

impl Head {
    /// Returns the payload without padding and priority (section 6.2).
    fn fragment(self, payload: &[u8]) -> Result<&[u8], Malformed> {
        let mut fragment = payload;
        let mut padding = 0;
        if self.is_headers && self.flags & PADDED != 0 {
            let (length, rest) = fragment.split_first().ok_or(Malformed)?;
            (padding, fragment) = (usize::from(*length), rest);
        }
        if self.is_headers && self.flags & PRIORITY != 0 {
            let (dependency, rest) = fragment.split_first_chunk().ok_or(Malformed)?;
            if u32::from_be_bytes(*dependency) & (!0 >> 1) == self.stream {
                // h2 resets the stream without reading the block, so its table and this one would
                // differ from then on.
                return Err(Malformed);
            }
            // The weight.
            fragment = rest.get(1..).ok_or(Malformed)?;
        }
        let end = fragment.len().checked_sub(padding).ok_or(Malformed)?;
        Ok(&fragment[..end])
    }
}

/// Returns the next `length` bytes of the connection, copied only if `part` begins them.
fn whole<'a>(part: &mut Vec<u8>, length: usize, bytes: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
    if part.is_empty()
        && let Some((whole, rest)) = bytes.split_at_checked(length)
    {
        *bytes = rest;
        return Some(Cow::Borrowed(whole));
    }
    let missing = (length - part.len()).min(bytes.len());
    let (next, rest) = bytes.split_at(missing);
    part.extend_from_slice(next);
    *bytes = rest;
    (part.len() == length).then(|| Cow::Owned(std::mem::take(part)))
}

#[cfg(test)]
pub(super) mod tests;
