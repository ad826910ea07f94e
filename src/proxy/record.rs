//! The one log event of a request, written when its last byte has gone or nobody wants it any more.
//! Holds nothing of the path but a resource type from a fixed list, and nothing of the query.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::exchange::Exchange;

const REQUEST_ID: &str = "x-request-id";
/// Logged as the status when the client left before there was one (nginx's number for it).
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Complete,
    /// Answered by the proxy itself.
    Refused,
    ClientLeft,
    UpstreamBrokeOff,
    UpstreamStalled,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::ClientLeft => "client left",
            Self::UpstreamBrokeOff => "upstream broke off",
            Self::UpstreamStalled => "upstream stalled",
        }
    }
}

/// What is known of a request so far. Logs itself when dropped.
#[derive(Debug)]
pub(super) struct Record {
    start: Instant,
    method: &'static str,
    route: Option<Arc<str>>,
    resource: &'static str,
    status: u16,
    sent: u64,
    exchange: Option<Arc<Exchange>>,
    upstream_time: Option<Duration>,
    request_id: Option<HeaderValue>,
    outcome: Outcome,
}

impl Record {
    pub(super) fn new(start: Instant, method: &Method, headers: &HeaderMap) -> Self {
        Self {
            start,
            method: known_method(method),
            route: None,
            resource: "-",
            status: CLIENT_CLOSED_REQUEST,
            sent: 0,
            exchange: None,
            upstream_time: None,
            request_id: request_id(headers),
            outcome: Outcome::ClientLeft,
        }
    }

    pub(super) fn set_route(&mut self, route: &Arc<str>, resource: &'static str) {
        self.route = Some(route.clone());
        self.resource = resource;
    }

    pub(super) fn set_exchange(&mut self, exchange: &Arc<Exchange>) {
        self.exchange = Some(exchange.clone());
    }

    /// Notes an upstream's response head, `upstream_time` after the request was ready to go.
    pub(super) fn set_head(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        upstream_time: Duration,
    ) {
        self.status = status.as_u16();
        self.upstream_time = Some(upstream_time);
        if self.request_id.is_none() {
            self.request_id = request_id(headers);
        }
    }

    pub(super) fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The proxy answers by itself.
    pub(super) fn refuse(mut self, status: StatusCode, bytes: usize) {
        self.status = status.as_u16();
        self.sent = bytes as u64;
        self.outcome = Outcome::Refused;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        tracing::info!(
            route = self.route.as_deref().unwrap_or("-"),
            method = self.method,
            resource = self.resource,
            status = self.status,
            bytes_in = self
                .exchange
                .as_ref()
                .map_or(0, |exchange| exchange.bytes_uploaded()),
            bytes_out = self.sent,
            duration_us = microseconds(self.start.elapsed()),
            upstream_us = self.upstream_time.map(microseconds),
            request_id = self.request_id.as_ref().and_then(|id| id.to_str().ok()),
            outcome = self.outcome.as_str(),
            "request"
        );
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Methods are free text to HTTP; only those that services know are written down.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// A request id that is a UUID; anything else might be something about a patient.
fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    headers
        .get(REQUEST_ID)
        .filter(|id| is_uuid(id.as_bytes()))
        .cloned()
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_is_a_request_id() {
        assert!(is_uuid(b"8f14e45f-ceea-467f-a1b2-0a1b2c3d4e5f"));
        for text in [
            "",
            "Smith",
            "8f14e45fceea467fa1b20a1b2c3d4e5f",
            "8f14e45f-ceea-467f-a1b2-0a1b2c3d4e5g",
        ] {
            assert!(!is_uuid(text.as_bytes()), "{text}");
        }
    }
}
