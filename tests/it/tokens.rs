//! Tokens are fetched once, renewed ahead, and never sent after their end.

mod failing;
mod messages;
mod renewing;
mod sharing;

use std::net::SocketAddr;

use azure_emulator::{Emulator, Options};
use tokio::{task::JoinSet, time::timeout};

use crate::support::{
    PATIENCE, Stage,
    client::{self, Answer},
};

pub(crate) const FHIR: &str = "/fhir/Patient?_count=1";
pub(crate) const DICOM: &str = "/dicom/v2/changefeed?limit=1";
/// Just past the life of the emulator's tokens.
pub(crate) const PAST_EXPIRY: i64 = 3601;

/// An emulator whose faults can be set before a proxy starts.
async fn emulator() -> Emulator {
    let options = Options {
        samples: true,
        ..Options::default()
    };
    Emulator::start(options).await.expect("the emulator starts")
}

/// Sends `count` requests at once, alternately to the FHIR and the DICOM route.
async fn crowd(address: SocketAddr, count: usize) -> Vec<Answer> {
    let mut tasks = JoinSet::new();
    for path in [FHIR, DICOM].into_iter().cycle().take(count) {
        tasks.spawn(client::get(address, path));
    }
    tasks.join_all().await
}

/// Waits until Entra has seen so many token requests.
async fn until_token_requests(stage: &Stage, count: u64) {
    timeout(PATIENCE, stage.emulator.entra().until_token_requests(count))
        .await
        .expect("the token requests arrive");
}

/// The token that the FHIR service saw last.
fn last_token(stage: &Stage) -> String {
    let request = stage.emulator.fhir().traffic().last();
    let headers = request.expect("a request").headers;
    headers["authorization"].to_str().expect("text").to_owned()
}
