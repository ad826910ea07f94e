//! Public endpoints of services, before anyone has signed in.

use azure_emulator::{Emulator, Fault, Options};

use crate::support::{Setup, Stage, client, scripted::Scripted};

const OPEN: [&str; 5] = [
    "/fhir/metadata",
    "/fhir/.well-known/smart-configuration",
    "/fhir/$versions",
    "/fhir/health/check",
    "/dicom/health/check",
];

async fn without_tokens(fault: Fault) -> Stage {
    let emulator = Emulator::start(Options::default())
        .await
        .expect("the emulator starts");
    emulator.entra().faults().always(fault);
    Setup::new().start_before(emulator).await
}

fn authorizations(stage: &Stage) -> Vec<bool> {
    let fhir = stage.emulator.fhir().traffic().recorded();
    let dicom = stage.emulator.dicom().traffic().recorded();
    let requests = fhir.iter().chain(&dicom);
    requests
        .map(|request| request.headers.contains_key("authorization"))
        .collect()
}

#[tokio::test]
async fn open_documents_need_no_token() {
    for fault in [Fault::respond(500, ""), Fault::Hang] {
        let stage = without_tokens(fault).await;
        for path in OPEN {
            let answer = client::get(stage.address(), path).await;
            assert_eq!(answer.status, 200, "{path}");
        }
        let head = client::request(stage.address(), "HEAD", OPEN[0], &[], b"").await;
        assert_eq!(head.status, 200);
        assert_eq!(authorizations(&stage), [false; OPEN.len() + 1]);
    }
}

#[tokio::test]
async fn everything_else_still_needs_one() {
    let stage = without_tokens(Fault::respond(500, "")).await;
    for (method, path) in [
        ("GET", "/fhir/Patient"),
        ("GET", "/fhir//metadata"),
        ("GET", "/fhir/metadata/Patient"),
        ("GET", "/fhir/%6detadata"),
        ("GET", "/dicom/v2/metadata"),
        ("GET", "/dicom/metadata"),
        ("POST", "/fhir/metadata"),
        ("DELETE", "/fhir/OperationDefinition/export"),
    ] {
        let answer = client::request(stage.address(), method, path, &[], b"").await;
        assert_eq!(answer.status, 503, "{method} {path}");
    }
    for path in [
        "/fhir/metadata/../Patient",
        "/fhir/metadata%2f..%2fPatient",
        "/fhir/OperationDefinition/%2e%2e/Patient",
    ] {
        let answer = client::get(stage.address(), path).await;
        assert_eq!(answer.status, 400, "{path}");
    }
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn open_documents_are_known_in_every_spelling() {
    const PATHS: [&str; 6] = [
        "/metadata/",
        "/metadata?mode=terminology&_format=json",
        "/metadata/?_format=json",
        "/%24versions",
        "/.well-known/smart-configuration/",
        "/OperationDefinition/export",
    ];
    let upstream = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let emulator = Emulator::start(Options::default())
        .await
        .expect("the emulator starts");
    let faults = emulator.entra().faults();
    faults.always(Fault::respond(500, ""));
    let stage = upstream.routed().start_before(emulator).await;
    for method in ["GET", "HEAD", "OPTIONS"] {
        for path in PATHS {
            let target = format!("/plain{path}");
            let answer = client::request(stage.address(), method, &target, &[], b"").await;
            assert_eq!(answer.status, 200, "{method} {path}");
        }
    }
    let heads = upstream.heads();
    assert_eq!(heads.len(), 3 * PATHS.len());
    for (head, path) in heads.iter().zip(PATHS.iter().cycle()) {
        assert!(head.contains(&format!(" {path} HTTP/1.1\r\n")), "{head}");
        assert!(
            !head.to_ascii_lowercase().contains("authorization"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_token_at_hand_goes_along() {
    let stage = Stage::start().await;
    for path in OPEN {
        assert_eq!(client::get(stage.address(), path).await.status, 200);
    }
    assert_eq!(authorizations(&stage), [true; OPEN.len()]);
}

#[tokio::test]
async fn a_service_that_wants_a_token_all_the_same_gets_one() {
    let stage = without_tokens(Fault::respond(500, "")).await;
    stage.emulator.fhir().faults().next(1, Fault::Unauthorized);
    let answer = client::get(stage.address(), OPEN[0]).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["issue"][0]["code"], "login");

    stage.emulator.entra().faults().clear();
    stage.ready().await;
    stage.clock.shift(24 * 3600);
    stage.emulator.fhir().faults().next(1, Fault::Unauthorized);
    let answer = client::get(stage.address(), OPEN[0]).await;
    assert_eq!(answer.status, 200);
    let sent = authorizations(&stage);
    assert_eq!(sent[sent.len() - 2..], [false, true]);
}
