//! Clients that register themselves with a software statement.

use std::time::Duration;

use ahds_proxy::config::{self, Overrides};
use azure_emulator::{
    Fault, OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET, OAUTH_ORIGIN, SOFTWARE_STATEMENT,
};
use tokio::time::timeout;

use crate::support::{
    PATIENCE, Setup, Stage, client,
    partner::{self, OAUTH2, PATH},
};

const TOKEN: &str = "/o/client/token";
const REGISTER: &str = "/o/client/register";

fn setup(more: &str) -> Setup {
    let keys = format!(
        "token_url = \"{OAUTH_ORIGIN}{TOKEN}\"\n\
         headers = {{ \"X-Device-Info\" = \"e30=\" }}\n\
         registration = {{ url = \"{OAUTH_ORIGIN}{REGISTER}\", software_statement = {{ file = \"statement\" }} }}\n{more}"
    );
    partner::setup(OAUTH2, keys).file("statement", SOFTWARE_STATEMENT)
}

fn with_client(secret: &str) -> Setup {
    let client =
        format!("client_id = \"{OAUTH_CLIENT_ID}\"\nclient_secret = {{ file = \"oauth-secret\" }}");
    setup(&client).file("oauth-secret", secret)
}

fn targets(stage: &Stage) -> Vec<String> {
    let recorded = stage.emulator.oauth().traffic().recorded();
    recorded.into_iter().map(|request| request.target).collect()
}

#[tokio::test]
async fn registers_once_and_asks_for_tokens_with_what_it_got() {
    let stage = setup("").start().await;
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    stage.clock.shift(3601);
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);

    let registrations = partner::requests(&stage, REGISTER);
    assert_eq!(registrations.len(), 1);
    let request = &registrations[0];
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&request.body).expect("JSON"),
        serde_json::json!({"software_statement": SOFTWARE_STATEMENT})
    );
    assert_eq!(request.headers["x-device-info"], "e30=");
    assert_eq!(request.headers["accept"], "application/json");

    let tokens = partner::requests(&stage, TOKEN);
    assert_eq!(tokens.len(), 2);
    for request in tokens {
        assert_eq!(request.headers["x-device-info"], "e30=");
        let names: Vec<_> = partner::form(&request)
            .into_iter()
            .map(|(n, _)| n)
            .collect();
        assert_eq!(names, ["grant_type", "client_id", "client_secret"]);
    }
}

#[tokio::test]
async fn audiences_that_need_a_client_at_once_share_one_registration() {
    let emulator = partner::emulator().await;
    let slow = Fault::Delay(Duration::from_millis(300));
    emulator.oauth().registration_faults().always(slow);
    let route = |audience: &str| {
        format!(
            "upstream = \"{OAUTH_ORIGIN}\"\nkind = \"fhir\"\ncredential = \"partner\"\naudience = \"{audience}\""
        )
    };
    let setup = setup("")
        .with("routes.one", route("https://one.example"))
        .with("routes.two", route("https://two.example"));
    let stage = setup.start_before(emulator).await;
    for path in [PATH, "/one/emulator/echo", "/two/emulator/echo"] {
        assert_eq!(client::get(stage.address(), path).await.status, 200);
    }
    assert_eq!(partner::requests(&stage, REGISTER).len(), 1);
    assert_eq!(partner::requests(&stage, TOKEN).len(), 3);
}

#[tokio::test]
async fn audiences_that_wait_for_one_registration_share_its_failure() {
    let emulator = partner::emulator().await;
    let faults = emulator.oauth().registration_faults();
    faults.always(Fault::Delay(Duration::from_millis(300)));
    faults.always(Fault::Throttle(Duration::from_secs(60)));
    let route = format!(
        "upstream = \"{OAUTH_ORIGIN}\"\nkind = \"fhir\"\ncredential = \"partner\"\naudience = \"https://one.example\""
    );
    let setup = setup("").with("routes.one", route);
    let stage = setup.start_before(emulator).await;
    for path in [PATH, "/one/emulator/echo"] {
        assert_eq!(client::get(stage.address(), path).await.status, 503);
    }
    assert_eq!(targets(&stage), [REGISTER]);
}

#[tokio::test]
async fn a_client_that_was_revoked_is_replaced() {
    let stage = setup("").start().await;
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    stage.emulator.oauth().revoke_clients();
    stage.clock.shift(3601);
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    stage.clock.shift(3601);
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    assert_eq!(stage.emulator.oauth().registrations(), 2);
    assert_eq!(partner::requests(&stage, TOKEN).len(), 4);
}

