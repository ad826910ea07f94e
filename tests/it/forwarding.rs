//! The main job: requests reach the right service with the right token, and responses come back.

use azure_emulator::{DICOM_AUDIENCE, FHIR_AUDIENCE};

use crate::support::{Stage, client};

#[tokio::test]
async fn serves_fhir_and_dicom_each_with_a_token_of_its_own() {
    let stage = Stage::start().await;
    let patients = client::get(stage.address(), "/fhir/Patient").await;
    assert_eq!(patients.status, 200);
    assert_eq!(patients.json()["resourceType"], "Bundle");

    let feed = client::get(stage.address(), "/dicom/v2/changefeed").await;
    assert_eq!(feed.status, 200);
    assert!(!feed.json().as_array().expect("a list").is_empty());

    let entra = stage.emulator.entra();
    assert_eq!(entra.token_requests_for(FHIR_AUDIENCE), 1);
    assert_eq!(entra.token_requests_for(DICOM_AUDIENCE), 1);
    assert_eq!(entra.token_requests(), 2);
}
