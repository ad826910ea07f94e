//! What a service tells everybody: it is there before anyone has signed in.

use http::Method;

use crate::config::RouteKind;

/// Whether a service answers such a request without a token. A spelling that is not known here needs
/// one, so that no other resource is ever asked for without.
pub(super) fn is_open(kind: RouteKind, method: &Method, rest: &str) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let Some(path) = rest.strip_prefix('/') else {
        return false;
    };
    // Services take `/metadata/` for `/metadata`.
    let path = path.strip_suffix('/').unwrap_or(path);
    match kind {
        RouteKind::Fhir => {
            matches!(
                path,
                "metadata"
                    | ".well-known/smart-configuration"
                    | "$versions"
                    | "%24versions"
                    | "health/check"
            ) || path
                .strip_prefix("OperationDefinition/")
                .is_some_and(is_name)
        }
        // The document is there once for each version.
        RouteKind::Dicom => {
            path == "health/check" || path.strip_suffix("/api.yaml").is_some_and(is_name)
        }
        RouteKind::Http => false,
    }
}

/// A segment that means the same to everybody: nothing encoded in it, and no dot segment.
fn is_name(segment: &str) -> bool {
    segment.starts_with(|first: char| first.is_ascii_alphanumeric())
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_holds_nothing_about_anybody_is_open() {
        let is_open = |kind, rest| super::is_open(kind, &Method::GET, rest);
        for rest in [
            "/metadata",
            "/metadata/",
            "/.well-known/smart-configuration",
            "/.well-known/smart-configuration/",
            "/$versions",
            "/%24versions",
            "/%24versions/",
            "/OperationDefinition/export",
            "/OperationDefinition/patient-export/",
        ] {
            assert!(is_open(RouteKind::Fhir, rest), "{rest}");
            assert!(!is_open(RouteKind::Dicom, rest), "{rest}");
            assert!(!is_open(RouteKind::Http, rest), "{rest}");
        }
        for rest in ["/v2/api.yaml", "/v1.0-prerelease/api.yaml", "/health/check"] {
            assert!(is_open(RouteKind::Dicom, rest), "{rest}");
        }
        for rest in [
            "",
            "/",
            "//",
            "metadata",
            "/Patient",
            "//metadata",
            "/metadata//",
            "/./metadata",
            "/metadata/.",
            "/metadata/x",
            "/metadata/../Patient",
            "/metadata%2f..%2fPatient",
            "/metadata%2F",
            "/metadata;x",
            "/metadata%00",
            "/Metadata",
            "/%6detadata",
            "/%2524versions",
            "/%24version",
            "/$versions/../Patient",
            "/.well-known",
            "/.well-known/smart-configuration/x",
            "/OperationDefinition",
            "/OperationDefinition/",
            "/OperationDefinition//",
            "/OperationDefinition/.",
            "/OperationDefinition/..",
            "/OperationDefinition/../Patient",
            "/OperationDefinition/%2e%2e",
            "/OperationDefinition/export/x",
            "//api.yaml",
            "/../api.yaml",
            "/%2e%2e/api.yaml",
            "/v2/studies/api.yaml",
            "/Patient/metadata",
        ] {
            assert!(!is_open(RouteKind::Fhir, rest), "{rest}");
            assert!(!is_open(RouteKind::Dicom, rest), "{rest}");
        }
    }

    #[test]
    fn only_what_changes_nothing_is_open() {
        for (method, expected) in [
            (Method::GET, true),
            (Method::HEAD, true),
            (Method::OPTIONS, true),
            (Method::POST, false),
            (Method::PUT, false),
            (Method::PATCH, false),
            (Method::DELETE, false),
            (Method::TRACE, false),
        ] {
            assert_eq!(is_open(RouteKind::Fhir, &method, "/metadata"), expected);
        }
    }
}
