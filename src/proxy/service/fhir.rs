//! The API of FHIR (hl7.org/fhir/R4/http.html).

use std::borrow::Cow;

use http::Method;

use super::{
    interaction::Interaction,
    path::{is_name, is_read_method, resource, segments},
};
use crate::rewrite::Plan;

/// Operations that FHIR or Azure define as reads (hl7.org/fhir/R4/operationslist.html). Any other
/// operation may write or start a job even by GET, as `$export` does.
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

pub(super) fn interaction(method: &Method, path: &str) -> Interaction {
    let is_search = is_search(method, path);
    Interaction {
        resource: resource(path, RESOURCES),
        is_public: is_public(method, path),
        is_read: is_read(method, path),
        is_search,
        response: response(method, path),
    }
}

/// Whether a service responds without a token. Only the spellings listed here are public, so that
/// the proxy never requests another resource without a token.
fn is_public(method: &Method, path: &str) -> bool {
    // Services accept `/metadata/` for `/metadata`.
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_listed = matches!(
        path,
        "metadata"
            | ".well-known/smart-configuration"
            | "$versions"
            | "%24versions"
            | "health/check"
    );
    let definition = path.strip_prefix("OperationDefinition/");
    is_read_method(method) && (is_listed || definition.is_some_and(is_name))
}

/// Whether a request changes nothing at the service. An unknown operation may change something,
/// however its name is encoded.
pub(super) fn is_read(method: &Method, path: &str) -> bool {
    if is_read_method(method) {
        !path.contains(['$', '%']) || segments(path).all(|segment| is_safe(&segment))
    } else {
        *method == Method::POST && is_plain_search(path)
    }
}

/// Whether a segment names no operation, or an operation that only reads. Some servers decode a
/// segment twice, or drop parameters after a semicolon.
fn is_safe(segment: &str) -> bool {
    let twice = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
    [segment, &twice].into_iter().all(|segment| {
        let name = segment.split(';').next().unwrap_or_default().trim();
        !name.starts_with('$') || SAFE_OPERATIONS.contains(&name)
    })
}

/// Whether a request is a search by POST (hl7.org/fhir/R4/http.html#search), which has its
/// parameters in a form.
pub(super) fn is_search(method: &Method, path: &str) -> bool {
    *method == Method::POST && segments(path).last().is_some_and(|last| last == "_search")
}

