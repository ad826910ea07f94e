//! The signs in a response of the service that something is wrong.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header, response};

use crate::{config::RouteKind, telemetry::LogLimit};

/// The time between two warnings of one route about the same fault.
const PERIOD: Duration = Duration::from_secs(60);
const FAULTS: usize = Fault::NoResource as usize + 1;

/// Limits the warnings of one route, for each fault on its own.
#[derive(Debug)]
pub(super) struct FaultLog {
    faults: [LogLimit; FAULTS],
    no_response: LogLimit,
}

/// A fault that a person has to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The service wants a sign-in that satisfies another policy: a claims challenge
    /// (learn.microsoft.com/entra/identity-platform/claims-challenge).
    Claims,
    Unauthorized,
    Forbidden,
    ServerError,
    /// Not a response of a FHIR or DICOM service.
    Html,
    /// A path of Azure's DICOM service without the version, or with two of them. The service responds
    /// with an empty 404. Other servers have no versions, but a path before `studies`.
    Version,
    /// The version of Azure's DICOM service, without a resource below it. This is the last fault, by
    /// which [`FAULTS`] counts.
    NoResource,
}

impl Default for FaultLog {
    fn default() -> Self {
        Self {
            faults: std::array::from_fn(|_| LogLimit::every(PERIOD)),
            no_response: LogLimit::every(PERIOD),
        }
    }
}

impl FaultLog {
    /// The number of warnings suppressed before this one. `None` if it is too soon for another.
    pub(super) fn allow(&self, fault: Fault) -> Option<u64> {
        self.faults[fault as usize].allow()
    }

    /// The same for a request that got no response.
    pub(super) fn allow_no_response(&self) -> Option<u64> {
        self.no_response.allow()
    }
}

impl Fault {
    /// The fault of a response. `path` is the path on the upstream, and `is_binary` says that clients
    /// chose the content type themselves.
    pub(super) fn of(
        kind: RouteKind,
        path: &str,
        is_binary: bool,
        has_body: bool,
        head: &response::Parts,
    ) -> Option<Fault> {
        let status = head.status;
        match status {
            StatusCode::UNAUTHORIZED if is_claims_challenge(&head.headers) => Some(Fault::Claims),
            StatusCode::UNAUTHORIZED => Some(Fault::Unauthorized),
            StatusCode::FORBIDDEN => Some(Fault::Forbidden),
            StatusCode::NOT_FOUND
                if kind == RouteKind::Dicom && !has_body && is_unversioned(path) =>
            {
                Some(Fault::Version)
            }
            StatusCode::NOT_FOUND
                if kind == RouteKind::Dicom && !has_body && ends_with_version(path) =>
            {
                Some(Fault::NoResource)
            }
            _ if status.is_server_error() => Some(Fault::ServerError),
            _ if kind != RouteKind::Http && !is_binary && is_html(&head.headers) => {
                Some(Fault::Html)
            }
            _ => None,
        }
    }
}

fn is_unversioned(path: &str) -> bool {
    const RESOURCES: [&str; 7] = [
        "",
        "studies",
        "series",
        "instances",
        "changefeed",
        "workitems",
        "partitions",
    ];
    match versions(path) {
        0 => path
            .split('/')
            .nth(1)
            .is_some_and(|first| RESOURCES.contains(&first)),
        versions => versions > 1,
    }
}

/// The number of versions at the start of a path, such as `/v2`.
pub(super) fn versions(path: &str) -> usize {
    let segments = path.split('/').skip(1);
    segments.take_while(|segment| is_version(segment)).count()
}

/// Whether a path with one version has nothing else.
fn ends_with_version(path: &str) -> bool {
    versions(path) == 1 && path.trim_end_matches('/').split('/').count() == 2
}

fn is_version(segment: &str) -> bool {
    let number = segment.strip_prefix('v').unwrap_or_default();
    number.starts_with(|c: char| c.is_ascii_digit())
}

fn is_claims_challenge(headers: &HeaderMap) -> bool {
    let challenges = headers.get_all(header::WWW_AUTHENTICATE);
    challenges.iter().any(|challenge| {
        challenge
            .to_str()
            .is_ok_and(|challenge| challenge.contains("insufficient_claims"))
    })
}

fn is_html(headers: &HeaderMap) -> bool {
    const HTML: &[u8] = b"text/html";
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let start = content_type.and_then(|text| text.get(..HTML.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(HTML))
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn fault_of(
        kind: RouteKind,
        path: &str,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Option<Fault> {
        let response = headers.iter().fold(
            Response::builder().status(status),
            |response, (name, value)| response.header(*name, *value),
        );
        let (head, ()) = response.body(()).expect("a response").into_parts();
        Fault::of(kind, path, false, false, &head)
    }

    #[test]
    fn a_response_that_needs_a_person_has_a_fault() {
        use RouteKind::{Dicom, Fhir, Http};
        let html = [("content-type", "Text/HTML; charset=utf-8")];
        let claims = [("www-authenticate", "Bearer error=\"insufficient_claims\"")];
        for (kind, path, status, headers, expected) in [
            (Fhir, "/Patient", 200, &[][..], None),
            (Fhir, "/Patient/1", 404, &[], None),
            (Fhir, "/Patient", 401, &[], Some(Fault::Unauthorized)),
            (Fhir, "/Patient", 401, &claims, Some(Fault::Claims)),
            (Http, "/x", 403, &[], Some(Fault::Forbidden)),
            (Fhir, "/Patient", 502, &html, Some(Fault::ServerError)),
            (Fhir, "/Patient", 200, &html, Some(Fault::Html)),
            (Http, "/", 200, &html, None),
            (Fhir, "/Patient", 429, &[], None),
            (Dicom, "/studies", 404, &[], Some(Fault::Version)),
            (Dicom, "/v2/v2/studies", 404, &[], Some(Fault::Version)),
            (Dicom, "/v2/studies/1", 404, &[], None),
            (Dicom, "/v1.0-prerelease/studies", 404, &[], None),
            (Dicom, "/dicom-web/studies/1", 404, &[], None),
            (Dicom, "/dicom-web", 404, &[], None),
            (Dicom, "/", 404, &[], Some(Fault::Version)),
            (Dicom, "/v2", 404, &[], Some(Fault::NoResource)),
            (Dicom, "/v2/", 404, &[], Some(Fault::NoResource)),
        ] {
            assert_eq!(
                fault_of(kind, path, status, headers),
                expected,
                "{kind:?} {path} {status}"
            );
        }
    }
}
