//! Endpoints under `/emulator/` that no real service has: large streams, echoes and broken
//! responses. Both data services serve them after their token check, so that tests reach them
//! through the proxy.
//!
//! | path | response |
//! |---|---|
//! | `GET bytes?size=N[&chunked=1][&chunk=N]` | `N` bytes, see [`pattern_byte`]; `chunked=1` without a length, `chunk` at most so many bytes at once |
//! | `POST count` | reads the body; JSON with `bytes` and `sha256` |
//! | `ANY echo` | JSON of the request as it arrived |
//! | `GET status/CODE` | that status; 3xx lead to `https://evil.example/` |
//! | `GET trailers` | a body and two trailers; over HTTP/1.1 only to those who say `TE: trailers` |
//! | `GET hang` | nothing, ever |
//! | `GET stall?after=N` | a head, `N` bytes, and no end |
//! | `GET reset?after=N` | `N` bytes of a longer body, then a cut connection |
//! | `POST early?status=CODE` | a response before the body is read |
//! | `POST drop` | reads the body, then cuts the connection |

mod streams;

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use http::{HeaderMap, Request, Response, StatusCode, Version, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{
    body::{self, Body},
    form, random,
    serve::Connection,
    traffic::{self, RequestBody, Traffic},
};

pub use streams::pattern_byte;

/// Where the endpoints are.
pub(super) const PREFIX: &str = "/emulator/";

/// Answers a request whose path starts with [`PREFIX`].
pub(super) async fn answer(
    request: Request<RequestBody>,
    traffic: &Traffic,
    connection: &Arc<Connection>,
) -> Response<Body> {
    let query = form::parse(request.uri().query().unwrap_or_default());
    let path = request.uri().path().to_owned();
    let after = || form::number(&query, "after").unwrap_or(0);
    match path.strip_prefix(PREFIX).unwrap_or_default() {
        "bytes" => bytes(&query, traffic),
        "count" => count(request).await,
        "echo" => echo(request).await,
        "trailers" => streams::respond(streams::trailers()),
        "hang" => std::future::pending().await,
        "stall" => streams::respond(streams::stall(traffic, after())),
        "reset" => streams::respond(streams::reset(traffic, connection, after())),
        "early" => early(&request, &query),
        "drop" => {
            let _ = drain(request.into_body(), |_| {}).await;
            connection.cut().await
        }
        other => match other
            .strip_prefix("status/")
            .and_then(|code| code.parse().ok())
        {
            Some(code) => status(code),
            None => body::text(StatusCode::NOT_FOUND, "no such emulator endpoint"),
        },
    }
}

fn bytes(query: &[(String, String)], traffic: &Traffic) -> Response<Body> {
    let Some(size) = form::number(query, "size") else {
        return body::text(StatusCode::BAD_REQUEST, "size is missing");
    };
    let chunk = form::number(query, "chunk").unwrap_or(usize::MAX);
    let chunked = form::get(query, "chunked") == Some("1");
    streams::respond(streams::bytes(traffic, size, chunk, chunked))
}

async fn count(request: Request<RequestBody>) -> Response<Body> {
    let mut hash = Context::new(&SHA256);
    match drain(request.into_body(), |data| hash.update(data)).await {
        Ok((bytes, _)) => {
            let sha256 = random::to_hex(hash.finish().as_ref());
            body::json(StatusCode::OK, &json!({"bytes": bytes, "sha256": sha256}))
        }
        Err(error) => body::text(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

async fn echo(request: Request<RequestBody>) -> Response<Body> {
    let target = traffic::target(&request);
    let (head, body) = request.into_parts();
    let (length, trailers) = match drain(body, |_| {}).await {
        Ok(read) => read,
        Err(error) => return body::text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    let authority = head.uri.authority().map(ToString::to_string);
    body::json(
        StatusCode::OK,
        &json!({
            "method": head.method.as_str(),
            "target": target,
            "version": version(head.version),
            "authority": authority,
            "headers": list(&head.headers),
            "body_length": length,
            "trailers": list(&trailers),
        }),
    )
}

fn version(version: Version) -> String {
    format!("{version:?}")
}

/// Names and values; the token has been checked already and is nobody's business.
fn list(headers: &HeaderMap) -> Vec<Value> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let value = if *name == header::AUTHORIZATION {
                "Bearer (valid)".into()
            } else {
                value
            };
            json!([name.as_str(), value])
        })
        .collect()
}

fn status(code: u16) -> Response<Body> {
    let Some(status) = StatusCode::from_u16(code)
        .ok()
        .filter(|status| !status.is_informational())
    else {
        return body::text(StatusCode::BAD_REQUEST, "no such status");
    };
    let mut response = if matches!(code, 204 | 205 | 304) {
        body::empty(status)
    } else {
        body::text(status, format!("status {code}"))
    };
    if status.is_redirection() && code != 304 {
        body::set(&mut response, header::LOCATION, "https://evil.example/next");
    }
    if code == 304 {
        body::set(&mut response, header::ETAG, "W/\"1\"");
    }
    response
}

fn early(request: &Request<RequestBody>, query: &[(String, String)]) -> Response<Body> {
    let mut response = status(form::number(query, "status").unwrap_or(413));
    if request.version() < Version::HTTP_2 {
        body::set(&mut response, header::CONNECTION, "close");
    }
    response
}

/// Reads a body to its end without keeping it; returns its length and its trailers.
async fn drain(
    mut body: RequestBody,
    mut each: impl FnMut(&[u8]),
) -> Result<(u64, HeaderMap), hyper::Error> {
    let mut length = 0;
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                length += data.len() as u64;
                each(&data);
            }
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok((length, trailers))
}
