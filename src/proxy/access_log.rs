//! The access log: one event for each request, written when the response has no more bytes to send,
//! or when the client has left. An event for a response of the proxy's own is written before it is
//! sent. Of the path, an event contains only a resource type from a fixed list. It contains nothing
//! of the query.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, request::Parts};

use super::{
    lifecycle::Lifecycle,
    progress::Progress,
    request_id::{self, RequestId},
};
use crate::telemetry::LogLimit;

/// The logged status of a request whose client left before there was a response, as nginx logs it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Limits the warnings about responses that ended early.
static CUT_SHORT: LazyLock<LogLimit> = LazyLock::new(LogLimit::default);

/// The end of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Complete,
    /// The proxy responded by itself.
    Refused,
    ClientLeft,
    /// The proxy stopped before the end of the response.
    CutOff,
    UpstreamBrokeOff,
    UpstreamStalled,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::ClientLeft => "client left",
            Self::CutOff => "cut off at shutdown",
            Self::UpstreamBrokeOff => "upstream broke off",
            Self::UpstreamStalled => "upstream stalled",
        }
    }

    /// The remedy if the upstream is the cause of a response that ended early.
    fn remedy(self) -> Option<&'static str> {
        match self {
            Self::UpstreamBrokeOff => Some(
                "Send the request again. If this repeats, ask for less at a time, and look for a \
                 firewall or an HTTP proxy on the way that ends long responses.",
            ),
            Self::UpstreamStalled => Some(
                "Send the request again. If the service needs longer pauses, raise \
                 network.idle_timeout.",
            ),
            _ => None,
        }
    }
}

/// The event of one request. It is written on drop.
#[derive(Debug)]
pub(super) struct LogEntry {
    start: Instant,
    method: &'static str,
    route: Option<Arc<str>>,
    resource: &'static str,
    status: u16,
    sent: u64,
    progress: Option<Arc<Progress>>,
    upstream_time: Option<Duration>,
    request_id: Option<HeaderValue>,
    lifecycle: Arc<Lifecycle>,
    outcome: Outcome,
}

impl LogEntry {
    pub(super) fn new(head: &Parts, lifecycle: &Arc<Lifecycle>) -> Self {
        lifecycle.begin_request();
        Self {
            start: Instant::now(),
            method: known_method(&head.method),
            route: None,
            resource: "-",
            status: CLIENT_CLOSED_REQUEST,
            sent: 0,
            progress: None,
            upstream_time: None,
            request_id: request_id::given(&head.headers),
            lifecycle: lifecycle.clone(),
            outcome: Outcome::ClientLeft,
        }
    }

    pub(super) fn set_route(&mut self, route: &Arc<str>, resource: &'static str) {
        self.route = Some(route.clone());
        self.resource = resource;
    }

    pub(super) fn set_progress(&mut self, progress: &Arc<Progress>) {
        self.progress = Some(progress.clone());
    }

    /// Notes the head of an upstream's response, which came `upstream_time` after the request was
    /// ready.
    pub(super) fn set_head(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        upstream_time: Duration,
    ) {
        self.status = status.as_u16();
        self.upstream_time = Some(upstream_time);
        if self.request_id.is_none() {
            self.request_id = request_id::given(headers);
        }
    }

    /// The id by which the log names the request.
    pub(super) fn request_id(&mut self) -> HeaderValue {
        let id = RequestId::or_own(self.request_id.as_ref()).to_string();
        let id = HeaderValue::from_str(&id).expect("a UUID or hexadecimal digits");
        self.request_id = Some(id.clone());
        id
    }

    pub(super) fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Writes the line for a response of the proxy's own.
    pub(super) fn finish_own(mut self, status: StatusCode, bytes: usize) {
        self.status = status.as_u16();
        self.sent = bytes as u64;
        self.outcome = Outcome::Refused;
    }
}

impl Drop for LogEntry {
    fn drop(&mut self) {
        self.lifecycle.end_request();
        if self.outcome == Outcome::ClientLeft && self.lifecycle.is_cut_off() {
            self.outcome = Outcome::CutOff;
        }
        tracing::info!(
            route = self.route.as_deref().unwrap_or("-"),
            method = self.method,
            resource = self.resource,
            status = self.status,
            bytes_in = self
                .progress
                .as_ref()
                .map_or(0, |progress| progress.bytes_uploaded()),
            bytes_out = self.sent,
            duration_us = microseconds(self.start.elapsed()),
            upstream_us = self.upstream_time.map(microseconds),
            request_id = %RequestId::or_own(self.request_id.as_ref()),
            outcome = self.outcome.as_str(),
            "request"
        );
        if let Some(remedy) = self.outcome.remedy()
            && let Some(suppressed) = CUT_SHORT.allow()
        {
            tracing::warn!(
                route = self.route.as_deref().unwrap_or("-"),
                outcome = self.outcome.as_str(),
                remedy,
                more_since_last = (suppressed > 0).then_some(suppressed),
                "the client got only a part of a response"
            );
        }
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The methods that services know. Any other is free text, and is not logged.
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
