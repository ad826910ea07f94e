//! A DICOM service in memory that responds as the one of Azure Health Data Services does.
//!
//! This file has the routes, `store.rs` the instances and the change feed, `stow.rs` uploads,
//! `qido.rs` searches and `wado.rs` retrievals. `dataset.rs`, `dictionary.rs`, `json.rs` and
//! `multipart.rs` have the formats.

mod dataset;
mod dictionary;
mod json;
mod multipart;
mod qido;
mod store;
mod stow;
mod wado;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use self::store::{Instance, Selection, Store};
use super::{
    Options,
    body::{self, Body},
    faults::{self, Fault, Faults},
    form, probe,
    serve::Connection,
    tokens::TokenCheck,
    traffic::{RequestBody, Traffic},
};

pub(super) use dataset::write as write_file;

const DICOM: &str = "application/dicom";
const DICOM_JSON: &str = "application/dicom+json";
/// The largest upload held in memory. `/emulator/count` takes any.
const UPLOAD_CAP: usize = 512 * 1024 * 1024;

/// The emulated DICOM service, and the handle to its behaviour.
#[derive(Debug)]
pub struct Dicom {
    traffic: Traffic,
    faults: Faults,
    tokens: TokenCheck,
    store: Mutex<Store>,
}

impl Dicom {
    pub(super) fn new(options: &Options) -> Self {
        let with_slash = format!("{}/", super::DICOM_AUDIENCE);
        Self {
            traffic: Traffic::new(options.remembered_requests),
            faults: Faults::default(),
            tokens: TokenCheck::new(&[super::DICOM_AUDIENCE, &with_slash]),
            store: Mutex::default(),
        }
    }

    /// Counters and recorded requests.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Faults of every request to this service.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Accepts tokens for this audience, and no other, from now on.
    pub fn set_audience(&self, audience: &str) {
        self.tokens.set_audiences(vec![audience.to_owned()]);
    }

    /// Whether all callers lack a role: 403 for everything that needs a token.
    pub fn set_lacks_role(&self, lacks_role: bool) {
        self.tokens.set_lacks_role(lacks_role);
    }

    /// How many instances there are.
    pub fn count(&self) -> usize {
        self.store().select(&Selection::default()).count()
    }

