//! Requests to Resource Manager: one resource, or all pages of a list.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode, Uri, header,
    uri::{Authority, Scheme},
};
use http_body_util::{BodyExt as _, Limited};
use serde::{Deserialize, de::DeserializeOwned};

use super::{cloud::Cloud, failure::Failure};
use crate::{
    credentials::AccessToken,
    upstream::{self, Connections, Pools},
};

/// The time for one response.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait that a throttled request takes.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const ATTEMPTS: usize = 3;
const MAX_RESPONSE: usize = 16 << 20;
/// More pages than any list has. A list that links to itself must end.
const MAX_PAGES: usize = 1000;

/// A client with a token. Clones share connections.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pools: Arc<Pools>,
    host: &'static str,
    authorization: HeaderValue,
}

#[derive(Deserialize)]
struct Page<T> {
    value: Vec<T>,
    #[serde(rename = "nextLink")]
    next_link: Option<String>,
}

/// The body of an error (github.com/microsoft/api-guidelines, azure/Guidelines.md, "Errors").
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorCode,
}

#[derive(Deserialize)]
struct ErrorCode {
    code: String,
}

impl Client {
    pub(super) fn new(
        connections: &Connections,
        token: &AccessToken,
        cloud: &Cloud,
    ) -> Result<Self, Failure> {
        let authorization = token.authorization().ok_or_else(Failure::not_a_token)?;
        Ok(Self {
            pools: Arc::new(connections.pools()),
            host: cloud.host,
            authorization,
        })
    }

    /// Requests a resource. `None` if there is none.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        version: &str,
    ) -> Result<Option<T>, Failure> {
        self.request(&self.url(path, version)).await
    }

    /// Requests all pages of a list. A list that does not exist is empty.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        version: &str,
    ) -> Result<Vec<T>, Failure> {
        let mut url = self.url(path, version);
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(page) = self.request::<Page<T>>(&url).await? else {
                break;
            };
            all.extend(page.value);
            match page.next_link.filter(|link| !link.is_empty()) {
                None => break,
                Some(link) => url = link,
            }
        }
        Ok(all)
    }

    fn url(&self, path: &str, version: &str) -> String {
        format!("https://{}{path}?api-version={version}", self.host)
    }

    async fn request<T: DeserializeOwned>(&self, url: &str) -> Result<Option<T>, Failure> {
        // Ids and links come from a response, and the token must not go to another host.
        let own = |uri: &Uri| {
            let authority = uri.authority().map(Authority::as_str);
            authority == Some(self.host) && uri.scheme() == Some(&Scheme::HTTPS)
        };
        let uri = url.parse().ok().filter(own);
        let uri = uri.ok_or_else(|| Failure::malformed(self.host))?;
        let mut attempt = 1;
        let (status, body) = loop {
            let exchange = tokio::time::timeout(TIMEOUT, self.exchange(uri.clone()));
            let (head, body) = exchange.await.unwrap_or_else(|_| {
                let late = format!("no response within {} s", TIMEOUT.as_secs());
                Err(Failure::unreachable(self.host, &late))
            })?;
            if head.status != StatusCode::TOO_MANY_REQUESTS || attempt == ATTEMPTS {
                break (head.status, body);
            }
            attempt += 1;
            let wait = upstream::retry_after(&head.headers, SystemTime::now());
            let wait = wait.unwrap_or(Duration::from_secs(1));
            tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
        };
        if status.is_success() {
            let read = serde_json::from_slice(&body);
            return read.map(Some).map_err(|_| Failure::malformed(self.host));
        }
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let code = serde_json::from_slice::<ErrorBody>(&body).map(|body| body.error.code);
        Err(Failure::refused(self.host, status, code.ok().as_deref()))
    }

    async fn exchange(&self, uri: Uri) -> Result<(http::response::Parts, Bytes), Failure> {
        let mut request = Request::new(());
        *request.uri_mut() = uri;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::ACCEPT, json);
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, self.authorization.clone());
        let response = self.pools.send(request, Bytes::new()).await;
        let response =
            response.map_err(|error| Failure::unreachable(self.host, &error.to_string()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_RESPONSE).collect().await;
        let broken = "its response broke off or is too long";
        let body = body.map_err(|_| Failure::unreachable(self.host, broken))?;
        Ok((head, body.to_bytes()))
    }
}
