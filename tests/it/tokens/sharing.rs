//! One fetch for each audience, however many wait for it and whoever leaves.

use std::time::Duration;

use azure_emulator::{DICOM_AUDIENCE, FHIR_AUDIENCE, Fault};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{DICOM, FHIR, PAST_EXPIRY, crowd, emulator, until_token_requests};
use crate::support::{Setup, Stage, client};

#[tokio::test]
async fn a_crowd_before_the_first_token_shares_one_fetch_for_each_audience() {
    let emulator = emulator().await;
    let slow = Fault::Delay(Duration::from_millis(500));
    emulator.entra().faults().always(slow);
    let stage = Setup::new().start_before(emulator).await;
    let answers = crowd(stage.address(), 200).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let entra = stage.emulator.entra();
    assert_eq!(entra.token_requests_for(FHIR_AUDIENCE), 1);
    assert_eq!(entra.token_requests_for(DICOM_AUDIENCE), 1);
}

#[tokio::test]
async fn a_crowd_behind_an_expired_token_shares_one_fetch_for_each_audience() {
    let stage = Stage::start().await;
    let slow = Fault::Delay(Duration::from_millis(300));
    stage.emulator.entra().faults().always(slow);
    stage.clock.shift(PAST_EXPIRY);
    let answers = crowd(stage.address(), 200).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let entra = stage.emulator.entra();
    assert_eq!(entra.token_requests_for(FHIR_AUDIENCE), 2);
    assert_eq!(entra.token_requests_for(DICOM_AUDIENCE), 2);
}

#[tokio::test]
async fn an_audience_whose_issuer_hangs_holds_up_no_other() {
    let emulator = emulator().await;
    let faults = emulator.entra().faults();
    faults.always_for(FHIR_AUDIENCE, Fault::Hang);
    let stage = Setup::new().start_before(emulator).await;
    let waiting = tokio::spawn(client::get(stage.address(), FHIR));
    until_token_requests(&stage, 2).await;
    let feed = client::get(stage.address(), DICOM).await;
    assert_eq!(feed.status, 200);
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn a_fetch_outlives_the_caller_that_started_it() {
    let stage = Stage::start().await;
    let faults = stage.emulator.entra().faults();
    faults.always_for(FHIR_AUDIENCE, Fault::Delay(Duration::from_millis(500)));
    stage.clock.shift(PAST_EXPIRY);

    let mut caller = TcpStream::connect(stage.address()).await.expect("accepted");
    let request = format!("GET {FHIR} HTTP/1.1\r\nHost: {}\r\n\r\n", stage.address());
    caller.write_all(request.as_bytes()).await.expect("sent");
    until_token_requests(&stage, 3).await;
    drop(caller);

    assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    let entra = stage.emulator.entra();
    assert_eq!(entra.token_requests_for(FHIR_AUDIENCE), 2);
}

#[tokio::test]
async fn listens_at_once_and_fetches_without_being_asked() {
    let emulator = emulator().await;
    emulator.entra().faults().always(Fault::Hang);
    let stage = Setup::new().start_before(emulator).await;
    until_token_requests(&stage, 2).await;
    assert_eq!(client::get(stage.address(), "/nowhere").await.status, 404);
    assert_eq!(client::get(stage.admin(), "/livez").await.status, 200);
    let ready = client::get(stage.admin(), "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(
        ready.text().contains("has not arrived yet"),
        "{}",
        ready.text()
    );
}
