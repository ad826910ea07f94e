//! A route to the API of the emulator's other authorization server, and the requests that the
//! server received.

use azure_emulator::{Emulator, OAUTH_HOST, OAUTH_ORIGIN, Options, RecordedRequest};

use super::{Setup, Stage, client};

/// The path that responds where the token is valid.
pub(crate) const PATH: &str = "/partner/emulator/echo";
/// The credential's tables.
pub(crate) const OAUTH2: &str = "credentials.partner.oauth2-client-credentials";
pub(crate) const SMART: &str = "credentials.partner.smart-backend-services";

/// A route `/partner` with a credential of these keys.
pub(crate) fn setup(table: &'static str, keys: impl Into<String>) -> Setup {
    let route = format!("upstream = \"{OAUTH_ORIGIN}\"\nkind = \"http\"\ncredential = \"partner\"");
    Setup::new()
        .with("routes.partner", route)
        .with(
            "security",
            format!("trusted_upstreams = [\"{OAUTH_HOST}\"]"),
        )
        .with(table, keys)
        .without_waiting()
}

/// An emulator whose faults can be set before a proxy starts.
pub(crate) async fn emulator() -> Emulator {
    let options = Options::default();
    Emulator::start(options).await.expect("the emulator starts")
}

/// The requests to a path so far.
pub(crate) fn requests(stage: &Stage, path: &str) -> Vec<RecordedRequest> {
    let recorded = stage.emulator.oauth().traffic().recorded();
    let to_path = |request: &RecordedRequest| request.target == path;
    recorded.into_iter().filter(to_path).collect()
}

/// The fields of a request's form.
pub(crate) fn form(request: &RecordedRequest) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

/// The proxy's error about the token that it does not have.
pub(crate) async fn complaint(stage: &Stage) -> String {
    let answer = client::get(stage.address(), PATH).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let detail = answer.json()["detail"].as_str().expect("text").to_owned();
    // The server's descriptions, its tokens and our secrets must not leak.
    for secret in ["Jane Doe", "<script>", "<html", "hunter2"] {
        assert!(!detail.contains(secret), "{secret} in {detail}");
    }
    detail
}
