//! The chunked transfer coding, taken off (RFC 9112, section 7.1).

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Broken, response::may_be_complete};

/// The line that a chunk begins with, with its extensions, in bytes.
const MAX_LINE: usize = 4 << 10;
const MAX_TRAILERS: usize = 64;
/// In bytes.
const MAX_TRAILER_SECTION: usize = 16 << 10;

/// Finds the chunks in what has been received.
#[derive(Debug)]
pub(super) struct Chunks {
    next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Size,
    Data(u64),
    /// The line end after a chunk.
    LineEnd,
    /// Of these many bytes it is known that they do not hold them all.
    Trailers(usize),
    Nothing,
}

/// What was found.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// Nothing, until more is received.
    Incomplete,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { next: Next::Size }
    }

    pub(super) fn take(&mut self, received: &mut BytesMut) -> Result<Found, Broken> {
        loop {
            match self.next {
                Next::Size => match take_size(received)? {
                    None => return Ok(Found::Incomplete),
                    Some(0) => self.next = Next::Trailers(0),
                    Some(size) => self.next = Next::Data(size),
                },
                Next::Data(_) if received.is_empty() => return Ok(Found::Incomplete),
                Next::Data(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX);
                    let data = received.split_to(count.min(received.len())).freeze();
                    self.next = match left - data.len() as u64 {
                        0 => Next::LineEnd,
                        left => Next::Data(left),
                    };
                    return Ok(Found::Data(data));
                }
                Next::LineEnd => match received[..] {
                    [b'\r', b'\n', ..] => {
                        received.advance(2);
                        self.next = Next::Size;
                    }
                    [] | [b'\r'] => return Ok(Found::Incomplete),
                    _ => return Err(Broken::Protocol),
                },
                Next::Trailers(seen) => return self.take_trailers(received, seen),
                Next::Nothing => return Ok(Found::End),
            }
        }
    }

    /// Whether nothing is left to come, as far as has been received.
    pub(super) fn ends_with(&mut self, received: &mut BytesMut) -> bool {
        const LAST: &[u8] = b"\r\n0\r\n\r\n";
        if self.next == Next::LineEnd && received[..] == *LAST {
            received.advance(LAST.len());
            self.next = Next::Nothing;
        }
        self.next == Next::Nothing
    }

    fn take_trailers(&mut self, received: &mut BytesMut, seen: usize) -> Result<Found, Broken> {
        if received.starts_with(b"\r\n") {
            received.advance(2);
            self.next = Next::Nothing;
            return Ok(Found::End);
        }
        let is_worth_it = seen == 0 || may_be_complete(&received[seen.saturating_sub(3)..]);
        let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        let parsed = match is_worth_it {
            true => httparse::parse_headers(received, &mut fields).map_err(|_| Broken::Protocol)?,
            false => httparse::Status::Partial,
        };
        let httparse::Status::Complete((length, fields)) = parsed else {
            self.next = Next::Trailers(received.len());
            return match received.len() {
                ..MAX_TRAILER_SECTION => Ok(Found::Incomplete),
                _ => Err(Broken::Protocol),
            };
        };
        let mut trailers = HeaderMap::with_capacity(fields.len());
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(Broken::Protocol);
            };
            trailers.append(name, value);
        }
        received.advance(length);
        self.next = Next::Nothing;
        Ok(Found::Trailers(trailers))
    }
}

/// Takes off the line that a chunk begins with. Extensions say nothing to us, and must be
/// overlooked.
fn take_size(received: &mut BytesMut) -> Result<Option<u64>, Broken> {
    let Some(end) = memchr::memchr(b'\n', received) else {
        return match received.len() {
            ..MAX_LINE => Ok(None),
            _ => Err(Broken::Protocol),
        };
    };
    let line = received[..end].strip_suffix(b"\r");
    let line = line.filter(|line| line.len() < MAX_LINE && !line.contains(&b'\r'));
    let line = line.ok_or(Broken::Protocol)?;
    let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let size = hexadecimal(size.trim_ascii_end()).ok_or(Broken::Protocol)?;
    received.advance(end + 1);
    Ok(Some(size))
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
