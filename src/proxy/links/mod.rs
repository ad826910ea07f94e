//! The links to rewrite in one exchange: their base URLs, and the headers and bodies that contain
//! them. [`crate::rewrite`] does the rewriting.

mod base_urls;
mod content_type;

pub(crate) use base_urls::{BaseUrls, Ports};

pub(super) use base_urls::ListenerKind;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request, response};

use super::{decompress::Coding, headers, service::Interaction};
use crate::{
    config::{RouteKind, ServiceUrl},
    rewrite::{Bases, FormRewriter, JsonRewriter, Plan, Rewriter, XmlRewriter},
};
use content_type::ContentType;

/// The coding to request of a response whose links are rewritten.
const UNCOMPRESSED: HeaderValue = HeaderValue::from_static("identity");

/// FHIR asks intermediaries that change content to say so (hl7.org/fhir/R4/http.html#intermediaries).
const REQUEST_MODIFIED: HeaderName = HeaderName::from_static("request-modified-ahds-proxy");
const RESPONSE_MODIFIED: HeaderName = HeaderName::from_static("response-modified-ahds-proxy");
const IN_REQUESTS: HeaderValue = HeaderValue::from_static("rewrote proxy base URLs");
const IN_RESPONSES: HeaderValue = HeaderValue::from_static("rewrote service base URLs");

/// The base URLs to replace in one exchange.
#[derive(Debug)]
pub(in crate::proxy) struct Links {
    responses: Arc<Bases>,
    requests: Arc<Bases>,
    /// The path of the service's base URL, and of ours.
    paths: (Box<str>, Box<str>),
}

/// The format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Xml,
    Form,
}

/// How to rewrite the links in a body.
#[derive(Debug)]
pub(in crate::proxy) struct BodyRewrite {
    format: Format,
    plan: Plan,
    bases: Arc<Bases>,
    pub(in crate::proxy) coding: Option<Coding>,
}

impl BodyRewrite {
    /// A rewriter at the start of the body.
    pub(in crate::proxy) fn rewriter(&self) -> Rewriter {
        let (plan, bases) = (self.plan, self.bases.clone());
        match self.format {
            Format::Json => Rewriter::Json(JsonRewriter::new(plan, bases)),
            Format::Xml => Rewriter::Xml(XmlRewriter::new(plan, bases)),
            Format::Form => Rewriter::Form(FormRewriter::new(bases)),
        }
    }
}

impl Links {
    /// The service is at `theirs`, and the client calls it by `ours`. `requests` leads from every
    /// name of the proxy to the service behind it.
    pub(in crate::proxy) fn new(theirs: &ServiceUrl, ours: &ServiceUrl, requests: Bases) -> Self {
        // A service behind a gateway that terminates TLS may write http into its links.
        let plain = theirs.to_string().replacen("https://", "http://", 1);
        let port = format!(
            "{}:443{}",
            theirs.origin().replacen("https", "http", 1),
            theirs.base_path()
        );
        let plain = [plain, port].map(|name| ServiceUrl::parse(&name).ok());
        let plain = plain.iter().flatten().filter(|plain| *plain != theirs);
        let names = std::iter::once(theirs).chain(plain);
        Self {
            responses: Arc::new(Bases::new(names.map(|name| (name, ours)))),
            requests: Arc::new(requests),
            paths: (theirs.base_path().into(), ours.base_path().into()),
        }
    }

    /// Rewrites a query. `None` if it does not contain a URL of the proxy.
    pub(in crate::proxy) fn in_query(&self, query: &str) -> Option<String> {
        let changed = self.requests.rewrite_query(query.as_bytes())?;
        String::from_utf8(changed).ok()
    }

    /// Rewrites the request headers that contain URLs. With a `plan`, it also requests a response
    /// that is whole and not compressed: a range would count the bytes of the original, and the
    /// client counts those of the rewritten response.
    pub(in crate::proxy) fn in_request_headers(&self, plan: Option<Plan>, headers: &mut HeaderMap) {
        if plan.is_some() {
            headers.insert(header::ACCEPT_ENCODING, UNCOMPRESSED);
            headers::remove_all(headers, |name| {
                matches!(*name, header::RANGE | header::IF_RANGE)
            });
        }
        let bases = &self.requests;
        change(headers, |name, value| match name {
            "if-none-exist" => bases.rewrite_condition(value),
            "content-location" | "destination" => bases.rewrite_search(value),
            // This header contains a resource.
            "x-provenance" => {
                let mut rewriter = JsonRewriter::new(Plan::Request, bases.clone());
                let start = rewriter.push(&Bytes::copy_from_slice(value));
                Some([start, rewriter.finish()].concat())
            }
            _ => None,
        });
    }

