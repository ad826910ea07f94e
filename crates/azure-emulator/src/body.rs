//! The bodies of responses, and short ways to make a response.

use std::{convert::Infallible, io};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full, combinators::UnsyncBoxBody};
use serde_json::Value;

/// The body of every response.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let body = Empty::new().map_err(never).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// A response whose body is in memory.
pub(super) fn full(
    status: StatusCode,
    content_type: &str,
    content: impl Into<Bytes>,
) -> Response<Body> {
    let body = Full::new(content.into()).map_err(never).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_TYPE, content_type);
    response
}

/// `application/json`.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    full(status, "application/json; charset=utf-8", value.to_string())
}

/// Plain text.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    full(status, "text/plain; charset=utf-8", text.into())
}

/// Sets a header; a value that no header can hold is left out.
pub(super) fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// `https://` and the host the client asked for, as the real services build their own links.
pub(super) fn base_url<T>(request: &http::Request<T>) -> String {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| request.uri().authority().map(http::uri::Authority::as_str))
        .unwrap_or("localhost");
    format!("https://{host}")
}

fn never(never: Infallible) -> io::Error {
    match never {}
}
