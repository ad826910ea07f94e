//! Reads the head of a response, and the length of its body (RFC 9112, sections 4 and 6.3).

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use hyper::ext::ReasonPhrase;

use super::{super::list_field::members, Broken};

const MAX_HEADERS: usize = 256;
/// The largest head in bytes. The interim responses before it may have as many again.
const MAX_HEAD: usize = 256 << 10;

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    /// The status, never an interim one.
    pub status: StatusCode,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All header fields, except for a `Content-Length` that `Transfer-Encoding` overrides.
    pub headers: HeaderMap,
    /// The reason phrase, if it is not the usual one of the status.
    pub reason: Option<ReasonPhrase>,
    /// The length of the body.
    pub length: Length,
    /// Whether the response has no body, by the method or status (RFC 9110, sections 9.3.2, 15.3.5,
    /// 15.3.6 and 15.4.5) or by a length of 0.
    pub is_bodiless: bool,
    /// Whether the connection may take another request.
    pub keeps_alive: bool,
}

/// The mark of the end of a response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// This number of bytes.
    Known(u64),
    /// The last chunk.
    Chunked,
    /// The end of the connection.
    UntilClose,
}

/// Reads the head of the response to one request.
#[derive(Debug)]
pub struct HeadParser<'a> {
    method: &'a Method,
    /// The number of bytes that are known not to contain a whole head.
    seen: usize,
    has_begun: bool,
    /// The number of bytes of interim responses so far.
    interim: usize,
}

impl<'a> HeadParser<'a> {
    /// Creates a parser for the response to a request of this method.
    pub fn new(method: &'a Method) -> Self {
        Self {
            method,
            seen: 0,
            has_begun: false,
            interim: 0,
        }
    }

    /// Takes the final response's head from the received bytes, with the interim responses before
    /// it (RFC 9110, section 15.2). `None` while the head is incomplete.
    pub fn take(&mut self, received: &mut BytesMut) -> Result<Option<Head>, Broken> {
        loop {
            if received.len() == self.seen {
                return Ok(None);
            }
            let before = received.len();
            match take_head(received, self.seen, self.method)? {
                Some(head) if is_interim(head.status) => {
                    self.seen = 0;
                    self.interim += before - received.len();
                    if self.interim > MAX_HEAD {
                        return Err(Broken::Protocol);
                    }
                }
                None => self.seen = received.len(),
                head => return Ok(head),
            }
            self.has_begun = true;
        }
    }

    /// Whether no interim response came before the final one.
    pub fn is_first(&self) -> bool {
        self.interim == 0
    }

    /// Whether any byte has come.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// The start and the end of a name or a value in the head's bytes.
type Span = (usize, usize);

fn take_head(
    received: &mut BytesMut,
    seen: usize,
    method: &Method,
) -> Result<Option<Head>, Broken> {
    if seen > 0 && !may_be_complete(&received[seen.saturating_sub(3)..]) {
        return incomplete(received);
    }
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    // A proxy removes such spaces (RFC 9112, section 5.1).
    config.allow_spaces_after_header_name_in_responses(true);
    let outcome = config.parse_response_with_uninit_headers(&mut parsed, received, &mut fields);
    let length = match outcome.map_err(|_| Broken::Protocol)? {
        httparse::Status::Complete(length) if length > MAX_HEAD => return Err(Broken::Protocol),
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return incomplete(received),
    };
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default());
    let status = status.map_err(|_| Broken::Protocol)?;
    let version = match parsed.version {
        Some(1) => Version::HTTP_11,
        _ => Version::HTTP_10,
    };
    let reason = parsed.reason.filter(|reason| {
        let usual = status.canonical_reason().unwrap_or_default();
        !reason.is_empty() && *reason != usual
    });
    let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());
    let start = received.as_ptr().addr();
    let span = |part: &[u8]| -> Span {
        let from = part.as_ptr().addr() - start;
        (from, from + part.len())
    };
    let spans = parsed.headers.iter();
    let spans = spans.map(|field| (span(field.name.as_bytes()), span(field.value)));
    let spans: Vec<(Span, Span)> = spans.collect();
    let bytes = received.split_to(length).freeze();
    head(&bytes, &spans, status, version, reason, method).map(Some)
}

