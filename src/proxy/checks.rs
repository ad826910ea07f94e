//! Cheap checks of a request before the proxy does any work for it: the size of head and body, the
//! method and the framing. The framing of the response is checked here, too.

use http::{HeaderMap, HeaderName, Method, header, request::Parts};
use http_body::Body as _;

use super::{failure::Failure, headers, route::Route, service::Interaction};
use crate::server::{CutTarget, RequestBody};

/// Checks the size of the head. hyper reads heads up to twice the limit, so that all but extremely
/// large heads get this response.
pub(super) fn head_size(head: &Parts, limit: usize) -> Result<(), Failure> {
    let line = head.method.as_str().len()
        + head
            .uri
            .path_and_query()
            .map_or(0, |target| target.as_str().len());
    let fields: usize = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if line + fields > limit {
        Err(Failure::head_too_large(limit))
    } else {
        Ok(())
    }
}

/// Refuses a target with a raw `#`. A target that is cut off there would widen a search or a
/// delete.
pub(super) fn target(head: &Parts) -> Result<(), Failure> {
    match head.extensions.get::<CutTarget>() {
        Some(CutTarget) => Err(Failure::fragment()),
        None => Ok(()),
    }
}

pub(super) fn method(
    route: &Route,
    head: &Parts,
    interaction: &Interaction,
    has_body: bool,
) -> Result<(), Failure> {
    let method = &head.method;
    // A TRACE request must not carry credentials (RFC 9110, section 9.3.8).
    if matches!(*method, Method::TRACE | Method::CONNECT) {
        return Err(Failure::method_not_supported());
    }
    if !route.read_only {
        return Ok(());
    }
    let is_read =
        interaction.is_read && (*method != Method::POST || !has_body || is_form(&head.headers));
    if !is_read {
        return Err(Failure::read_only(&route.name));
    }
    // A gateway may let a GET stand for another method.
    if head.headers.keys().any(headers::is_override) || overrides_method(head.uri.query()) {
        return Err(Failure::override_header(&route.name));
    }
    Ok(())
}

/// Some frameworks take the method from the query, too.
fn overrides_method(query: Option<&str>) -> bool {
    let parameters = query.map(|query| form_urlencoded::parse(query.as_bytes()));
    parameters.into_iter().flatten().any(|(name, _)| {
        let name = HeaderName::try_from(name.as_ref());
        name.is_ok_and(|name| headers::is_override(&name))
    })
}

fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next();
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    })
}

pub(super) fn transfer_coding(head: &Parts) -> Result<(), Failure> {
    if is_chunked_at_most(&head.headers) {
        Ok(())
    } else {
        Err(Failure::transfer_coding())
    }
}

/// Rejects a response with a transfer coding other than chunked (RFC 9112, section 6.1).
pub(super) fn response_transfer_coding(headers: &HeaderMap) -> Result<(), Failure> {
    if is_chunked_at_most(headers) {
        Ok(())
    } else {
        Err(Failure::response_transfer_coding())
    }
}

/// Whether the body is readable without `Transfer-Encoding`. The chunks are decoded before this
/// check, and the header is dropped, so nothing would name another coding.
fn is_chunked_at_most(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    codings.all(|coding| {
        coding
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(b"chunked")
    })
}

pub(super) fn body_size(body: &RequestBody, limit: Option<u64>) -> Result<(), Failure> {
    match limit {
        Some(limit) if body.size_hint().lower() > limit => Err(Failure::body_too_large(limit)),
        _ => Ok(()),
    }
}
