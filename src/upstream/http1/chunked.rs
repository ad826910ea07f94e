//! Decodes the chunked transfer coding (RFC 9112, section 7.1).

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Broken, response::may_be_complete};

/// The longest line at the start of a chunk, with its extensions, in bytes.
const MAX_LINE: usize = 4 << 10;
const MAX_TRAILERS: usize = 64;
/// The largest trailer section, in bytes.
const MAX_TRAILER_SECTION: usize = 16 << 10;

/// Finds the chunks in the received bytes.
#[derive(Debug)]
pub struct ChunkedDecoder {
    next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Size,
    Data(u64),
    /// The line end after a chunk.
    LineEnd,
    /// The trailers. This number of bytes is known not to contain all of them.
    Trailers(usize),
    Nothing,
}

/// The next part of a chunked body.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// More bytes must be received first.
    Incomplete,
}

impl ChunkedDecoder {
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

    /// Whether the body ends within the bytes received so far.
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
        let parsed = if is_worth_it {
            httparse::parse_headers(received, &mut fields).map_err(|_| Broken::Protocol)?
        } else {
            httparse::Status::Partial
        };
        let httparse::Status::Complete((length, fields)) = parsed else {
            self.next = Next::Trailers(received.len());
            return match received.len() {
                ..MAX_TRAILER_SECTION => Ok(Found::Incomplete),
                _ => Err(Broken::Protocol),
            };
        };
        let mut line_ends = memchr::memchr_iter(b'\n', &received[..length]);
        let is_strict = line_ends.all(|at| received[..at].ends_with(b"\r"));
        if length > MAX_TRAILER_SECTION || !is_strict {
            return Err(Broken::Protocol);
        }
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

/// Takes the line at the start of a chunk, and returns the size of the chunk. Unknown extensions
/// are ignored.
fn take_size(received: &mut BytesMut) -> Result<Option<u64>, Broken> {
    let end = memchr::memchr(b'\n', &received[..received.len().min(MAX_LINE)]);
    let Some(end) = end else {
        return match received.len() {
            ..MAX_LINE => Ok(None),
            _ => Err(Broken::Protocol),
        };
    };
    let line = received[..end].strip_suffix(b"\r");
    let line = line.filter(|line| !line.contains(&b'\r'));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data and the trailers of a body that comes in these pieces, and the number of bytes
    /// after it.
    fn decode(pieces: &[&[u8]]) -> Result<Option<(Vec<u8>, HeaderMap, usize)>, Broken> {
        let mut chunks = ChunkedDecoder::new();
        let mut received = BytesMut::new();
        let mut data = Vec::new();
        for piece in pieces {
            received.extend_from_slice(piece);
            loop {
                match chunks.take(&mut received)? {
                    Found::Incomplete => break,
                    Found::Data(found) => data.extend_from_slice(&found),
                    Found::Trailers(trailers) => return Ok(Some((data, trailers, received.len()))),
                    Found::End => return Ok(Some((data, HeaderMap::new(), received.len()))),
                }
                if chunks.ends_with(&mut received) {
                    return Ok(Some((data, HeaderMap::new(), received.len())));
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn sizes_extensions_and_trailers_are_read() {
        let text = b"3\r\nabc\r\n00A ;x=\"\r\" \r\n";
        assert!(decode(&[text]).is_err(), "a bare CR in an extension");
        let text = b"3 \t;a=b\r\nabc\r\n0a\r\n0123456789\r\n000\r\nA: b\r\nA: c\r\n\r\nHTTP";
        let (data, trailers, left) = decode(&[text]).expect("chunks").expect("all of them");
        assert_eq!(data, b"abc0123456789");
        assert_eq!(trailers.get_all("a").iter().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(left, 4);
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\na\r\n",
            " 1\r\na\r\n",
            "1 1\r\na\r\n",
            "0x1\r\na\r\n",
            "1\na\n",
            "1\r\nab\r\n",
            "1\r\na\n0\r\n\r\n",
            "1\r\na0\r\n\r\n",
            "10000000000000000\r\n",
            "0\r\nA b\r\n\r\n",
            "0\r\n\n",
            "0\r\nA: b\n\r\n",
        ] {
            assert!(decode(&[text.as_bytes()]).is_err(), "{text:?}");
        }
        let line = format!("1;{}", "a".repeat(MAX_LINE));
        assert!(decode(&[line.as_bytes()]).is_err());
        let trailers = format!("0\r\nA: {}", "a".repeat(MAX_TRAILER_SECTION));
        assert!(decode(&[trailers.as_bytes()]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn chunks_are_put_together_wherever_they_are_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            extension in "(;[a-z]{1,4}(=\"[a-z;]{0,4}\")?)?",
            trailer in prop::option::of("[a-z]{1,8}"),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend(format!("{:X}{extension}\r\n", chunk.len()).bytes());
                text.extend(chunk);
                text.extend(b"\r\n");
            }
            text.extend(b"0\r\n");
            text.extend(trailer.iter().flat_map(|value| format!("T: {value}\r\n").into_bytes()));
            text.extend(b"\r\n");
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            let (data, trailers, left) = decode(&pieces).expect("chunks").expect("all of them");
            prop_assert_eq!(data, chunks.concat());
            let found = trailers.get("t").map(|value| value.to_str().expect("text").to_owned());
            prop_assert_eq!(found, trailer);
            prop_assert_eq!(left, 0);
        }
    }
}