fn head(
    bytes: &Bytes,
    spans: &[(Span, Span)],
    status: StatusCode,
    version: Version,
    reason: Option<ReasonPhrase>,
    method: &Method,
) -> Result<Head, Broken> {
    // The capacity includes headers that are added later, since growing the map costs more than all
    // other work here.
    let mut headers = HeaderMap::with_capacity(spans.len() + 4);
    let mut length = None;
    let mut codings: Option<HeaderValue> = None;
    let mut keeps_alive = version == Version::HTTP_11;
    for &(name, value) in spans {
        let name = HeaderName::from_bytes(&bytes[name.0..name.1]);
        let value = HeaderValue::from_maybe_shared(bytes.slice(value.0..value.1));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Broken::Protocol);
        };
        if name == header::CONTENT_LENGTH {
            let told = told_length(&value).ok_or(Broken::Protocol)?;
            if length.replace(told).is_some_and(|before| before != told) {
                return Err(Broken::Protocol);
            }
            // A length that is repeated in a list is passed on once.
            let is_list = value.as_bytes().contains(&b',');
            let value = if is_list { told.into() } else { value };
            headers.insert(name, value);
            continue;
        }
        if name == header::TRANSFER_ENCODING {
            codings = Some(value.clone());
        } else if name == header::CONNECTION {
            keeps_alive = keeps_alive_by(&value).unwrap_or(keeps_alive);
        }
        headers.append(name, value);
    }
    let length = if has_no_body(status, method) {
        Length::Known(0)
    } else if let Some(codings) = codings {
        if version == Version::HTTP_10 {
            return Err(Broken::Protocol);
        }
        if headers.remove(header::CONTENT_LENGTH).is_some() {
            // A response with both headers may be an attempt at response splitting, so the bytes
            // after it may not be the next response.
            keeps_alive = false;
        }
        if is_chunked(&codings) {
            Length::Chunked
        } else {
            Length::UntilClose
        }
    } else {
        length.map_or(Length::UntilClose, Length::Known)
    };
    let is_final = status != StatusCode::SWITCHING_PROTOCOLS && length != Length::UntilClose;
    Ok(Head {
        status,
        version,
        headers,
        reason,
        length,
        is_bodiless: length == Length::Known(0) || status == StatusCode::RESET_CONTENT,
        keeps_alive: keeps_alive && is_final,
    })
}

