//! Responses in every content type that a service may send.

use azure_emulator::{DICOM_ORIGIN, FHIR_AUDIENCE, Fault};
use serde_json::json;

use crate::support::{Stage, client};

fn respond(content_type: &str, body: &str) -> Fault {
    Fault::Respond {
        status: 200,
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body: body.to_owned(),
    }
}

#[tokio::test]
async fn fhir_is_known_by_its_general_and_older_types() {
    let stage = Stage::start().await;
    let ours = format!("http://{}/fhir", stage.address());
    let json = |base: &str| {
        format!(r#"{{"resourceType":"Bundle","type":"searchset","link":[{{"url":"{base}/x"}}]}}"#)
    };
    let xml = |base: &str| {
        format!(r#"<Bundle><type value="searchset"/><link><url value="{base}/x"/></link></Bundle>"#)
    };
    for content_type in [
        "application/json",
        "text/json; charset=utf-8",
        "text/fhir+json",
        "application/json+fhir",
    ] {
        let fault = respond(content_type, &json(FHIR_AUDIENCE));
        stage.emulator.fhir().faults().next(1, fault);
        let answer = client::get(stage.address(), "/fhir/Patient").await;
        assert_eq!(answer.text(), json(&ours), "{content_type}");
    }
    for content_type in [
        "application/xml",
        "text/xml; charset=utf-8",
        "application/xml+fhir",
    ] {
        let fault = respond(content_type, &xml(FHIR_AUDIENCE));
        stage.emulator.fhir().faults().next(1, fault);
        let answer = client::get(stage.address(), "/fhir/Patient").await;
        assert_eq!(answer.text(), xml(&ours), "{content_type}");
    }
    // A resource read by its id is user data, in any content type.
    let fault = respond("application/xml", &xml(FHIR_AUDIENCE));
    stage.emulator.fhir().faults().next(1, fault);
    let answer = client::get(stage.address(), "/fhir/Bundle/1").await;
    assert_eq!(answer.text(), xml(FHIR_AUDIENCE));
}

#[tokio::test]
async fn the_capability_statement_is_the_answer_to_options_too() {
    let stage = Stage::start().await;
    let statement = |base: &str| {
        json!({"resourceType": "CapabilityStatement", "url": format!("{base}/metadata"),
            "implementation": {"url": base}})
        .to_string()
    };
    for target in ["/fhir", "/fhir/"] {
        let fault = respond("application/fhir+json", &statement(FHIR_AUDIENCE));
        stage.emulator.fhir().faults().next(1, fault);
        let answer = client::request(stage.address(), "OPTIONS", target, &[], b"").await;
        let ours = format!("http://{}/fhir", stage.address());
        assert_eq!(answer.text(), statement(&ours), "{target}");
    }
}

#[tokio::test]
async fn a_store_may_answer_in_plain_json() {
    let stage = Stage::start().await;
    let stored = |base: &str| {
        let url = format!("{base}/studies/1");
        json!({"00081190": {"vr": "UR", "Value": [url]}}).to_string()
    };
    let theirs = stored(&format!("{DICOM_ORIGIN}/v2"));
    for content_type in ["application/dicom+json", "application/json"] {
        let fault = respond(content_type, &theirs);
        stage.emulator.dicom().faults().next(1, fault);
        let path = "/dicom/v2/studies";
        let answer = client::request(stage.address(), "POST", path, &[], b"").await;
        let ours = format!("http://{}/dicom/v2", stage.address());
        assert_eq!(answer.text(), stored(&ours), "{content_type}");
    }
}
