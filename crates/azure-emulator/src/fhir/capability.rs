//! The documents that need no token.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    super::{
        AUTHORITY, TENANT,
        body::{self, Body},
        clock,
    },
    FHIR_JSON,
};

/// The resource types served, a selection of R4's.
pub(super) const TYPES: [&str; 40] = [
    "Account",
    "AllergyIntolerance",
    "Appointment",
    "AuditEvent",
    "Basic",
    "Binary",
    "Bundle",
    "CarePlan",
    "CareTeam",
    "Claim",
    "CodeSystem",
    "Composition",
    "Condition",
    "Consent",
    "Coverage",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Goal",
    "Group",
    "ImagingStudy",
    "Immunization",
    "List",
    "Location",
    "Medication",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Parameters",
    "Patient",
    "Practitioner",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "SearchParameter",
    "ServiceRequest",
    "Specimen",
    "Task",
    "ValueSet",
];

/// Answers the anonymous routes; `None` for all others.
pub(super) fn without_token(path: &str, base: &str) -> Option<Response<Body>> {
    let response = match path {
        "/metadata" => body::full(StatusCode::OK, FHIR_JSON, statement(base).to_string()),
        "/.well-known/smart-configuration" => body::json(StatusCode::OK, &smart(base)),
        "/$versions" => body::json(
            StatusCode::OK,
            &json!({"versions": ["4.0"], "default": "4.0"}),
        ),
        "/health/check" => body::json(
            StatusCode::OK,
            &json!({"overallStatus": "Healthy", "details": []}),
        ),
        _ => return None,
    };
    Some(response)
}

fn statement(base: &str) -> Value {
    let resources: Vec<_> = TYPES
        .iter()
        .map(|kind| {
            let interactions = [
                "create",
                "read",
                "vread",
                "update",
                "delete",
                "history-instance",
                "history-type",
                "search-type",
            ]
            .map(|code| json!({"code": code}));
            let search = |name: &str, kind: &str| json!({"name": name, "type": kind});
            json!({
                "type": kind,
                "profile": format!("http://hl7.org/fhir/StructureDefinition/{kind}"),
                "interaction": interactions,
                "versioning": "versioned",
                "readHistory": true,
                "updateCreate": true,
                "conditionalCreate": true,
                "searchParam": [search("_id", "token"), search("name", "string")],
            })
        })
        .collect();
    json!({
        "resourceType": "CapabilityStatement",
        "url": format!("{base}/metadata"),
        "version": "1.0.0",
        "name": "Azure Health Data Services emulator",
        "status": "active",
        "experimental": true,
        "date": clock::instant(jiff::Timestamp::now()),
        "publisher": "Microsoft",
        "kind": "instance",
        "software": {"name": "Loopback FHIR", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "A FHIR service in memory", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": [],
        "rest": [{
            "mode": "server",
            "security": {
                "extension": [{
                    "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                    "extension": [
                        {
                            "url": "token",
                            "valueUri": format!("{AUTHORITY}/{TENANT}/oauth2/v2.0/token"),
                        },
                        {
                            "url": "authorize",
                            "valueUri": format!("{AUTHORITY}/{TENANT}/oauth2/v2.0/authorize"),
                        },
                    ],
                }],
                "service": [{"coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "OAuth",
                }]}],
            },
            "resource": resources,
            "interaction": [
                {"code": "transaction"},
                {"code": "batch"},
                {"code": "search-system"},
                {"code": "history-system"},
            ],
            "operation": [{
                "name": "export",
                "definition": format!("{base}/OperationDefinition/export"),
            }],
        }],
    })
}

/// SMART App Launch, section "Conformance": endpoints of Entra, but one of the service's own.
fn smart(base: &str) -> Value {
    json!({
        "issuer": format!("{AUTHORITY}/{TENANT}/v2.0"),
        "authorization_endpoint": format!("{AUTHORITY}/{TENANT}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{AUTHORITY}/{TENANT}/oauth2/v2.0/token"),
        "introspection_endpoint": format!("{base}/connect/introspect"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_jwt", "none"],
        "scopes_supported": ["openid", "profile", "fhirUser", "system/*.rs"],
        "capabilities": ["client-confidential-symmetric", "permission-v2"],
    })
}
