//! The response to a head that is too slow, too long or malformed, and never became a request.
//!
//! The route is not known, so the response is problem+json (RFC 9457) with `Proxy-Status` (RFC
//! 9209), as for any path without a route. The connection ends with the response.

use std::sync::LazyLock;

use bytes::Bytes;
use http::StatusCode;

use super::target::HANDSHAKE;
use crate::telemetry::LogLimit;

/// Limits the warnings about clients that speak TLS.
static TLS_CLIENTS: LazyLock<LogLimit> = LazyLock::new(LogLimit::default);

/// The largest number of headers. hyper allocates memory for each, and no client sends this many.
pub(super) const MAX_HEADERS: usize = 256;

/// Returns the whole response and logs the refusal. `None` if `status` is not that of a refused
/// head. `forbidden` is a character of the request line that is not allowed there.
pub(super) fn refuse(status: StatusCode, forbidden: Option<char>) -> Option<Bytes> {
    if status == StatusCode::BAD_REQUEST && forbidden == Some(char::from(HANDSHAKE)) {
        return Some(not_http());
    }
    let detail = match (status, forbidden) {
        (StatusCode::BAD_REQUEST, Some('"')) => {
            "The request's target contains a raw quotation mark. Percent-encode it as %22."
        }
        (StatusCode::BAD_REQUEST, Some('<')) => {
            "The request's target contains a raw `<`. Percent-encode it as %3C."
        }
        (StatusCode::BAD_REQUEST, Some(_)) => {
            "The request's target contains a raw `>`. Percent-encode it as %3E."
        }
        (status, _) => detail(status)?,
    };
    tracing::info!(
        status = status.as_u16(),
        reason = detail,
        "a request was refused before it could be read"
    );
    Some(problem(status, detail))
}

fn detail(status: StatusCode) -> Option<&'static str> {
    Some(match status {
        StatusCode::BAD_REQUEST => {
            "Not a valid HTTP request. Call this address with http://, or with https:// if \
             security.tls is set, percent-encode non-ASCII characters in the request's target, and \
             send only characters that HTTP allows in headers."
        }
        StatusCode::REQUEST_TIMEOUT => {
            "The request's head did not arrive in time. Send it without delay."
        }
        StatusCode::URI_TOO_LONG => {
            "The request's target is too long to be read. Send a long search as POST to _search."
        }
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "The request's line and headers exceed limits.request_head by far, or there are more \
             than 256 headers."
        }
        _ => return None,
    })
}

/// Returns the response to a client that speaks TLS where HTTP is spoken, and logs it, since such a
/// client shows at most that the response is not TLS.
fn not_http() -> Bytes {
    if let Some(suppressed) = TLS_CLIENTS.allow() {
        tracing::warn!(
            remedy = "Call it with http://, or set `tls` below [security] for https.",
            more_since_last = (suppressed > 0).then_some(suppressed),
            "a client speaks TLS (https) to an address that speaks plain HTTP"
        );
    }
    problem(
        StatusCode::BAD_REQUEST,
        "This address speaks plain HTTP. Call it with http://.",
    )
}

/// Returns the response to a client that speaks HTTP where TLS is required.
pub(super) fn not_tls() -> Bytes {
    problem(
        StatusCode::BAD_REQUEST,
        "This address speaks TLS. Call it with https://.",
    )
}

fn problem(status: StatusCode, detail: &str) -> Bytes {
    let (number, title) = (
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
    );
    let body = format!("{{\"title\":\"{title}\",\"status\":{number},\"detail\":\"{detail}\"}}");
    let response = format!(
        "HTTP/1.1 {number} {title}\r\nconnection: close\r\ncontent-type: application/problem+json\r\n\
         cache-control: no-store\r\nproxy-status: ahds-proxy; error=http_request_error\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    response.into()
}

/// Reads the status of a response from its first bytes.
pub(super) fn status(response: &[u8]) -> Option<StatusCode> {
    let digits = response.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    StatusCode::from_bytes(digits).ok()
}
