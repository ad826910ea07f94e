//! A FHIR R4 service in memory that answers as the one of Azure Health Data Services does.
//!
//! This file holds the routes, `store.rs` the resources, `search.rs` queries and paging,
//! `bundle.rs` batches and transactions, `export.rs` bulk export, `outcome.rs` the errors and
//! `capability.rs` the documents that need no token.

mod bundle;
mod capability;
mod export;
mod outcome;
mod search;
mod store;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use self::{
    outcome::Problem,
    store::{Found, Store},
};
use super::{
    Options,
    body::{self, Body},
    clock,
    faults::{self, Fault, Faults},
    form, probe, random,
    serve::Connection,
    tokens::TokenCheck,
    traffic::{RequestBody, Traffic},
};

/// What the service writes and reads.
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

/// What an interaction answers, before it becomes HTTP or a bundle's entry.
struct Reply {
    status: StatusCode,
    resource: Option<Value>,
    /// A version's number and time.
    version: Option<(u64, jiff::Timestamp)>,
    location: Option<String>,
}

impl Reply {
    fn status(status: StatusCode) -> Self {
        Self {
            status,
            resource: None,
            version: None,
            location: None,
        }
    }

    fn ok(resource: Value) -> Self {
        Self {
            resource: Some(resource),
            ..Self::status(StatusCode::OK)
        }
    }

    fn stored(status: StatusCode, base: &str, found: Found) -> Self {
        Self {
            status,
            location: Some(format!(
                "{base}/{}/{}/_history/{}",
                found.kind, found.id, found.version
            )),
            version: Some((found.version, found.at)),
            resource: Some(found.resource),
        }
    }

    fn into_response(self) -> Response<Body> {
        let mut response = match self.resource {
            Some(resource) => body::full(self.status, FHIR_JSON, resource.to_string()),
            None => body::empty(self.status),
        };
        if let Some((version, at)) = self.version {
            body::set(&mut response, header::ETAG, &format!("W/\"{version}\""));
            body::set(&mut response, header::LAST_MODIFIED, &clock::http_date(at));
        }
        if let Some(location) = self.location {
            body::set(&mut response, header::LOCATION, &location);
        }
        response
    }
}

/// One interaction: a request of its own, or an entry of a bundle.
struct Interaction<'a> {
    method: Method,
    /// Without the slash at the front.
    path: &'a str,
    query: form::Fields,
    /// As the client wrote it, for the links of a search.
    raw_query: &'a str,
    headers: HeaderMap,
    resource: Option<Value>,
    base: &'a str,
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

    /// How many polls of an export started from now on answer 202.
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

    /// Answers one interaction on one resource, one type, or the whole system.
    fn one(&self, interaction: &Interaction<'_>) -> Result<Reply, Problem> {
        let Interaction {
            method,
            headers,
            base,
            ..
        } = interaction;
        let segments: Vec<&str> = interaction.path.split('/').collect();
        if !segments[0].is_empty() && segments[0] != "_history" {
            check_type(segments[0])?;
        }
        let mut store = self.store();
        match (method, segments.as_slice()) {
            (&Method::GET | &Method::HEAD, ["_history"]) => Ok(Reply::ok(search::history(
                &store.history(None, None),
                base,
                "_history",
            ))),
            (&Method::GET | &Method::HEAD, [kind]) => {
                search::search(&store, kind, interaction).map(Reply::ok)
            }
            (&Method::GET, [kind, "_history"]) => Ok(Reply::ok(search::history(
                &store.history(Some(kind), None),
                base,
                interaction.path,
            ))),
            (&Method::GET, [kind, id, "_history"]) => {
                let versions = store.history(Some(kind), Some(id));
                if versions.is_empty() {
                    return Err(Problem::unknown_resource(kind, id));
                }
                Ok(Reply::ok(search::history(
                    &versions,
                    base,
                    interaction.path,
                )))
            }
            (&Method::GET | &Method::HEAD, [kind, id]) => {
                let found = store.read(kind, id)?;
                let etag = format!("W/\"{}\"", found.version);
                let mut reply = Reply::stored(StatusCode::OK, base, found);
                reply.location = None;
                if header_is(headers, &header::IF_NONE_MATCH, &etag) {
                    reply.status = StatusCode::NOT_MODIFIED;
                    reply.resource = None;
                }
                Ok(reply)
            }
            (&Method::GET, [kind, id, "_history", version]) => {
                let found = store.read_version(kind, id, version)?;
                let mut reply = Reply::stored(StatusCode::OK, base, found);
                reply.location = None;
                Ok(reply)
            }
            (&Method::POST, [kind]) if !kind.is_empty() => {
                let resource = interaction.resource_of(kind)?;
                if let Some(condition) = headers.get("if-none-exist") {
                    let query = form::parse(condition.to_str().unwrap_or_default());
                    let matches: Vec<_> = search::matching(&store, kind, &query).collect();
                    match matches.as_slice() {
                        [] => {}
                        [existing] => {
                            return Ok(Reply::stored(StatusCode::OK, base, existing.clone()));
                        }
                        _ => return Err(Problem::several_matches()),
                    }
                }
                let (_, found) = store.put(kind, &random::guid(), resource);
                Ok(Reply::stored(StatusCode::CREATED, base, found))
            }
            (&Method::PUT, [kind, id]) => {
                let resource = interaction.resource_of(kind)?;
                if resource["id"].as_str() != Some(id) {
                    return Err(Problem::invalid(
                        "Id in the URL must match id in the resource.",
                    ));
                }
                if let Some(expected) = headers.get(header::IF_MATCH) {
                    let current = store.read(kind, id).map_or(0, |found| found.version);
                    if *expected != format!("W/\"{current}\"") {
                        return Err(Problem::precondition_failed(expected));
                    }
                }
                let (created, found) = store.put(kind, id, resource);
                let status = if created {
                    StatusCode::CREATED
                } else {
                    StatusCode::OK
                };
                Ok(Reply::stored(status, base, found))
            }
            (&Method::DELETE, [kind, id]) => {
                let version = store.delete(kind, id);
                let mut reply = Reply::status(StatusCode::NO_CONTENT);
                reply.version = version.map(|version| (version, jiff::Timestamp::now()));
                Ok(reply)
            }
            (_, [_] | [_, _]) => Err(Problem::not_allowed()),
            _ => Err(Problem::unknown_route()),
        }
    }
}

impl Interaction<'_> {
    /// The resource in the body, if it is of the type in the path.
    fn resource_of(&self, kind: &str) -> Result<Value, Problem> {
        match &self.resource {
            Some(resource) if resource["resourceType"] == *kind => Ok(resource.clone()),
            _ => Err(Problem::invalid(
                "Resource type in the URL must match resourceType in the resource.",
            )),
        }
    }
}

fn check_type(kind: &str) -> Result<(), Problem> {
    if capability::TYPES.contains(&kind) {
        Ok(())
    } else {
        Err(Problem::unknown_type(kind))
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

fn header_is(headers: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    headers.get(name).is_some_and(|header| header == value)
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
