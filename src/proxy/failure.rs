//! The proxy's own error responses: the error and its remedy, in the format that the route's
//! clients read.
//!
//! FHIR routes send an `OperationOutcome` (hl7.org/fhir/R4/operationoutcome.html), other routes
//! problem+json (RFC 9457). Each response has a `Proxy-Status` header (RFC 9209). No response
//! contains a path, a query, an id or a token.

use std::{borrow::Cow, io, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::{body::UploadError, progress::Late};
use crate::{
    config::RouteKind,
    token::Unavailable,
    upstream::{ConnectError, ProxyFailure, SendError},
};

const PROXY_STATUS: &str = "proxy-status";

/// An error response of the proxy's own.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    status: StatusCode,
    /// RFC 9209, section 2.3.
    error: &'static str,
    /// FHIR's issue type (hl7.org/fhir/R4/valueset-issue-type.html).
    code: &'static str,
    detail: Cow<'static, str>,
    retry_after: Option<u64>,
}

impl Failure {
    fn new(
        status: StatusCode,
        error: &'static str,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            error,
            code,
            detail: detail.into(),
            retry_after: None,
        }
    }

    fn denied(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(status, "http_request_denied", code, detail)
    }

    fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::denied(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    fn bad_gateway(error: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, error, "transient", detail)
    }

    fn invalid(detail: &'static str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "http_request_error",
            "invalid",
            detail,
        )
    }

    pub(super) fn path_leaves_prefix() -> Self {
        Self::invalid(
            "The path leaves its prefix. Send it without `..`, backslash or NUL, plain or encoded.",
        )
    }

    pub(super) fn malformed_target() -> Self {
        Self::invalid("The request target is malformed. Percent-encode its special characters.")
    }

    pub(super) fn fragment() -> Self {
        Self::invalid(
            "The request target contains a raw `#`, which would cut it off. Percent-encode it as %23.",
        )
    }

    pub(super) fn malformed_host() -> Self {
        Self::invalid("The request needs exactly one valid Host header.")
    }

    pub(super) fn host_not_allowed() -> Self {
        Self::denied(
            StatusCode::MISDIRECTED_REQUEST,
            "security",
            "This Host is not allowed. Call the proxy as localhost, 127.0.0.1 or [::1], or add the name to \
             security.allowed_hosts.",
        )
    }

    pub(super) fn not_a_forward_proxy() -> Self {
        Self::denied(
            StatusCode::MISDIRECTED_REQUEST,
            "security",
            NOT_A_FORWARD_PROXY.to_owned() + " " + CALL_DIRECTLY,
        )
    }

    pub(super) fn origin_not_allowed() -> Self {
        Self::forbidden(
            "Requests from web pages are not allowed. If this page is yours, add its origin to security.allowed_origins.",
        )
    }

    pub(super) fn service_worker() -> Self {
        Self::forbidden(
            "Service workers are not allowed, since one would see all later requests to this address. \
             Serve the application from an origin of its own, and add that origin to \
             security.allowed_origins.",
        )
    }

    pub(super) fn read_only(route: &str) -> Self {
        Self::forbidden(format!(
            "Route {route} is read-only. It accepts GET, HEAD and OPTIONS, except for operations that \
             may write, and POST of a form to _search."
        ))
    }

    pub(super) fn method_not_supported() -> Self {
        Self::denied(
            StatusCode::METHOD_NOT_ALLOWED,
            "not-supported",
            "The proxy does not forward TRACE and CONNECT, since a response to TRACE would show the \
             token. Use another method.",
        )
    }

    pub(super) fn override_header(route: &str) -> Self {
        Self::forbidden(format!(
            "Route {route} is read-only. Send the request without headers that override its method or \
             URL."
        ))
    }

    pub(super) fn transfer_coding() -> Self {
        Self::invalid(
            "The proxy supports no transfer coding but chunked. Compress content with \
             Content-Encoding.",
        )
    }

    pub(super) fn response_transfer_coding() -> Self {
        Self::bad_gateway(
            "http_response_transfer_coding",
            "The upstream's response has a transfer coding other than chunked, which the request did not allow. \
             Run: ahds-proxy check --online",
        )
    }

    pub(super) fn malformed_body() -> Self {
        Self::invalid("The request's body is malformed or ended early. Send it again.")
    }

    pub(super) fn damaged_body() -> Self {
        Self::invalid(
            "The request's body is not compressed in the way that Content-Encoding says. Correct the \
             header, or send the body uncompressed.",
        )
    }

    pub(super) fn no_such_route<'a>(prefixes: impl Iterator<Item = &'a str>) -> Self {
        let list = prefixes
            .map(|prefix| format!("{prefix}/"))
            .collect::<Vec<_>>()
            .join(", ");
        Self::new(
            StatusCode::NOT_FOUND,
            "proxy_internal_response",
            "not-found",
            format!("No route has this path. The routes are: {list}"),
        )
    }

    pub(super) fn head_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "http_request_error",
            "too-long",
            format!("The request's line and headers exceed limits.request_head ({limit} bytes)."),
        )
    }

    pub(super) fn body_too_large(limit: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "http_request_error",
            "too-long",
            format!("The request's body exceeds limits.request_body ({limit} bytes)."),
        )
    }

    pub(super) fn too_many_requests(limit: usize) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "proxy_internal_response",
                "throttled",
                format!(
                    "The number of requests in flight has reached the limit here (limits.requests, \
                     {limit}). Try again in a moment."
                ),
            )
        }
    }

    pub(super) fn stopping() -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "proxy_internal_response",
                "transient",
                "The proxy is stopping and has no token yet. Send the request again once it runs.",
            )
        }
    }

    fn client_too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "http_request_error",
            "timeout",
            "The request's body was too slow or stopped. Send it again without pauses longer than \
             network.idle_timeout. At least 4 KiB must arrive in each minute, or in each \
             network.idle_timeout if that is longer.",
        )
    }

    fn upstream_silent(after: Duration) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "http_response_timeout",
            "timeout",
            format!(
                "The upstream did not respond within {} s (network.response_timeout). Request less at \
                 a time, or raise that timeout.",
                after.as_secs_f32()
            ),
        )
    }

    fn upstream_stalled(after: Duration) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "connection_read_timeout",
            "timeout",
            format!(
                "The upstream accepted no part of the request for {} s (network.idle_timeout). Send it \
                 again. If the upstream needs such pauses, raise that timeout.",
                after.as_secs_f32()
            ),
        )
    }

    fn not_connected(error: &ConnectError, detail: String) -> Self {
        let kind = match error {
            ConnectError::Timeout { .. } => {
                let status = StatusCode::GATEWAY_TIMEOUT;
                return Self::new(status, "connection_timeout", "timeout", detail);
            }
            ConnectError::Dns(_) => "dns_error",
            ConnectError::Tcp { reason, .. } => unconnected(reason),
            ConnectError::Proxy(error) => match &error.failure {
                ProxyFailure::Unreached(_) | ProxyFailure::Silent(_) => {
                    let status = StatusCode::GATEWAY_TIMEOUT;
                    return Self::new(status, "connection_timeout", "timeout", detail);
                }
                ProxyFailure::Dns => "dns_error",
                ProxyFailure::Tcp(reason) => unconnected(reason),
                ProxyFailure::Closed => "connection_terminated",
                ProxyFailure::NotHttp => "http_protocol_error",
                ProxyFailure::NoCredentials
                | ProxyFailure::WrongCredentials
                | ProxyFailure::OtherScheme(_) => "proxy_configuration_error",
                ProxyFailure::Refused(_) => "destination_unavailable",
            },
            ConnectError::Exposed { .. } => "proxy_configuration_error",
            ConnectError::Certificate(_) => "tls_certificate_error",
            ConnectError::Tls { .. } => "tls_protocol_error",
        };
        Self::bad_gateway(kind, detail)
    }

    /// The status and the reason, if it is the upstream that failed.
    pub(super) fn of_upstream(&self) -> Option<(StatusCode, &str)> {
        let is_of_upstream = matches!(
            self.status,
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
        );
        is_of_upstream.then_some((self.status, &*self.detail))
    }

    /// The response for clients of a route of `kind`; `None` where no route was found.
    pub(super) fn into_response(self, kind: Option<RouteKind>) -> Response<Bytes> {
        let detail = &*self.detail;
        let (body, content_type) = match kind {
            Some(RouteKind::Fhir) => (
                serde_json::to_vec(&OperationOutcome::new(self.code, detail)),
                "application/fhir+json; charset=utf-8",
            ),
            _ => (
                serde_json::to_vec(&Problem::new(self.status, detail)),
                "application/problem+json",
            ),
        };
        let body = body.expect("text and numbers are JSON");
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let proxy_status = HeaderValue::from_str(&format!("ahds-proxy; error={}", self.error));
        headers.insert(PROXY_STATUS, proxy_status.expect("error types are tokens"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Unavailable> for Failure {
    fn from(unavailable: Unavailable) -> Self {
        Self {
            retry_after: Some(whole_seconds(unavailable.retry_in)),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "proxy_internal_response",
                "login",
                format!("No token for the upstream: {}", unavailable.error),
            )
        }
    }
}

impl From<Late> for Failure {
    fn from(late: Late) -> Self {
        match late {
            Late::Client => Self::client_too_slow(),
            Late::Upstream(timeout) => Self::upstream_stalled(timeout),
            Late::Response(timeout) => Self::upstream_silent(timeout),
        }
    }
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Client(_) => Self::malformed_body(),
            UploadError::TooLarge { limit } => Self::body_too_large(limit),
            UploadError::Content(_) => Self::damaged_body(),
            UploadError::Late(late) => late.into(),
        }
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let detail = format!("The request to the upstream failed: {error}.");
        match error {
            SendError::RequestBody(source) => match source.downcast::<UploadError>() {
                Ok(error) => Self::from(*error),
                Err(_) => Self::malformed_body(),
            },
            SendError::Connect(error) => Self::not_connected(&error, detail),
            SendError::Closed => Self::bad_gateway("connection_terminated", detail + AFTER_CLOSE),
            SendError::Unprocessed => Self::bad_gateway("connection_terminated", detail),
            SendError::Protocol => Self::bad_gateway("http_protocol_error", detail + AFTER_NO_HTTP),
        }
    }
}