    /// How to rewrite the body of a request. `None` if it cannot contain the proxy's URLs, or has a
    /// coding that the proxy cannot decode.
    pub(in crate::proxy) fn in_request_body(
        &self,
        kind: RouteKind,
        head: &request::Parts,
        interaction: &Interaction,
    ) -> Option<BodyRewrite> {
        let headers = &head.headers;
        let writes = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        if kind == RouteKind::Http || !writes {
            return None;
        }
        let format = match ContentType::of(headers)? {
            ContentType::Json
            | ContentType::FhirJson
            | ContentType::DicomJson
            | ContentType::OtherJson => Format::Json,
            ContentType::FhirXml => Format::Xml,
            ContentType::Xml if kind == RouteKind::Fhir => Format::Xml,
            ContentType::Form if interaction.is_search => Format::Form,
            ContentType::Xml | ContentType::Form => return None,
        };
        Some(BodyRewrite {
            format,
            plan: Plan::Request,
            bases: self.requests.clone(),
            coding: Coding::of(headers).ok()?,
        })
    }

    /// Rewrites the response headers that contain URLs of the service.
    pub(in crate::proxy) fn in_response_headers(&self, headers: &mut HeaderMap) {
        change(headers, |name, value| match name {
            "location" | "content-location" => self.in_location(value),
            "link" => Bases::rewrite_links(value, |target| self.in_location(target)),
            _ => None,
        });
    }

    /// Rewrites a URL or an absolute path. Without the route's prefix, the path would lead to
    /// another route or to none.
    fn in_location(&self, value: &[u8]) -> Option<Vec<u8>> {
        if !value.starts_with(b"/") || value.starts_with(b"//") {
            return self.responses.rewrite_url(value);
        }
        let (theirs, ours) = &self.paths;
        let rest = value.strip_prefix(theirs.as_bytes())?;
        let is_below = matches!(rest.first(), None | Some(b'/' | b'?' | b'#'));
        is_below.then(|| [ours.as_bytes(), rest].concat())
    }

    /// How to rewrite the body of a response, by the plan for its request.
    pub(in crate::proxy) fn in_response_body(
        &self,
        plan: Plan,
        head: &response::Parts,
    ) -> Option<BodyRewrite> {
        Some(BodyRewrite {
            format: response_format(plan, head)?,
            plan,
            bases: self.responses.clone(),
            coding: Coding::of(&head.headers).ok()?,
        })
    }
}

/// Removes headers that describe the original bytes (length, encoding, digests) and adds
/// `response-modified-ahds-proxy`. The header is added even if nothing changes, since that is known
/// only at the end of the body.
pub(in crate::proxy) fn describe_rewritten_response(headers: &mut HeaderMap) {
    headers::remove_all(headers, |name| {
        is_of_the_bytes(name) || *name == header::ACCEPT_RANGES
    });
    headers.insert(RESPONSE_MODIFIED, IN_RESPONSES);
}

/// Removes headers that describe the original bytes and adds `request-modified-ahds-proxy`, since
/// the body is rewritten and no longer compressed.
pub(in crate::proxy) fn describe_rewritten_request(headers: &mut HeaderMap) {
    headers::remove_all(headers, is_of_the_bytes);
    headers.insert(REQUEST_MODIFIED, IN_REQUESTS);
}

/// Removes trailers that describe the original bytes.
pub(in crate::proxy) fn mark_trailers(trailers: &mut HeaderMap) {
    headers::remove_all(trailers, is_of_the_bytes);
}

/// A header that describes the bytes of a body. `ETag` does not: it is the version of the resource.
fn is_of_the_bytes(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "content-digest"
            | "content-encoding"
            | "content-length"
            | "content-md5"
            | "digest"
            | "repr-digest"
    )
}

fn response_format(plan: Plan, head: &response::Parts) -> Option<Format> {
    let is_result = match plan {
        // A 409 is the response to an upload of which nothing was stored. It lists the failures.
        Plan::DicomStore => head.status.is_success() || head.status == StatusCode::CONFLICT,
        _ => head.status.is_success(),
    };
    // A part of a body does not show which elements its strings belong to.
    let is_part = head.status == StatusCode::PARTIAL_CONTENT
        || head.headers.contains_key(header::CONTENT_RANGE);
    let is_empty = head.status == StatusCode::NO_CONTENT;
    if !is_result || is_part || is_empty || headers::forbids_transformation(&head.headers) {
        return None;
    }
    match (plan, ContentType::of(&head.headers)?) {
        (Plan::FhirResponse, ContentType::FhirJson | ContentType::Json)
        | (Plan::SmartConfiguration | Plan::DicomOperation, ContentType::Json)
        | (Plan::DicomStore, ContentType::DicomJson | ContentType::Json) => Some(Format::Json),
        (Plan::FhirResponse, ContentType::FhirXml | ContentType::Xml) => Some(Format::Xml),
        _ => None,
    }
}

/// Replaces the value of each header for which `rewrite` returns a new value.
fn change(headers: &mut HeaderMap, rewrite: impl Fn(&str, &[u8]) -> Option<Vec<u8>>) {
    for (name, value) in headers.iter_mut() {
        let changed = rewrite(name.as_str(), value.as_bytes()).map(Bytes::from);
        if let Some(Ok(changed)) = changed.map(HeaderValue::from_maybe_shared) {
            *value = changed;
        }
    }
}
