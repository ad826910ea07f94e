//! Decides which requests a read-only route forwards: those that change nothing at the service. An
//! operation that is not known is refused, however it is encoded.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method, header, request::Parts};
use percent_encoding::percent_decode_str;

use super::{failure::Failure, headers, route::Route};
use crate::config::RouteKind;

/// Operations that FHIR or Azure define as reads (hl7.org/fhir/R4/operationslist.html). The others may
/// write or start a job though they are asked for by GET, as `$export` does.
const SAFE_OPERATIONS: [&str; 13] = [
    "$everything",
    "$expand",
    "$includes",
    "$lastn",
    "$lookup",
    "$meta",
    "$stats",
    "$status",
    "$subsumes",
    "$translate",
    "$validate",
    "$validate-code",
    "$versions",
];

/// `rest` is the path behind the route's prefix.
pub(super) fn check(
    route: &Route,
    head: &Parts,
    rest: &str,
    has_body: bool,
) -> Result<(), Failure> {
    let segments: Vec<Cow<'_, str>> = rest
        .split('/')
        .skip(1)
        .map(|segment| percent_decode_str(segment).decode_utf8_lossy())
        .collect();
    let is_read = match head.method {
        Method::GET | Method::HEAD | Method::OPTIONS => {
            route.kind == RouteKind::Dicom || segments.iter().all(|segment| is_safe(segment))
        }
        Method::POST => {
            route.kind != RouteKind::Dicom
                && is_search(&segments)
                && (is_form(&head.headers) || !has_body)
        }
        _ => false,
    };
    if !is_read {
        return Err(Failure::read_only(&route.name));
    }
    // A gateway may let a GET stand for another method.
    if head.headers.keys().any(headers::is_override) || overrides_method(head.uri.query()) {
        return Err(Failure::override_header(&route.name));
    }
    Ok(())
}

/// A segment that asks for no operation, or for one that only reads. Some servers decode it twice, or drop
/// parameters behind a semicolon.
fn is_safe(segment: &str) -> bool {
    let twice = percent_decode_str(segment).decode_utf8_lossy();
    [segment, &twice].into_iter().all(|segment| {
        let name = segment.split(';').next().unwrap_or_default().trim();
        !name.starts_with('$') || SAFE_OPERATIONS.contains(&name)
    })
}

/// Some frameworks take the method from the query, too.
fn overrides_method(query: Option<&str>) -> bool {
    let parameters = query.map(|query| form_urlencoded::parse(query.as_bytes()));
    parameters.into_iter().flatten().any(|(name, _)| {
        let name = HeaderName::try_from(name.as_ref());
        name.is_ok_and(|name| headers::is_override(&name))
    })
}

/// The forms of a search by POST (hl7.org/fhir/R4/http.html#search).
fn is_search(segments: &[Cow<'_, str>]) -> bool {
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    match segments[..] {
        ["_search"] => true,
        [resource, "_search"] => is_type(resource),
        [compartment, id, resource, "_search"] => {
            is_type(compartment) && is_id(id) && is_type(resource)
        }
        _ => false,
    }
}

fn is_type(segment: &str) -> bool {
    segment.starts_with(|first: char| first.is_ascii_uppercase())
        && segment.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// hl7.org/fhir/R4/datatypes.html#id.
fn is_id(segment: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (1..=64).contains(&segment.len()) && segment.bytes().all(is_allowed)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(path: &str) -> Vec<Cow<'_, str>> {
        let segments = path.split('/').skip(1);
        let decoded = segments.map(|segment| percent_decode_str(segment).decode_utf8_lossy());
        decoded.collect()
    }

    #[test]
    fn a_search_has_one_of_three_forms() {
        for path in [
            "/_search",
            "/Patient/_search",
            "/Patient/%5Fsearch",
            "/Patient/p-1/Observation/_search",
        ] {
            assert!(is_search(&segments(path)), "{path}");
        }
        for path in [
            "",
            "/",
            "/Patient",
            "/_search/",
            "//_search",
            "/$import/_search",
            "/%24import/_search",
            "/patient/_search",
            "/Patient/1/_search",
            "/Patient/$purge-history/Observation/_search",
            "/Patient/a/b/Observation/_search",
            "/Patient/_search/1",
            "/Patient/%255Fsearch",
            "/Patient/_Search",
        ] {
            assert!(!is_search(&segments(path)), "{path}");
        }
    }

    #[test]
    fn an_operation_is_safe_only_if_it_is_known_to_be() {
        for segment in ["Patient", "", "1", "$everything", "$validate", "_history"] {
            assert!(is_safe(segment), "{segment}");
        }
        for segment in [
            "$export",
            "$reindex",
            "$Everything",
            "$everything2",
            "$export;a",
            "%24export",
            " $export",
            "$",
        ] {
            assert!(!is_safe(segment), "{segment}");
        }
    }
}