    /// Stores a file as an upload would.
    pub(super) fn preload(&self, file: Vec<u8>) {
        if let Ok(instance) = Instance::parse(Bytes::from(file)) {
            self.store().add(instance);
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Response<Body> {
        let (running, request) = self.traffic.begin(request, &connection);
        let method = request.method().clone();
        let mut response = self.answer(request, &connection).await;
        body::set(
            &mut response,
            HeaderName::from_static("api-supported-versions"),
            "1, 2",
        );
        running.follow(&method, response)
    }

    async fn answer(
        &self,
        request: Request<RequestBody>,
        connection: &Arc<Connection>,
    ) -> Response<Body> {
        if let Some(fault) = self.faults.suffer(None, connection).await {
            return answer_fault(&fault);
        }
        let path = request.uri().path().to_owned();
        if path == "/health/check" {
            let healthy = serde_json::json!({"overallStatus": "Healthy", "details": []});
            return body::json(StatusCode::OK, &healthy);
        }
        if let Err(denied) = self.tokens.check(request.headers()) {
            self.traffic.invalid_token();
            return unauthorized(&denied.challenge());
        }
        if self.tokens.lacks_role() {
            return answer_fault(&Fault::Forbidden);
        }
        if path.starts_with(probe::PREFIX) {
            return probe::answer(request, &self.traffic, connection).await;
        }

        let base = body::base_url(&request);
        let Some((prefix, version, rest)) = versioned(&path) else {
            return body::text(StatusCode::NOT_FOUND, "");
        };
        let base = format!("{base}{prefix}");
        let (head, body) = request.into_parts();
        let content = match Limited::new(body, UPLOAD_CAP).collect().await {
            Ok(content) => content.to_bytes(),
            Err(_) => return body::text(StatusCode::PAYLOAD_TOO_LARGE, "The upload is too large."),
        };
        let call = Call {
            method: head.method,
            headers: head.headers,
            query: form::parse(head.uri.query().unwrap_or_default()),
            base: &base,
            version,
            content,
        };
        let segments: Vec<&str> = rest.split('/').collect();
        self.route(&call, &segments)
    }

    fn route(&self, call: &Call<'_>, path: &[&str]) -> Response<Body> {
        let mut store = self.store();
        let get = matches!(call.method, Method::GET | Method::HEAD);
        match path {
            ["studies"] | ["studies", _] if matches!(call.method, Method::POST | Method::PUT) => {
                stow::store(&mut store, call, path.get(1).copied())
            }
            ["changefeed"] if get => store.change_feed(call),
            ["changefeed", "latest"] if get => store.latest_change(call),
            ["studies" | "series" | "instances"] if get => {
                qido::search(&store, call, &Selection::default(), path[0])
            }
            ["studies", study, level @ ("series" | "instances")] if get => {
                qido::search(&store, call, &Selection::of(&[study]), level)
            }
            ["studies", study, "series", series, "instances"] if get => {
                qido::search(&store, call, &Selection::of(&[study, series]), "instances")
            }
            _ => {
                let Some((selection, view)) = Selection::in_path(path) else {
                    return body::text(StatusCode::NOT_FOUND, "");
                };
                match view {
                    [] if get => wado::retrieve(&store, call, &selection),
                    ["metadata"] if get => wado::metadata(&store, call, &selection),
                    ["frames", frames] if get => wado::frames(&store, call, &selection, frames),
                    [] if call.method == Method::DELETE => {
                        if store.delete(&selection) {
                            body::empty(StatusCode::NO_CONTENT)
                        } else {
                            not_found()
                        }
                    }
                    [] | ["metadata"] | ["frames", _] => {
                        body::text(StatusCode::METHOD_NOT_ALLOWED, "")
                    }
                    _ => body::text(StatusCode::NOT_FOUND, ""),
                }
            }
        }
    }
}

/// One request, its body read.
struct Call<'a> {
    method: Method,
    headers: HeaderMap,
    query: form::Fields,
    /// Where this version, and partition, of the service is.
    base: &'a str,
    version: u32,
    content: Bytes,
}

impl Call<'_> {
    fn header(&self, name: &HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// Splits `/v2[/partitions/name]/rest`; routes without a version do not exist.
fn versioned(path: &str) -> Option<(&str, u32, &str)> {
    let version = match path.get(..4)? {
        "/v1/" => 1,
        "/v2/" => 2,
        _ => return None,
    };
    let mut prefix = 3;
    if let Some(rest) = path[3..].strip_prefix("/partitions/") {
        prefix = path.len() - rest.len() + rest.find('/')?;
    }
    let rest = path[prefix + 1..].trim_end_matches('/');
    Some((&path[..prefix], version, rest))
}

fn unauthorized(challenge: &str) -> Response<Body> {
    let mut response = body::empty(StatusCode::UNAUTHORIZED);
    body::set(&mut response, header::WWW_AUTHENTICATE, challenge);
    response
}

fn not_found() -> Response<Body> {
    body::text(
        StatusCode::NOT_FOUND,
        "The specified instance cannot be found.",
    )
}

fn answer_fault(fault: &Fault) -> Response<Body> {
    match fault {
        Fault::Unauthorized => {
            let denied = super::tokens::Denied::Invalid("The token is not wanted".to_owned());
            unauthorized(&denied.challenge())
        }
        Fault::Forbidden => body::empty(StatusCode::FORBIDDEN),
        Fault::Throttle(wait) => {
            let mut response = body::text(StatusCode::TOO_MANY_REQUESTS, "");
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            body::set(&mut response, header::RETRY_AFTER, &seconds.to_string());
            body::set(
                &mut response,
                HeaderName::from_static("x-ms-retry-after-ms"),
                &wait.as_millis().to_string(),
            );
            response
        }
        other => faults::respond(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versioned_paths_exist() {
        assert_eq!(versioned("/v2/studies/1"), Some(("/v2", 2, "studies/1")));
        assert_eq!(
            versioned("/v1/partitions/p/studies/"),
            Some(("/v1/partitions/p", 1, "studies"))
        );
        assert_eq!(versioned("/studies"), None);
        assert_eq!(versioned("/v3/studies"), None);
    }
}