pub(super) const NOT_A_FORWARD_PROXY: &str =
    "This is a reverse proxy, not an HTTP proxy for other hosts.";
pub(super) const CALL_DIRECTLY: &str = "Call it by its own address, for example \
                                        http://localhost:8080/fhir/Patient, and unset http_proxy and \
                                        https_proxy for the client.";

const AFTER_CLOSE: &str = " The upstream may have processed the request. Check whether a write took \
                           effect before you send it again. If this repeats, run: ahds-proxy check \
                           --online";
const AFTER_NO_HTTP: &str = " Check that host and port are those of an HTTP service. Run: ahds-proxy \
                             check --online";

/// The error type of RFC 9209 for a TCP connection that failed.
fn unconnected(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::ConnectionRefused => "connection_refused",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "destination_ip_unroutable"
        }
        _ => "destination_unavailable",
    }
}

/// hl7.org/fhir/R4/operationoutcome.html.
#[derive(Serialize)]
struct OperationOutcome<'a> {
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
    issue: [Issue<'a>; 1],
}

#[derive(Serialize)]
struct Issue<'a> {
    severity: &'static str,
    code: &'static str,
    diagnostics: &'a str,
}

impl<'a> OperationOutcome<'a> {
    fn new(code: &'static str, diagnostics: &'a str) -> Self {
        Self {
            resource_type: "OperationOutcome",
            issue: [Issue {
                severity: "error",
                code,
                diagnostics,
            }],
        }
    }
}

/// RFC 9457, section 3.
#[derive(Serialize)]
struct Problem<'a> {
    title: Option<&'static str>,
    status: u16,
    detail: &'a str,
}

impl<'a> Problem<'a> {
    fn new(status: StatusCode, detail: &'a str) -> Self {
        Self {
            title: status.canonical_reason(),
            status: status.as_u16(),
            detail,
        }
    }
}

/// Rounds up to at least one second, since zero would invite clients to retry at once.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + 1
}
