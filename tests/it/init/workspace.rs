//! `--workspace`, and the audience that Azure Resource Manager names.

use std::process::Stdio;

use azure_emulator::{FHIR_AUDIENCE, Fault, Inventory};

use super::{Scene, demo, many};
use crate::support::{client, process::Process};

#[tokio::test]
async fn a_workspace_needs_no_file_of_its_own() {
    let scene = Scene::new(Inventory::demo()).await;
    let mut command = scene.command("--workspace demo");
    command.stdin(Stdio::null());
    let proxy = Process::start(command);
    let (address, _) = proxy.addresses().await;
    let response = client::get(address, "/fhir/Patient?_count=1").await;
    assert_eq!(response.status, 200, "{}", response.text());
    let log = proxy.stderr();
    assert!(log.contains("upstream=https://demo-dicom.dicom"), "{log}");

    let scene = Scene::new(many()).await;
    let ran = scene.run("check --workspace lab").await;
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("has 3 FHIR services: https://lab-a."),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("ahds-proxy init --workspace lab"),
        "{}",
        ran.stderr
    );
    let ran = scene
        .run("--workspace demo --fhir https://a.fhir.azurehealthcareapis.com")
        .await;
    assert_eq!(ran.code, Some(2));
}

#[tokio::test]
async fn the_audience_comes_from_azure_and_is_compared_with_it() {
    let scene = Scene::new(demo(|service| {
        service.audiences = vec!["https://own.example".to_owned()];
    }))
    .await;
    let ran = scene.run("check --workspace demo").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(
        ran.stdout.matches("audience https://own.example").count(),
        2,
        "{}",
        ran.stdout
    );

    let line = format!("check --online --fhir {FHIR_AUDIENCE}");
    let ran = scene.run(&line).await;
    assert_eq!(ran.code, Some(1));
    let expected = format!(
        "Azure Resource Manager names the audience https://own.example for demo/fhir, not {FHIR_AUDIENCE}"
    );
    assert!(ran.stdout.contains(&expected), "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("Write `audience = \"https://own.example\"` below [routes.fhir]")
    );

    // Whoever may not ask gets no row.
    let faults = scene.emulator.resource_manager().faults();
    faults.always(Fault::Forbidden);
    let ran = scene.run(&line).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert!(ran.stdout.contains("6 checks: 6 ok"), "{}", ran.stdout);
}
