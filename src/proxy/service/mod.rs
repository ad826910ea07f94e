//! The meaning of a request for the service behind a route. Every part of the proxy that depends on
//! it uses [`Interaction::of`], so that one spelling of a path has one meaning.

mod dicom;
mod fhir;
mod interaction;
mod path;

use http::Method;

use crate::config::RouteKind;

pub(super) use interaction::Interaction;

impl Interaction {
    /// Reads a request to a service of `kind`. `path` is the part after the route's prefix.
    pub(super) fn of(kind: RouteKind, method: &Method, path: &str) -> Self {
        match kind {
            RouteKind::Fhir => fhir::interaction(method, path),
            RouteKind::Dicom => dicom::interaction(method, path),
            // An unknown service may be a FHIR server, so the rules for FHIR's operations apply.
            RouteKind::Http => Self {
                resource: "-",
                is_public: false,
                is_read: fhir::is_read(method, path),
                is_search: fhir::is_search(method, path),
                response: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::Plan;
    use RouteKind::{Dicom, Fhir, Http};

    /// The resource, the flags and the plan. The flags are `p` for public, `r` for read, `s` for
    /// search.
    fn of(kind: RouteKind, request: &str) -> (&'static str, String, Option<Plan>) {
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let method = method.parse().expect("a method");
        let found = Interaction::of(kind, &method, path);
        let flags = [
            (found.is_public, 'p'),
            (found.is_read, 'r'),
            (found.is_search, 's'),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set);
        let flags = flags.map(|(_, flag)| flag).collect();
        (found.resource, flags, found.response)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table, a line for each case")]
    fn each_request_means_one_thing_to_all() {
        let bundle = Some(Plan::FhirResponse);
        let smart = Some(Plan::SmartConfiguration);
        let store = Some(Plan::DicomStore);
        let operation = Some(Plan::DicomOperation);
        for (kind, request, resource, flags, response) in [
            (Fhir, "GET ", "-", "r", bundle),
            (Fhir, "GET /", "-", "r", bundle),
            (Fhir, "GET /metadata", "metadata", "pr", bundle),
            (Fhir, "GET /metadata/", "metadata", "pr", bundle),
            (Fhir, "HEAD /metadata", "metadata", "pr", bundle),
            (Fhir, "OPTIONS /metadata", "metadata", "pr", bundle),
            (Fhir, "TRACE /metadata", "metadata", "", None),
            (Fhir, "POST /metadata", "metadata", "", bundle),
            (Fhir, "GET /r4/metadata", "metadata", "r", bundle),
            (Fhir, "GET /$versions", "$versions", "pr", bundle),
            (Fhir, "GET /%24versions/", "$versions", "pr", bundle),
            (
                Fhir,
                "GET /.well-known/smart-configuration",
                "-",
                "pr",
                smart,
            ),
            (Fhir, "GET /health/check", "-", "pr", bundle),
            (
                Fhir,
                "GET /OperationDefinition/patient-export/",
                "OperationDefinition",
                "pr",
                None,
            ),
            (Fhir, "GET /Patient", "Patient", "r", bundle),
            (Fhir, "HEAD /Patient", "Patient", "r", bundle),
            (Fhir, "GET /%50atient", "Patient", "r", bundle),
            (Fhir, "GET /Patient/p-1", "Patient", "r", None),
            (Fhir, "GET /Patient/1/Observation", "Patient", "r", bundle),
            (Fhir, "GET /Patient/1/$everything", "Patient", "r", bundle),
            (Fhir, "GET /Patient/%24export", "Patient", "", bundle),
            (Fhir, "GET /Patient/%2524export", "Patient", "", None),
            (Fhir, "GET /$export", "$export", "", bundle),
            (Fhir, "GET /_history", "_history", "r", bundle),
            (Fhir, "GET /Patient/_history", "Patient", "r", bundle),
            (Fhir, "GET /Patient/1/_history", "Patient", "r", bundle),
            (
                Fhir,
                "GET /_operations/export/1",
                "_operations",
                "r",
                bundle,
            ),
            (Fhir, "GET /baseR4/Patient", "Patient", "r", bundle),
            (Fhir, "GET /baseR4/Bundle/1", "Bundle", "r", None),
            (Fhir, "GET /baseR4/Bundle/1/_history/2", "Bundle", "r", None),
            (Fhir, "GET /Bundle/%31", "Bundle", "r", None),
            (Fhir, "GET //Bundle//1/", "Bundle", "r", None),
            (Fhir, "GET /Bundle/1/%5Fhistory/2", "Bundle", "r", None),
            (Fhir, "GET /Bundle/\u{20ac}", "Bundle", "r", None),
            (Fhir, "GET /John", "-", "r", bundle),
            (Fhir, "OPTIONS /", "-", "r", bundle),
            (Fhir, "OPTIONS /Patient/1", "Patient", "r", bundle),
            (Fhir, "POST ", "-", "", bundle),
            (Fhir, "POST /", "-", "", bundle),
            (Fhir, "POST /baseR4", "-", "", bundle),
            (Fhir, "POST /Bundle", "Bundle", "", None),
            (Fhir, "POST /Bundle/", "Bundle", "", None),
            (Fhir, "POST /baseR4/Bundle", "Bundle", "", None),
            (Fhir, "POST /Patient/$match", "Patient", "", bundle),
            (Fhir, "POST /_search", "_search", "rs", bundle),
            (Fhir, "POST /Patient/_search", "Patient", "rs", bundle),
            (Fhir, "POST /Patient/%5Fsearch", "Patient", "rs", bundle),
            (Fhir, "POST /Patient/%5fsearc%68", "Patient", "rs", bundle),
            (
                Fhir,
                "POST /Patient/p-1/Observation/_search",
                "Patient",
                "rs",
                bundle,
            ),
            (Fhir, "POST /baseR4/Patient/_search", "Patient", "s", bundle),
            (Fhir, "POST /%24import/_search", "$import", "s", bundle),
            (Fhir, "POST /patient/_search", "_search", "s", bundle),
            (Fhir, "POST /Patient/1/_search", "Patient", "s", bundle),
            (
                Fhir,
                "POST /Patient/$purge-history/Observation/_search",
                "Patient",
                "s",
                bundle,
            ),
            (
                Fhir,
                "POST /Patient/a/b/Observation/_search",
                "Patient",
                "s",
                bundle,
            ),
            (Fhir, "POST //_search", "_search", "s", bundle),
            (Fhir, "POST /_search/", "_search", "", None),
            (Fhir, "POST /Patient/_search/1", "Patient", "", None),
            (Fhir, "POST /Patient/%255Fsearch", "Patient", "", None),
            (Fhir, "POST /Patient/_Search", "Patient", "", bundle),
            (Fhir, "GET /Patient/_search", "Patient", "r", bundle),
            (Fhir, "PUT /Bundle/1", "Bundle", "", None),
            (Fhir, "PATCH /Bundle/1", "Bundle", "", None),
            (Fhir, "DELETE /Bundle/1", "Bundle", "", None),
            (Dicom, "GET /health/check", "-", "pr", None),
            (Dicom, "GET /v2/api.yaml", "-", "pr", None),
            (Dicom, "GET /v1.0-prerelease/api.yaml", "-", "pr", None),
            (Dicom, "POST /v2/api.yaml", "-", "", None),
            (Dicom, "GET /v2/studies", "studies", "r", None),
            (
                Dicom,
                "GET /v2/studies/1.2.3/series/4",
                "studies",
                "r",
                None,
            ),
            (Dicom, "GET /v2/studies/1/metadata", "studies", "r", None),
            (Dicom, "DELETE /v2/studies/1", "studies", "", None),
            (Dicom, "GET /v2/changefeed", "changefeed", "r", None),
            (Dicom, "POST /v2/studies", "studies", "", store),
            (Dicom, "PUT /v2/studies/1.2", "studies", "", store),
            (
                Dicom,
                "POST /v1/partitions/p/studies",
                "partitions",
                "",
                store,
            ),
            (
                Dicom,
                "POST /v2/studies/$bulkUpdate",
                "studies",
                "",
                operation,
            ),
            (
                Dicom,
                "POST /v2/studies/%24bulkUpdate",
                "studies",
                "",
                operation,
            ),
            (Dicom, "GET /v2/operations/1", "operations", "r", operation),
            (Dicom, "POST /v2/export", "export", "", operation),
            (
                Dicom,
                "GET /v2/extendedquerytags",
                "extendedquerytags",
                "r",
                operation,
            ),
            (Dicom, "POST /v2/workitems", "workitems", "", operation),
            (Http, "GET /Patient", "-", "r", None),
            (Http, "GET /metadata", "-", "r", None),
            (Http, "GET /$export", "-", "", None),
            (Http, "POST /Patient/_search", "-", "rs", None),
        ] {
            let expected = (resource, flags.to_owned(), response);
            assert_eq!(of(kind, request), expected, "{kind:?} {request}");
        }
    }

    #[test]
    fn a_path_that_might_be_read_otherwise_is_not_public() {
        for path in [
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
            for kind in [Fhir, Dicom, Http] {
                let found = Interaction::of(kind, &Method::GET, path);
                assert!(!found.is_public, "{kind:?} {path}");
            }
        }
    }
}
