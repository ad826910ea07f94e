//! An issuer that gives no token is left alone for a while, and nothing goes out without one.

use std::time::{Duration, Instant};

use azure_emulator::{FHIR_AUDIENCE, Fault};

use super::{FHIR, crowd, emulator, until_token_requests};
use crate::support::{Setup, client};

#[tokio::test]
async fn a_crowd_without_a_token_makes_one_attempt_and_reaches_no_upstream() {
    let emulator = emulator().await;
    let busy = Fault::Throttle(Duration::from_secs(60));
    emulator.entra().faults().always(busy);
    let stage = Setup::new().start_before(emulator).await;
    for answer in crowd(stage.address(), 200).await {
        assert_eq!(answer.status, 503);
        let wait = answer.header("retry-after").expect("Retry-After");
        assert!(
            (30..=61).contains(&wait.parse().expect("seconds")),
            "{wait}"
        );
        let status = answer.header("proxy-status").expect("Proxy-Status");
        assert!(status.starts_with("ahds-proxy; error="), "{status}");
        if answer.json()["resourceType"] == "OperationOutcome" {
            assert_eq!(answer.json()["issue"][0]["code"], "login");
        } else {
            assert_eq!(answer.json()["status"], 503);
        }
    }
    assert_eq!(stage.emulator.entra().token_requests(), 2);
    assert_eq!(stage.emulator.fhir().traffic().counters().requests, 0);
    assert_eq!(stage.emulator.dicom().traffic().counters().requests, 0);
}

#[tokio::test]
async fn attempts_come_no_faster_than_their_pauses_double() {
    let emulator = emulator().await;
    emulator.entra().faults().always(Fault::respond(500, ""));
    let start = Instant::now();
    let stage = Setup::new().start_before(emulator).await;
    while start.elapsed() < Duration::from_secs(2) {
        crowd(stage.address(), 20).await;
    }
    let asked = stage.emulator.entra().token_requests_for(FHIR_AUDIENCE);
    // Attempts at 0, 1, 3, 7 … s, each up to a quarter later.
    let due = (1..8).take_while(|n| start.elapsed().as_secs() >= (1 << n) - 1);
    let due = 1 + due.count() as u64;
    assert!((2..=due).contains(&asked), "{asked} of {due}");
}

#[tokio::test]
async fn a_wait_without_end_is_neither_kept_nor_a_reason_to_hurry() {
    let emulator = emulator().await;
    let forever = ("Retry-After".to_owned(), u64::MAX.to_string());
    emulator.entra().faults().always(Fault::Respond {
        status: 429,
        headers: vec![forever],
        body: String::new(),
    });
    let stage = Setup::new().start_before(emulator).await;
    let answers = crowd(stage.address(), 20).await;
    for answer in answers {
        let wait = answer.header("retry-after").expect("Retry-After");
        let wait: u64 = wait.parse().expect("seconds");
        assert!((60..=3601).contains(&wait), "{wait}");
    }
    assert_eq!(stage.emulator.entra().token_requests(), 2);
}

#[tokio::test]
async fn a_first_fetch_that_failed_is_repeated_without_any_request() {
    let emulator = emulator().await;
    emulator
        .entra()
        .faults()
        .next_for(FHIR_AUDIENCE, 1, Fault::respond(503, ""));
    let start = Instant::now();
    let stage = Setup::new().start_before(emulator).await;
    stage.ready().await;
    assert!(start.elapsed() < Duration::from_secs(15));
    assert_eq!(stage.emulator.entra().token_requests(), 3);
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_failure_like_any_other() {
    let emulator = emulator().await;
    emulator.entra().faults().always(Fault::Close);
    let stage = Setup::new().start_before(emulator).await;
    until_token_requests(&stage, 2).await;
    let answer = client::get(stage.address(), FHIR).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("login.microsoftonline.com"),
        "{}",
        answer.text()
    );
    stage.emulator.entra().faults().clear();
    client::until(stage.address(), FHIR, |answer| answer.status == 200).await;
}
