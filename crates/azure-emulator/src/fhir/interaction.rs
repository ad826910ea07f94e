//! One interaction of the REST API: a request of its own, or an entry of a bundle.

use http::{HeaderMap, HeaderName, Method, Response, StatusCode, header};
use serde_json::Value;

use super::{
    super::{
        body::{self, Body},
        clock, form, random,
    },
    FHIR_JSON, Fhir, capability,
    outcome::Problem,
    search,
    store::Found,
};

/// The result of an interaction, before it becomes HTTP or a bundle's entry.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) resource: Option<Value>,
    /// A version's number and time.
    pub(super) version: Option<(u64, jiff::Timestamp)>,
    pub(super) location: Option<String>,
}

impl Reply {
    pub(super) fn status(status: StatusCode) -> Self {
        Self {
            status,
            resource: None,
            version: None,
            location: None,
        }
    }

    pub(super) fn ok(resource: Value) -> Self {
        Self {
            resource: Some(resource),
            ..Self::status(StatusCode::OK)
        }
    }

    pub(super) fn stored(status: StatusCode, base: &str, found: Found) -> Self {
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

    pub(super) fn into_response(self) -> Response<Body> {
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
pub(super) struct Interaction<'a> {
    pub(super) method: Method,
    /// Without the slash at the front.
    pub(super) path: &'a str,
    pub(super) query: form::Fields,
    /// As the client wrote it, for the links of a search.
    pub(super) raw_query: &'a str,
    pub(super) headers: HeaderMap,
    pub(super) resource: Option<Value>,
    pub(super) base: &'a str,
}

impl Fhir {
    /// Answers one interaction on one resource, one type, or the whole system.
    pub(super) fn one(&self, interaction: &Interaction<'_>) -> Result<Reply, Problem> {
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

fn header_is(headers: &HeaderMap, name: &HeaderName, value: &str) -> bool {
    headers.get(name).is_some_and(|header| header == value)
}
