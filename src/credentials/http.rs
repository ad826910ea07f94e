//! Small requests to the endpoints that issue tokens. They are bounded in time and size, and never
//! follow a redirect.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Limited};

use super::CredentialError;
use crate::upstream::{self, Connections, Pools, SendError};

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_RESPONSE: usize = 1 << 20;

/// The remedy for a failure that passes. A running proxy retries by itself, but `ahds-proxy token`
/// does not.
pub(super) const TRY_AGAIN: &str = "Try again in a moment.";

/// A client for identity endpoints. Clones share connections.
#[derive(Debug, Clone)]
pub(super) struct IdentityEndpoints {
    connections: Connections,
    pools: std::sync::Arc<Pools>,
}

/// The response of an identity endpoint.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) received: SystemTime,
}

impl Response {
    /// The wait that the endpoint names.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        upstream::retry_after(&self.headers, self.received)
    }

    /// Whether the request may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::REQUEST_TIMEOUT
            || self.status.is_server_error()
    }

    /// The error for a response that is neither a token nor a readable refusal. `key` is the key of
    /// the configuration that names the endpoint.
    pub(super) fn unexpected(&self, host: &str, key: &str) -> CredentialError {
        let message = format!("{host} responded with {}", self.status.as_u16());
        let error = if self.is_transient() {
            CredentialError::transient(message, TRY_AGAIN)
        } else if self.status.is_success() {
            CredentialError::transient(
                format!("{message} and an unexpected body"),
                format!("Check `{key}`, and that no captive portal responds in its place."),
            )
        } else if self.status.is_redirection() {
            CredentialError::needs_action(
                message,
                format!("Check `{key}`. ahds-proxy follows no redirects with a secret."),
            )
        } else {
            CredentialError::needs_action(message, format!("Check `{key}`."))
        };
        self.with_wait(error)
    }

    /// The error, with the wait that the endpoint asks for.
    pub(super) fn with_wait(&self, error: CredentialError) -> CredentialError {
        CredentialError {
            retry_after: self.retry_after(),
            ..error
        }
    }
}

impl IdentityEndpoints {
    /// A client over connections of its own.
    pub(super) fn new(connections: &Connections) -> Self {
        Self {
            pools: std::sync::Arc::new(connections.pools()),
            connections: connections.clone(),
        }
    }

    /// A client for endpoints of this machine's platform, which no HTTP proxy can reach.
    pub(super) fn direct(&self) -> Self {
        Self::new(&self.connections.direct())
    }

    /// Sends a GET and reads the whole response, whatever its status. A redirect is a response,
    /// too.
    pub(super) async fn get(
        &self,
        url: &Uri,
        headers: HeaderMap,
    ) -> Result<Response, CredentialError> {
        self.send(Method::GET, url, headers, Bytes::new()).await
    }

    /// Sends a form by POST and reads the whole response, whatever its status.
    pub(super) async fn post_form(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
    ) -> Result<Response, CredentialError> {
        self.post_form_with(url, form, HeaderMap::new()).await
    }

    /// Sends a form by POST with more headers, which replace the default ones of the same name.
    pub(super) async fn post_form_with(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
        headers: HeaderMap,
    ) -> Result<Response, CredentialError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let form = "application/x-www-form-urlencoded";
        self.post(url, form, body, headers).await
    }

    /// `POST`s a body with more headers, which win over those that such a request has by itself.
    pub(super) async fn post(
        &self,
        url: &Uri,
        content_type: &'static str,
        body: String,
        mut headers: HeaderMap,
    ) -> Result<Response, CredentialError> {
        let content_type = HeaderValue::from_static(content_type);
        headers.entry(header::CONTENT_TYPE).or_insert(content_type);
        self.send(Method::POST, url, headers, body.into()).await
    }

    /// Reads the whole response, whatever its status.
    async fn send(
        &self,
        method: Method,
        url: &Uri,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, CredentialError> {
        let json = HeaderValue::from_static("application/json");
        headers.entry(header::ACCEPT).or_insert(json);
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        let host = url.host().unwrap_or_default();
        let exchange = self.exchange(request, body, host);
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| {
                let late = format!("no response within {} s", TIMEOUT.as_secs());
                Err(unreachable(host, &late))
            })
    }

    async fn exchange(
        &self,
        request: Request<()>,
        body: Bytes,
        host: &str,
    ) -> Result<Response, CredentialError> {
        let response = self.pools.send(request, body).await;
        let response = response.map_err(|error| unsent(host, &error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_RESPONSE)
            .collect()
            .await
            .map_err(|_| unreachable(host, "its response broke off or is too long"))?;
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
            received: SystemTime::now(),
        })
    }
}

fn unsent(host: &str, error: &SendError) -> CredentialError {
    match error {
        SendError::Connect(error) => CredentialError::transient(
            format!("no token from {host}: {}", error.problem()),
            error.remedy(),
        ),
        _ => unreachable(host, &error.to_string()),
    }
}

fn unreachable(host: &str, detail: &str) -> CredentialError {
    CredentialError::transient(
        format!("no token from {host}: {detail}"),
        "Check the network and the host's name, and try again.",
    )
}
