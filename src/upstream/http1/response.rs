//! How a response's head is read, and how long its body is (RFC 9112, sections 4 and 6.3).

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use hyper::ext::ReasonPhrase;

use super::Broken;

const MAX_HEADERS: usize = 256;
/// In bytes.
const MAX_HEAD: usize = 256 << 10;

/// What a response begins with.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    /// Where it is not the one that goes with the status.
    pub(super) reason: Option<ReasonPhrase>,
    pub(super) length: Length,
    /// Whether the connection may take another request.
    pub(super) keeps_alive: bool,
}

/// How the end of a response's body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Known(u64),
    Chunked,
    UntilClose,
}

/// Where a name or a value begins and ends in the head's bytes.
type Span = (usize, usize);

/// Takes a head off what has been received. `None` while it is not all there; `seen` bytes were
/// there the last time.
pub(super) fn take_head(
    received: &mut BytesMut,
    seen: usize,
    method: &Method,
) -> Result<Option<Head>, Broken> {
    if seen > 0 && !may_be_complete(&received[seen.saturating_sub(3)..]) {
        return too_large(received);
    }
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        received,
        &mut fields,
    );
    let length = match outcome.map_err(|_| Broken::Protocol)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return too_large(received),
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
    let mut headers = HeaderMap::with_capacity(spans.len());
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
            // The same number told twice is told once from here on.
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
            // Whoever sent both may have been fooled: what follows may be anyone's.
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
        keeps_alive: keeps_alive && is_final,
    })
}

fn has_no_body(status: StatusCode, method: &Method) -> bool {
    method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// A list of the same number is that number.
fn told_length(value: &HeaderValue) -> Option<u64> {
    let mut numbers = tokens(value).map(number);
    let first = numbers.next()??;
    numbers.all(|number| number == Some(first)).then_some(first)
}

fn number(digits: &[u8]) -> Option<u64> {
    let is_number = digits.first().is_some_and(u8::is_ascii_digit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    digits.parse().ok()
}

fn tokens(value: &HeaderValue) -> impl DoubleEndedIterator<Item = &[u8]> {
    let tokens = value.as_bytes().split(|byte| *byte == b',');
    tokens.map(<[u8]>::trim_ascii)
}

fn keeps_alive_by(connection: &HeaderValue) -> Option<bool> {
    let said = |option: &[u8]| tokens(connection).any(|token| token.eq_ignore_ascii_case(option));
    if said(b"close") {
        Some(false)
    } else {
        said(b"keep-alive").then_some(true)
    }
}

fn is_chunked(codings: &HeaderValue) -> bool {
    let last = tokens(codings).next_back();
    last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"))
}

/// Whether a section of header fields may end in these bytes; without it, one that comes byte by
/// byte would be parsed for each.
pub(super) fn may_be_complete(bytes: &[u8]) -> bool {
    let mut line_ends = memchr::memchr_iter(b'\n', bytes);
    line_ends.any(|at| matches!(&bytes[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

fn too_large(received: &BytesMut) -> Result<Option<Head>, Broken> {
    if received.len() > MAX_HEAD {
        Err(Broken::Protocol)
    } else {
        Ok(None)
    }
}
