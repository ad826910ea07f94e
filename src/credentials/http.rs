//! Small requests to the endpoints that issue tokens: bounded in time and size, never redirected,
//! never through an HTTP proxy.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};

use super::{CredentialError, Reason};
use crate::{
    config::HttpVersion,
    upstream::{Connections, Pool},
};

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 1 << 20;

/// A client for identity endpoints. Clones share connections.
#[derive(Debug, Clone)]
pub struct IdentityEndpoints {
    pool: std::sync::Arc<Pool<Full<Bytes>>>,
}

/// What an identity endpoint said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// `Retry-After` in seconds (RFC 9110, section 10.2.3); dates are not used by these endpoints.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        value.trim().parse().ok().map(Duration::from_secs)
    }
}

impl IdentityEndpoints {
    /// A client over connections of its own.
    pub fn new(connections: &Connections) -> Self {
        Self {
            pool: std::sync::Arc::new(connections.pool(HttpVersion::Auto)),
        }
    }

    /// `GET`s and reads the whole answer, whatever its status. A redirect is an answer too.
    pub(super) async fn get(
        &self,
        url: &Uri,
        headers: HeaderMap,
    ) -> Result<Answer, CredentialError> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        request
            .headers_mut()
            .insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        self.send(request).await
    }

    /// `POST`s a form and reads the whole answer, whatever its status.
    pub(super) async fn post_form(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
    ) -> Result<Answer, CredentialError> {
        self.post_form_with(url, form, HeaderMap::new()).await
    }

    /// Likewise, with more headers.
    pub(super) async fn post_form_with(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
        headers: HeaderMap,
    ) -> Result<Answer, CredentialError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.clone();
        *request.headers_mut() = headers;
        for (name, value) in [
            (header::ACCEPT, "application/json"),
            (header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
        ] {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        self.send(request).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, CredentialError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        match tokio::time::timeout(TIMEOUT, self.exchange(request, &host)).await {
            Ok(answer) => answer,
            Err(_) => Err(unreachable(
                &host,
                &format!("no answer within {} s", TIMEOUT.as_secs()),
            )),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        host: &str,
    ) -> Result<Answer, CredentialError> {
        let (response, _in_flight) = self
            .pool
            .send(request, None::<fn() -> Request<Full<Bytes>>>)
            .await
            .map_err(|error| unreachable(host, &error.to_string()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map_err(|_| unreachable(host, "its answer broke off or is too long"))?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}

fn unreachable(host: &str, detail: &str) -> CredentialError {
    CredentialError::new(
        Reason::Transient,
        format!("no token from {host}: {detail}"),
        "Check the network and the authority's name; ahds-proxy tries again by itself.",
    )
}