fn has_no_body(status: StatusCode, method: &Method) -> bool {
    method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// Reads a length. A list of equal numbers counts as that number.
fn told_length(value: &HeaderValue) -> Option<u64> {
    let mut numbers = members(value).map(number);
    let first = numbers.next()??;
    numbers.all(|number| number == Some(first)).then_some(first)
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_number = digits.first().is_some_and(u8::is_ascii_digit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    digits.parse().ok()
}

fn keeps_alive_by(connection: &HeaderValue) -> Option<bool> {
    let said =
        |option: &[u8]| members(connection).any(|member| member.eq_ignore_ascii_case(option));
    if said(b"close") {
        Some(false)
    } else {
        said(b"keep-alive").then_some(true)
    }
}

fn is_chunked(codings: &HeaderValue) -> bool {
    let last = members(codings).next_back();
    last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"))
}

/// Whether a section of header fields may end in these bytes. Without this check, a section that
/// comes byte by byte would be parsed again for each byte.
pub(super) fn may_be_complete(bytes: &[u8]) -> bool {
    let mut line_ends = memchr::memchr_iter(b'\n', bytes);
    line_ends.any(|at| matches!(&bytes[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

fn incomplete(received: &BytesMut) -> Result<Option<Head>, Broken> {
    match received.len() {
        ..MAX_HEAD => Ok(None),
        _ => Err(Broken::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(text: &str, method: &Method) -> Result<Option<Head>, Broken> {
        HeadParser::new(method).take(&mut BytesMut::from(text))
    }

    #[test]
    fn the_length_and_what_becomes_of_the_connection_are_told_by_the_head() {
        use Length::{Chunked, Known, UntilClose};
        let chunked = "Transfer-Encoding: chunked\r\n";
        for (line, fields, length, keeps_alive) in [
            ("1.1 200 OK", "Content-Length: 5\r\n", Known(5), true),
            ("1.1 200 OK", "Content-Length: 5, 5\r\n", Known(5), true),
            (
                "1.1 200 OK",
                "Content-Length: 5\r\ncontent-length: 5\r\n",
                Known(5),
                true,
            ),
            ("1.1 200 OK", "Content-Length : 5\r\n", Known(5), true),
            ("1.1 200 OK", chunked, Chunked, true),
            (
                "1.1 200 OK",
                "transfer-encoding: gzip, CHUNKED\r\n",
                Chunked,
                true,
            ),
            (
                "1.1 200 OK",
                "Transfer-Encoding: gzip\r\n",
                UntilClose,
                false,
            ),
            ("1.1 200 OK", "", UntilClose, false),
            ("1.1 204 No Content", "", Known(0), true),
            (
                "1.1 304 Not Modified",
                "Content-Length: 5\r\n",
                Known(0),
                true,
            ),
            ("1.1 101 Switching Protocols", "", Known(0), false),
            (
                "1.1 200 OK",
                "Content-Length: 5\r\nConnection: x, Close\r\n",
                Known(5),
                false,
            ),
            ("1.0 200 OK", "Content-Length: 5\r\n", Known(5), false),
            (
                "1.0 200 OK",
                "Content-Length: 5\r\nConnection: Keep-Alive\r\n",
                Known(5),
                true,
            ),
        ] {
            let text = format!("HTTP/{line}\r\n{fields}\r\n");
            let head = take(&text, &Method::GET).expect("HTTP").expect("all of it");
            assert_eq!(
                (head.length, head.keeps_alive),
                (length, keeps_alive),
                "{text}"
            );
            let head = take(&text, &Method::HEAD)
                .expect("HTTP")
                .expect("all of it");
            assert_eq!(head.length, Known(0), "{text}");
        }
    }

    #[test]
    fn of_two_lengths_the_safer_one_holds_and_the_connection_is_not_used_again() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            let head = take(&text, &Method::GET).expect("HTTP").expect("all of it");
            assert_eq!((head.length, head.keeps_alive), (Length::Chunked, false));
            assert!(!head.headers.contains_key(header::CONTENT_LENGTH));
        }
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for text in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 099 Low\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        ] {
            assert!(take(text, &Method::GET).is_err(), "{text}");
        }
    }

    #[test]
    fn a_head_that_does_not_end_is_refused_at_its_limit() {
        let method = Method::GET;
        let mut parser = HeadParser::new(&method);
        let mut received = BytesMut::from("HTTP/1.1 200 OK\r\n");
        let mut take = |more: &str| {
            received.extend_from_slice(more.as_bytes());
            parser.take(&mut received)
        };
        let field = format!("A: {}\r\n", "b".repeat(MAX_HEAD / 4));
        for _ in 0..3 {
            assert!(matches!(take(&field), Ok(None)));
        }
        assert!(take(&field).is_err());
    }

    #[test]
    fn interim_heads_are_passed_over_wherever_they_are_cut() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n\
                    HTTP/1.1 200 All right\r\nA: b\r\nA: c\r\nContent-Length: 3\r\n\r\nabc";
        for cut in 1..text.len() {
            let method = Method::GET;
            let mut parser = HeadParser::new(&method);
            let mut received = BytesMut::from(&text[..cut]);
            let mut head = parser.take(&mut received).expect("HTTP");
            assert!(parser.has_begun());
            received.extend_from_slice(&text.as_bytes()[cut..]);
            if head.is_none() {
                head = parser.take(&mut received).expect("HTTP");
            }
            let head = head.expect("all of it");
            assert_eq!(head.status, StatusCode::OK);
            assert_eq!(head.reason.expect("a reason").as_bytes(), b"All right");
            let values: Vec<_> = head.headers.get_all("a").iter().collect();
            assert_eq!(values, ["b", "c"]);
            assert_eq!(&received[..], b"abc");
        }
    }
}