#[tokio::test]
async fn a_new_client_that_is_refused_too_is_the_end_of_it() {
    let emulator = partner::emulator().await;
    let faults = emulator.oauth().token_faults();
    faults.always(Fault::respond(400, r#"{"error":"invalid_client"}"#));
    let stage = setup("").start_before(emulator).await;
    let complaint = partner::complaint(&stage).await;
    assert!(
        complaint.contains("(invalid_client). A new registration did not help"),
        "{complaint}"
    );
    assert_eq!(targets(&stage), [REGISTER, TOKEN, REGISTER, TOKEN]);
    // Each registration leaves a client behind: later attempts go without another.
    let next_attempt = async {
        while targets(&stage).len() < 5 {
            client::get(stage.address(), PATH).await;
        }
    };
    timeout(PATIENCE, next_attempt).await.expect("tried again");
    assert_eq!(targets(&stage)[4..], [TOKEN]);
}

#[tokio::test]
async fn a_registered_client_survives_a_reload() {
    let mut stage = setup("").start().await;
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    let flags = Overrides {
        config: Some(stage.files.path().join("ahds-proxy.toml")),
        ..Overrides::default()
    };
    let config = config::load(&flags, &|_| None).expect("the same as before");
    stage.proxy.reload(&config);
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    assert_eq!(stage.emulator.oauth().registrations(), 1);
    assert!(partner::requests(&stage, TOKEN).len() > 1);
}

#[tokio::test]
async fn only_invalid_client_leads_to_a_registration() {
    for (status, error) in [
        (400, "unauthorized_client"),
        (400, "invalid_request"),
        (500, "invalid_client"),
    ] {
        let emulator = partner::emulator().await;
        let body = format!("{{\"error\":\"{error}\"}}");
        emulator
            .oauth()
            .token_faults()
            .always(Fault::respond(status, body));
        let stage = with_client(OAUTH_CLIENT_SECRET)
            .start_before(emulator)
            .await;
        partner::complaint(&stage).await;
        assert_eq!(targets(&stage), [TOKEN], "{error}");
    }
}

#[tokio::test]
async fn a_configured_client_serves_first() {
    let stage = with_client(OAUTH_CLIENT_SECRET).start().await;
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    assert_eq!(stage.emulator.oauth().registrations(), 0);
    stage.emulator.oauth().revoke_clients();
    stage.clock.shift(3601);
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    assert_eq!(stage.emulator.oauth().registrations(), 1);
    // The client is not used again.
    stage.clock.shift(3601);
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    assert_eq!(partner::requests(&stage, TOKEN).len(), 4);
}

#[tokio::test]
async fn a_configured_secret_may_be_corrected_while_registration_fails() {
    let emulator = partner::emulator().await;
    let faults = emulator.oauth().registration_faults();
    faults.always(Fault::respond(500, ""));
    let stage = with_client("wrong").start_before(emulator).await;
    partner::complaint(&stage).await;
    let secret = stage.files.path().join("oauth-secret");
    std::fs::write(secret, OAUTH_CLIENT_SECRET).expect("written");
    client::until(stage.address(), PATH, |answer| answer.status == 200).await;
    assert_eq!(stage.emulator.oauth().registrations(), 0);
}

#[tokio::test]
async fn a_server_that_lets_one_request_a_second_through_is_waited_for() {
    let emulator = partner::emulator().await;
    emulator.oauth().throttle();
    let stage = setup("").start_before(emulator).await;
    client::until(stage.address(), PATH, |answer| answer.status == 200).await;
    assert_eq!(stage.emulator.oauth().registrations(), 1);
}

/// The status and body of a reply, and the proxy's error about it.
const REFUSALS: &[(u16, &str, &str, &str)] = &[
    (
        400,
        r#"{"error":"invalid_request","error_description":"Jane Doe"}"#,
        "cannot use the registration (invalid_request)",
        "Check `registration.url`, and that `headers`",
    ),
    (
        400,
        r#"{"error":"invalid_redirect_uri"}"#,
        "requires a redirect URI (invalid_redirect_uri)",
        "a software statement without a redirect URI",
    ),
    (
        400,
        r#"{"error":"invalid_client_metadata"}"#,
        "(invalid_client_metadata)",
        "a software statement with that data",
    ),
    (
        400,
        r#"{"error":"invalid_software_statement"}"#,
        "does not accept the software statement (invalid_software_statement)",
        "Ask the server's owner for a new one",
    ),
    (
        400,
        r#"{"error":"unapproved_software_statement"}"#,
        "has not approved the software statement (unapproved_software_statement)",
        "to approve the one in the file",
    ),
    (
        400,
        r#"{"error":"Jane Doe"}"#,
        "oauth.demo.example responded with 400",
        "Check `registration.url`.",
    ),
    (
        401,
        "",
        "oauth.demo.example responded with 401",
        "Check `registration.url`.",
    ),
    (
        302,
        "",
        "oauth.demo.example responded with 302",
        "follows no redirect",
    ),
    (
        429,
        "<html>Jane Doe",
        "oauth.demo.example responded with 429",
        "Try again in a moment",
    ),
    (
        503,
        r#"{"error":"invalid_request"}"#,
        "oauth.demo.example responded with 503",
        "Try again in a moment",
    ),
    (
        200,
        "<html>Jane Doe",
        "an unexpected body",
        "Check `registration.url`",
    ),
    (
        201,
        r#"{"client_id":"c"}"#,
        "an unexpected body",
        "Check `registration.url`",
    ),
    (
        201,
        r#"{"client_id":"","client_secret":"hunter2"}"#,
        "an unexpected body",
        "Check `registration.url`",
    ),
];

#[tokio::test]
async fn every_refusal_says_what_happened_and_what_to_do() {
    for (status, body, message, remedy) in REFUSALS {
        let emulator = partner::emulator().await;
        let faults = emulator.oauth().registration_faults();
        faults.always(Fault::respond(*status, *body));
        let stage = setup("").start_before(emulator).await;
        let complaint = partner::complaint(&stage).await;
        assert!(complaint.contains(message), "{message} in {complaint}");
        assert!(complaint.contains(remedy), "{remedy} in {complaint}");
        assert_eq!(targets(&stage), [REGISTER]);
    }
}

#[tokio::test]
async fn a_statement_the_server_does_not_know_is_named_by_its_place_and_not_shown() {
    let stage = setup("").file("statement", "hunter2").start().await;
    let complaint = partner::complaint(&stage).await;
    assert!(
        complaint.contains("(invalid_software_statement)"),
        "{complaint}"
    );
    assert!(complaint.contains("statement."), "{complaint}");
}
