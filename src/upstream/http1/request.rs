//! Writes the head of a request (RFC 9112, section 3).

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body::Body;

const TE: HeaderValue = HeaderValue::from_static("TE");

/// The mark of the end of a request's body (RFC 9112, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// Writes a request's head, whose target is path and query alone.
pub(super) fn write_head(
    head: &Request<()>,
    body: &impl Body,
    host: &HeaderValue,
    out: &mut Vec<u8>,
) -> Framing {
    let headers = head.headers();
    let target = head.uri().path_and_query();
    let target = target.map_or("/", |target| target.as_str());
    out.extend_from_slice(head.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_field(&header::HOST, host, out);
    for (name, value) in headers {
        let is_ours = [
            header::HOST,
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ];
        if !is_ours.contains(name) {
            write_field(name, value, out);
        }
        if *name == header::TE {
            // A sender of TE names it in Connection (RFC 9110, section 10.1.4).
            write_field(&header::CONNECTION, &TE, out);
        }
    }
    let framing = framing(headers, body);
    match &framing {
        Framing::Length(0) if !expects_content(head.method()) => {}
        Framing::Length(length) => {
            write_field(&header::CONTENT_LENGTH, &HeaderValue::from(*length), out);
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    framing
}

pub(super) fn write_field(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Whether a request of this method has a length even if it has no body (RFC 9110, section 8.6).
fn expects_content(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn framing(headers: &HeaderMap, body: &impl Body) -> Framing {
    if body.is_end_stream() {
        return Framing::Length(0);
    }
    let length = body.size_hint().exact().or_else(|| told_length(headers));
    length.map_or(Framing::Chunked, Framing::Length)
}

fn told_length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}