/// Whether a path has exactly one of the three forms of a search.
fn is_plain_search(path: &str) -> bool {
    let segments: Vec<Cow<'_, str>> = segments(path).collect();
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
    starts_as_type(segment) && segment.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Whether a segment is a resource id (hl7.org/fhir/R4/datatypes.html#id).
fn is_id(segment: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (1..=64).contains(&segment.len()) && segment.bytes().all(is_allowed)
}

/// The links in the response to a request. `None` where the body is a stored resource. A resource
/// that is read, or returned after a write, is the user's data, even if it is a Bundle that looks
/// like a response.
fn response(method: &Method, path: &str) -> Option<Plan> {
    // The service's base may lie below the upstream's path. The service's own paths begin with a
    // type or with one of `_$.`.
    let mut segments = segments(path)
        .filter(|segment| !segment.is_empty())
        .skip_while(|segment| {
            !starts_as_type(segment) && !is_special(segment) && !segment.starts_with('.')
        });
    let first: [Option<Cow<'_, str>>; 5] = std::array::from_fn(|_| segments.next());
    let is_stored = match first.each_ref().map(Option::as_deref) {
        [Some(".well-known"), Some("smart-configuration"), None, ..] => {
            return is_read_method(method).then_some(Plan::SmartConfiguration);
        }
        [Some(_), Some(id), None, ..] => !is_special(id),
        [Some(_), Some(_), Some(history), Some(_), None] => is_special(history),
        _ => false,
    };
    let is_rewritten = match *method {
        Method::GET | Method::HEAD => !is_stored,
        // A batch, a search or an operation. Every other POST creates a resource.
        Method::POST => {
            first[0].is_none()
                || self::segments(path)
                    .last()
                    .is_none_or(|last| is_special(&last))
        }
        // Older servers respond to OPTIONS with the capability statement.
        Method::OPTIONS => true,
        _ => false,
    };
    is_rewritten.then_some(Plan::FhirResponse)
}

fn starts_as_type(segment: &str) -> bool {
    segment.starts_with(|first: char| first.is_ascii_uppercase())
}

/// Whether a segment is one such as `_history` or `$export`. No type or id begins with these
/// characters.
fn is_special(segment: &str) -> bool {
    segment.starts_with(['_', '$'])
}

/// The resources that may be logged, in byte order: FHIR's interactions on the whole system, the
/// resource types of R4 (hl7.org/fhir/R4/resourcelist.html), and those that R5 adds.
const RESOURCES: &[&str] = &[
    "$export",
    "$import",
    "$reindex",
    "$versions",
    "Account",
    "ActivityDefinition",
    "ActorDefinition",
    "AdministrableProductDefinition",
    "AdverseEvent",
    "AllergyIntolerance",
    "Appointment",
    "AppointmentResponse",
    "ArtifactAssessment",
    "AuditEvent",
    "Basic",
    "Binary",
    "BiologicallyDerivedProduct",
    "BiologicallyDerivedProductDispense",
    "BodyStructure",
    "Bundle",
    "CapabilityStatement",
    "CarePlan",
    "CareTeam",
    "CatalogEntry",
    "ChargeItem",
    "ChargeItemDefinition",
    "Citation",
    "Claim",
    "ClaimResponse",
    "ClinicalImpression",
    "ClinicalUseDefinition",
    "CodeSystem",
    "Communication",
    "CommunicationRequest",
    "CompartmentDefinition",
    "Composition",
    "ConceptMap",
    "Condition",
    "ConditionDefinition",
    "Consent",
    "Contract",
    "Coverage",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "DetectedIssue",
    "Device",
    "DeviceAssociation",
    "DeviceDefinition",
    "DeviceDispense",
    "DeviceMetric",
    "DeviceRequest",
    "DeviceUsage",
    "DeviceUseStatement",
    "DiagnosticReport",
    "DocumentManifest",
    "DocumentReference",
    "EffectEvidenceSynthesis",
    "Encounter",
    "EncounterHistory",
    "Endpoint",
    "EnrollmentRequest",
    "EnrollmentResponse",
    "EpisodeOfCare",
    "EventDefinition",
    "Evidence",
    "EvidenceReport",
    "EvidenceVariable",
    "ExampleScenario",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Flag",
    "FormularyItem",
    "GenomicStudy",
    "Goal",
    "GraphDefinition",
    "Group",
    "GuidanceResponse",
    "HealthcareService",
    "ImagingSelection",
    "ImagingStudy",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "ImplementationGuide",
    "Ingredient",
    "InsurancePlan",
    "InventoryItem",
    "InventoryReport",
    "Invoice",
    "Library",
    "Linkage",
    "List",
    "Location",
    "ManufacturedItemDefinition",
    "Measure",
    "MeasureReport",
    "Media",
    "Medication",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationKnowledge",
    "MedicationRequest",
    "MedicationStatement",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductDefinition",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "MessageDefinition",
    "MessageHeader",
    "MolecularSequence",
    "NamingSystem",
    "NutritionIntake",
    "NutritionOrder",
    "NutritionProduct",
    "Observation",
    "ObservationDefinition",
    "OperationDefinition",
    "OperationOutcome",
    "Organization",
    "OrganizationAffiliation",
    "PackagedProductDefinition",
    "Parameters",
    "Patient",
    "PaymentNotice",
    "PaymentReconciliation",
    "Permission",
    "Person",
    "PlanDefinition",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "Questionnaire",
    "QuestionnaireResponse",
    "RegulatedAuthorization",
    "RelatedPerson",
    "RequestGroup",
    "RequestOrchestration",
    "Requirements",
    "ResearchDefinition",
    "ResearchElementDefinition",
    "ResearchStudy",
    "ResearchSubject",
    "RiskAssessment",
    "RiskEvidenceSynthesis",
    "Schedule",
    "SearchParameter",
    "ServiceRequest",
    "Slot",
    "Specimen",
    "SpecimenDefinition",
    "StructureDefinition",
    "StructureMap",
    "Subscription",
    "SubscriptionStatus",
    "SubscriptionTopic",
    "Substance",
    "SubstanceDefinition",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
    "SupplyDelivery",
    "SupplyRequest",
    "Task",
    "TerminologyCapabilities",
    "TestPlan",
    "TestReport",
    "TestScript",
    "Transport",
    "ValueSet",
    "VerificationResult",
    "VisionPrescription",
    "_history",
    "_operations",
    "_search",
    "metadata",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_that_a_binary_search_needs() {
        assert!(RESOURCES.is_sorted());
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
