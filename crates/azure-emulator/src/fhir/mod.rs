//! A FHIR R4 service in memory that responds as the one of Azure Health Data Services does.
//!
//! This file has the steps of a request, `interaction.rs` the interactions, `store.rs` the
//! resources, `search.rs` queries and paging, `bundle.rs` batches and transactions, `export.rs`
//! bulk export, `outcome.rs` the errors and `capability.rs` the documents that need no token.

mod bundle;
mod capability;
mod export;
mod interaction;
mod outcome;
mod search;
mod store;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use http::{HeaderName, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use self::{
    interaction::{Interaction, Reply},
    outcome::Problem,
    store::Store,
};
use super::{
    Options,
    body::{self, Body},
    faults::{self, Fault, Faults},
    form, probe, random,
    serve::Connection,
    tokens::TokenCheck,
    traffic::{RequestBody, Traffic},
};

/// The media type that the service reads and writes.
const FHIR_JSON: &str = "application/fhir+json; charset=utf-8";
/// The largest body accepted.
const BODY_CAP: usize = 64 * 1024 * 1024;

/// The emulated FHIR service, and the handle to its behaviour.
#[derive(Debug)]
pub struct Fhir {
    traffic: Traffic,
    faults: Faults,
    tokens: TokenCheck,
    store: Mutex<Store>,
    exports: export::Exports,
    export_polls: AtomicU32,
}

impl Fhir {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            traffic: Traffic::new(options.remembered_requests),
            faults: Faults::default(),
            tokens: TokenCheck::new(&[super::FHIR_AUDIENCE]),
            store: Mutex::default(),
            exports: export::Exports::default(),
            export_polls: AtomicU32::new(options.export_polls),
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

    /// The number of polls that get 202, for exports that start from now on.
    pub fn set_export_polls(&self, polls: u32) {
        self.export_polls.store(polls, Ordering::Relaxed);
    }

    /// How many resources of a type there are.
    pub fn count(&self, resource_type: &str) -> usize {
        self.store().all(resource_type).count()
    }

    /// Stores a resource as a PUT would, id included.
    pub(super) fn preload(&self, resource: Value) {
        let kind = resource["resourceType"].as_str().map(ToOwned::to_owned);
        let id = resource["id"].as_str().map(ToOwned::to_owned);
        if let (Some(kind), Some(id)) = (kind, id) {
            self.store().put(&kind, &id, resource);
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
        let correlation = request.headers().get("x-request-id").cloned();

        let mut response = self.answer(request, &connection).await;
        body::set(
            &mut response,
            HeaderName::from_static("x-request-id"),
            &random::guid(),
        );
        body::set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        // Azure gives the client's id another name on the way back.
        if let Some(id) = correlation {
            response.headers_mut().insert("x-correlation-id", id);
        }
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
        let base = body::base_url(&request);
        if let Some(open) = capability::without_token(&path, &base) {
            return open;
        }
        if let Err(denied) = self.tokens.check(request.headers()) {
            self.traffic.invalid_token();
            let mut response = Problem::login().into_response();
            body::set(&mut response, header::WWW_AUTHENTICATE, &denied.challenge());
            return response;
        }
        if self.tokens.lacks_role() {
            return Problem::forbidden().into_response();
        }
        if path.starts_with(probe::PREFIX) {
            return probe::answer(request, &self.traffic, connection).await;
        }
        match self.interact(request, &base, &path).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        }
    }

    async fn interact(
        &self,
        request: Request<RequestBody>,
        base: &str,
        path: &str,
    ) -> Result<Response<Body>, Problem> {
        let (head, body) = request.into_parts();
        let raw_query = head.uri.query().unwrap_or_default();
        let path = path.trim_matches('/');

        if path.ends_with("$export") || path.starts_with("_operations/export/") {
            let polls = self.export_polls.load(Ordering::Relaxed);
            return self.exports.answer(&head, base, path, polls);
        }
        let content = Limited::new(body, BODY_CAP)
            .collect()
            .await
            .map_err(|_| Problem::too_long())?
            .to_bytes();

        // The service turns a form into a query, and so do its links.
        if head.method == Method::POST && (path.ends_with("/_search") || path == "_search") {
            let form = String::from_utf8_lossy(&content);
            let merged = [raw_query, &form]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("&");
            return self
                .one(&Interaction {
                    method: Method::GET,
                    path: path.trim_end_matches("_search").trim_end_matches('/'),
                    query: form::parse(&merged),
                    raw_query: &merged,
                    headers: head.headers,
                    resource: None,
                    base,
                })
                .map(Reply::into_response);
        }

        let resource = match head.method {
            Method::POST | Method::PUT => Some(parse(&content)?),
            _ => None,
        };
        if head.method == Method::POST && path.is_empty() {
            let resource = resource.unwrap_or_default();
            return self.bundle(resource, base).map(Reply::into_response);
        }
        let minimal = head
            .headers
            .get("prefer")
            .is_some_and(|prefer| prefer == "return=minimal");
        let mut reply = self.one(&Interaction {
            method: head.method,
            path,
            query: form::parse(raw_query),
            raw_query,
            headers: head.headers,
            resource,
            base,
        })?;
        if minimal && reply.location.is_some() {
            reply.resource = None;
        }
        Ok(reply.into_response())
    }
}

fn parse(content: &[u8]) -> Result<Value, Problem> {
    match serde_json::from_slice::<Value>(content) {
        Ok(resource) if resource["resourceType"].is_string() => Ok(resource),
        Ok(_) => Err(Problem::invalid(
            "Failed to parse resource: it has no resourceType.",
        )),
        Err(error) => Err(Problem::invalid(format!(
            "Failed to parse resource: {error}"
        ))),
    }
}

fn answer_fault(fault: &Fault) -> Response<Body> {
    match fault {
        Fault::Unauthorized => {
            let mut response = Problem::login().into_response();
            let denied = super::tokens::Denied::Invalid("The token is not wanted".to_owned());
            body::set(&mut response, header::WWW_AUTHENTICATE, &denied.challenge());
            response
        }
        Fault::Forbidden => Problem::forbidden().into_response(),
        Fault::Throttle(wait) => outcome::throttled(*wait),
        other => faults::respond(other),
    }
}
