//! Content codings: the one that a head names, and the one that the first bytes of the body show.

use flate2::{Decompress, FlushDecompress, Status};
use http::{HeaderMap, header};

use super::decoder::Compression;

/// How a member of gzip starts that can be decoded (RFC 1952, section 2.3.1).
const GZIP_DEFLATE: [u8; 3] = [0x1f, 0x8b, 8];

/// In so many bytes a compressed document has said something.
const ENOUGH: usize = 1 << 10;

/// The content codings that can be decoded (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Coding {
    Gzip,
    Deflate,
}

/// A coding, or several, that cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Unknown;

impl Coding {
    /// `None` if there is none.
    pub(in crate::proxy) fn of(headers: &HeaderMap) -> Result<Option<Self>, Unknown> {
        let values = headers.get_all(header::CONTENT_ENCODING).iter();
        let mut codings = values
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
        let Some(coding) = codings.next() else {
            return Ok(None);
        };
        let is = |name: &[u8]| coding.eq_ignore_ascii_case(name);
        match codings.next() {
            None if is(b"gzip") || is(b"x-gzip") => Ok(Some(Self::Gzip)),
            None if is(b"deflate") => Ok(Some(Self::Deflate)),
            _ => Err(Unknown),
        }
    }

    /// What a body that starts so is. `None` until more of it has come.
    pub(in crate::proxy) fn compression(self, start: &[u8], is_whole: bool) -> Option<Compression> {
        let magic = &GZIP_DEFLATE[..start.len().min(GZIP_DEFLATE.len())];
        if !start.is_empty() && start.starts_with(magic) {
            return if magic.len() == GZIP_DEFLATE.len() {
                // By the name of `deflate` too, as browsers take it.
                Some(Compression::Gzip)
            } else {
                is_whole.then_some(Compression::Unknown)
            };
        }
        match (self, start) {
            (_, []) | (Self::Deflate, [_]) => is_whole.then_some(Compression::Unknown),
            (Self::Gzip, _) => Some(Compression::Unknown),
            (Self::Deflate, [method, flags, ..]) if is_zlib(*method, *flags) => {
                Some(Compression::Zlib)
            }
            (Self::Deflate, _) => raw_deflate(start, is_whole),
        }
    }
}

/// RFC 1950, section 2.2; none that needs a dictionary.
fn is_zlib(method: u8, flags: u8) -> bool {
    method & 0x0f == 8
        && method >> 4 <= 7
        && flags & 0x20 == 0
        && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

/// Nearly anything may pass for the start of such a stream. What it says must begin like a document.
fn raw_deflate(start: &[u8], is_whole: bool) -> Option<Compression> {
    let is_enough = is_whole || start.len() >= ENOUGH;
    let start = &start[..start.len().min(ENOUGH)];
    let mut said = Vec::with_capacity(ENOUGH);
    let result = Decompress::new(false).decompress_vec(start, &mut said, FlushDecompress::None);
    match (result, said.first()) {
        (Ok(_), Some(b'{' | b'[' | b'<' | b'"' | b' ' | b'\t' | b'\n' | b'\r' | 0xef)) => {
            Some(Compression::RawDeflate)
        }
        (Ok(Status::Ok | Status::BufError), None) if !is_enough => None,
        _ => Some(Compression::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_read_in_every_spelling() {
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&[""], Ok(None)),
            (&["identity"], Ok(None)),
            (&["GZip"], Ok(Some(Coding::Gzip))),
            (&["x-gzip ,"], Ok(Some(Coding::Gzip))),
            (&["gzip, Identity"], Ok(Some(Coding::Gzip))),
            (&["identity", "deflate"], Ok(Some(Coding::Deflate))),
            (&["gzip, gzip"], Err(Unknown)),
            (&["gzip", "br"], Err(Unknown)),
            (&["br, identity"], Err(Unknown)),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = http::HeaderValue::from_static(value);
                headers.append(header::CONTENT_ENCODING, value);
            }
            assert_eq!(Coding::of(&headers), expected, "{values:?}");
        }
    }

    #[test]
    fn the_first_bytes_tell_what_a_body_is() {
        use Compression::{Gzip, RawDeflate, Unknown as Neither, Zlib};
        // An empty document, and `{}`, in one fixed block each; then a stored one.
        let (empty, object) = ([0x03, 0x00], [0xab, 0xae, 0x05, 0x00]);
        let stored = [1, 2, 0, 0xfd, 0xff, b'[', b']'];
        for (coding, start, so_far, in_all) in [
            (Coding::Gzip, &b""[..], None, Neither),
            (Coding::Gzip, b"\x1f\x8b", None, Neither),
            (Coding::Gzip, b"\x1f\x8b\x08", Some(Gzip), Gzip),
            (Coding::Gzip, b"\x1f\x8b\x07", Some(Neither), Neither),
            (Coding::Gzip, b"{", Some(Neither), Neither),
            (Coding::Gzip, b"\x78\x9c", Some(Neither), Neither),
            (Coding::Deflate, b"", None, Neither),
            (Coding::Deflate, b"\x78", None, Neither),
            (Coding::Deflate, b"\x78\x9c", Some(Zlib), Zlib),
            // With a dictionary that nobody here has.
            (Coding::Deflate, b"\x78\xbb\0\0\0", Some(Neither), Neither),
            (Coding::Deflate, b"\x1f\x8b", None, Neither),
            (Coding::Deflate, b"\x1f\x8b\x08", Some(Gzip), Gzip),
            (Coding::Deflate, &empty, Some(Neither), Neither),
            (Coding::Deflate, &object, Some(RawDeflate), RawDeflate),
            (Coding::Deflate, &stored[..5], None, Neither),
            (Coding::Deflate, &stored[..6], Some(RawDeflate), RawDeflate),
            (Coding::Deflate, b"{\"a\"", Some(Neither), Neither),
            (Coding::Deflate, &[0; ENOUGH], Some(Neither), Neither),
        ] {
            assert_eq!(coding.compression(start, false), so_far, "{start:x?}");
            assert_eq!(coding.compression(start, true), Some(in_all), "{start:x?}");
        }
        // Empty blocks, which say nothing and never end.
        let nothing = [0, 0, 0, 0xff, 0xff].repeat(ENOUGH / 5 + 1);
        let first = &nothing[..ENOUGH - 1];
        assert_eq!(Coding::Deflate.compression(first, false), None);
        assert_eq!(Coding::Deflate.compression(&nothing, false), Some(Neither));
    }
}
