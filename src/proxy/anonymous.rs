//! What a service tells everybody: it is there before anyone has signed in.

use http::Method;

use crate::config::RouteKind;

/// Whether a service answers such a request without a token.
pub(super) fn is_open(kind: RouteKind, method: &Method, rest: &str) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    match kind {
        RouteKind::Fhir => {
            matches!(
                rest,
                "/metadata" | "/.well-known/smart-configuration" | "/$versions" | "/health/check"
            ) || rest.starts_with("/OperationDefinition/")
        }
        // The document is there once for each version.
        RouteKind::Dicom => {
            rest == "/health/check"
                || rest
                    .strip_suffix("/api.yaml")
                    .and_then(|version| version.strip_prefix('/'))
                    .is_some_and(|version| !version.contains('/'))
        }
        RouteKind::Http => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_holds_nothing_about_anybody_is_open() {
        let is_open = |kind, rest| super::is_open(kind, &Method::GET, rest);
        for rest in ["/metadata", "/$versions", "/OperationDefinition/export"] {
            assert!(is_open(RouteKind::Fhir, rest), "{rest}");
            assert!(!is_open(RouteKind::Dicom, rest), "{rest}");
            assert!(!is_open(RouteKind::Http, rest), "{rest}");
            assert!(!super::is_open(RouteKind::Fhir, &Method::POST, rest));
        }
        for rest in ["/v2/api.yaml", "/health/check"] {
            assert!(is_open(RouteKind::Dicom, rest), "{rest}");
        }
        for rest in [
            "",
            "/Patient",
            "/metadata/",
            "/OperationDefinition",
            "/v2/studies/api.yaml",
            "/Patient/metadata",
        ] {
            assert!(!is_open(RouteKind::Fhir, rest), "{rest}");
            assert!(!is_open(RouteKind::Dicom, rest), "{rest}");
        }
    }
}
