//! Inspects the target of an HTTP/1.1 request as the client wrote it.
//!
//! The `http` crate silently drops a raw `#` and the rest, so a search or a delete would reach
//! further than requested. The request line is therefore read on its way in.
//!
//! Without it, `a_raw_number_sign_is_refused_rather_than_cutting_the_target_off` in
//! `tests/it/raw_targets.rs` fails. Delete it once hyper refuses such a target.

use http::{Request, uri::PathAndQuery};
use memchr::{memchr, memchr3};

/// The first byte of every TLS record of a handshake (RFC 8446, section 5.1).
pub(super) const HANDSHAKE: u8 = 22;

/// Marks, in a request's extensions, that the target contains or may have contained a raw `#`,
/// which is not allowed (RFC 9112, section 3.2).
#[derive(Debug, Clone, Copy)]
pub struct CutTarget;

/// Whether the target is provably whole, for a request whose line was not inspected. Target and
/// fields are slices of the memory that they were read into, so their distance shows whether any
/// bytes stood between them. `false` if the client wrote unusual spaces, or if the parser copied
/// the bytes.
pub(super) fn is_whole<B>(request: &Request<B>) -> bool {
    let target = request.uri().path_and_query().map(PathAndQuery::as_str);
    let (Some(target), Some((name, value))) = (target, request.headers().iter().next()) else {
        return false;
    };
    let between = " HTTP/1.1\r\n".len() + name.as_str().len() + ": ".len();
    let end = target.as_bytes().as_ptr_range().end.addr();
    value.as_bytes().as_ptr().addr() == end + between
}

/// A request line, read in pieces.
#[derive(Debug)]
pub(super) struct RequestLine {
    state: State,
    /// A character in the target that no target may contain, or the first byte of a TLS handshake in
    /// place of a line.
    forbidden: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the request line. Line ends before it are not part of it (RFC 9112, section 2.2).
    Before,
    Inside {
        is_cut: bool,
    },
    /// The rest of the head, which is not inspected.
    Behind,
}

impl RequestLine {
    /// Creates a line that has not begun.
    pub(super) fn new() -> Self {
        Self {
            state: State::Before,
            forbidden: None,
        }
    }

    /// Adds bytes. At the end of the line, returns whether its target is going to be cut.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Option<bool> {
        if self.state == State::Before {
            let start = bytes
                .iter()
                .position(|byte| !matches!(byte, b'\r' | b'\n'))?;
            bytes = &bytes[start..];
            self.state = State::Inside { is_cut: false };
            self.forbidden = bytes.first().copied().filter(|byte| *byte == HANDSHAKE);
        }
        let State::Inside { is_cut } = &mut self.state else {
            return None;
        };
        let end = memchr(b'\n', bytes);
        let line = &bytes[..end.unwrap_or(bytes.len())];
        *is_cut |= memchr(b'#', line).is_some();
        if let Some(at) = memchr3(b'"', b'<', b'>', line) {
            self.forbidden.get_or_insert(line[at]);
        }
        let is_cut = *is_cut;
        end.map(|_| {
            self.state = State::Behind;
            is_cut
        })
    }

    /// The character that keeps the line from being a valid request.
    pub(super) fn forbidden(&self) -> Option<char> {
        self.forbidden.map(char::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&str]) -> (Option<bool>, Option<char>) {
        let mut line = RequestLine::new();
        let mut found = None;
        for piece in pieces {
            let read = line.read(piece.as_bytes());
            assert!(found.is_none() || read.is_none(), "told once");
            found = found.or(read);
        }
        (found, line.forbidden())
    }

    #[test]
    fn a_number_sign_counts_in_the_line_alone_however_it_is_cut() {
        for (text, is_cut, forbidden) in [
            ("GET /a?b HTTP/1.1\r\nA: #\r\n\r\n", false, None),
            ("\r\n\r\nGET /a?b#c HTTP/1.1\r\n", true, None),
            ("GET /a#\n", true, None),
            ("GET /%23 HTTP/1.1\n#\n", false, None),
            ("GET /a?b=<c> HTTP/1.1\r\n\"\r\n", false, Some('<')),
        ] {
            assert_eq!(cut(&[text]), (Some(is_cut), forbidden), "{text}");
            for at in 0..text.len() {
                assert_eq!(
                    cut(&[&text[..at], &text[at..]]),
                    (Some(is_cut), forbidden),
                    "{text}"
                );
            }
        }
        assert_eq!(cut(&["GET /a?b#c"]), (None, None));
    }
}
