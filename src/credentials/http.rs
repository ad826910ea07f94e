//! Small requests to the endpoints that issue tokens: bounded in time and size, never redirected,
//! never through an HTTP proxy.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};

use super::{CredentialError, Reason};
use crate::upstream::{Connections, Pools};

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 1 << 20;

/// A client for identity endpoints. Clones share connections.
#[derive(Debug, Clone)]
pub struct IdentityEndpoints {
    pools: std::sync::Arc<Pools<Full<Bytes>>>,
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
            pools: std::sync::Arc::new(connections.pools()),
        }
    }

    /// `POST`s a form and reads the whole answer, whatever its status.
    pub(super) async fn post_form(
        &self,
        url: &Uri,
        form: &[(&str, &str)],
    ) -> Result<Answer, CredentialError> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(url.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(body)))
            .expect("a parsed URI and constant headers make a request");
        let host = url.host().unwrap_or_default();
        match tokio::time::timeout(TIMEOUT, self.exchange(request, host)).await {
            Ok(answer) => answer,
            Err(_) => Err(unreachable(
                host,
                &format!("no answer within {} s", TIMEOUT.as_secs()),
            )),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        host: &str,
    ) -> Result<Answer, CredentialError> {
        let (response, _lease) = self
            .pools
            .send(request)
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
