//! Tokens of any OAuth 2.0 server by the client credentials grant.

use std::time::{Duration, Instant, SystemTime};

use azure_emulator::{Emulator, Fault, OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET, OAUTH_ORIGIN};

use crate::support::{
    Setup, Stage, client,
    partner::{self, OAUTH2, PATH},
};

const DEVICE: &str = "headers = { \"X-Device-Info\" = \"e30=\" }";

fn keys(path: &str, more: &str) -> String {
    format!(
        "token_url = \"{OAUTH_ORIGIN}{path}\"\nclient_id = \"{OAUTH_CLIENT_ID}\"\nclient_secret = {{ file = \"oauth-secret\" }}\n{more}"
    )
}

fn setup(path: &str, more: &str) -> Setup {
    partner::setup(OAUTH2, keys(path, more)).file("oauth-secret", OAUTH_CLIENT_SECRET)
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A proxy in front of a server whose token endpoint always sends this reply.
async fn answering(status: u16, headers: &[(&str, &str)], body: &str) -> Stage {
    let emulator = partner::emulator().await;
    always(&emulator, status, headers, body);
    setup("/token", "").start_before(emulator).await
}

fn always(emulator: &Emulator, status: u16, headers: &[(&str, &str)], body: &str) {
    emulator.oauth().token_faults().always(Fault::Respond {
        status,
        headers: headers.iter().map(|(n, v)| pair(n, v)).collect(),
        body: body.to_owned(),
    });
}

#[tokio::test]
async fn a_client_in_the_form_asks_for_nothing_that_is_not_configured() {
    let stage = setup("/token", "").start().await;
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    let requests = partner::requests(&stage, "/token");
    assert_eq!(requests.len(), 1);
    assert_eq!(
        partner::form(&requests[0]),
        [
            pair("grant_type", "client_credentials"),
            pair("client_id", OAUTH_CLIENT_ID),
            pair("client_secret", OAUTH_CLIENT_SECRET),
        ]
    );
    let headers = &requests[0].headers;
    assert_eq!(headers["accept"], "application/json");
    assert!(!headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_client_in_basic_leaves_the_form_alone() {
    let stage = setup("/token", "auth = \"basic\"").start().await;
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    let requests = partner::requests(&stage, "/token");
    assert_eq!(
        partner::form(&requests[0]),
        [pair("grant_type", "client_credentials")]
    );
}

#[tokio::test]
async fn what_is_configured_is_sent_and_secrets_are_read_at_each_use() {
    let more = "scope = \"system/*.read user\"\nresource = \"https://api.example/\"\n\
        headers = { X-Plain = \"one\", X-Secret = { file = \"header\" } }\n\
        parameters = { audience = \"https://a/?b&c\", pin = { file = \"pin\" } }";
    let setup = setup("/token", more)
        .file("header", "h1")
        .file("pin", "p 1");
    let stage = setup.start().await;
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);

    for (name, text) in [("header", "h2"), ("pin", "p 2\n")] {
        std::fs::write(stage.files.path().join(name), text).expect("written");
    }
    stage.clock.shift(3601);
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);

    let requests = partner::requests(&stage, "/token");
    assert_eq!(requests.len(), 2);
    for (request, number) in requests.iter().zip(["1", "2"]) {
        assert_eq!(
            partner::form(request)[3..],
            [
                pair("scope", "system/*.read user"),
                pair("resource", "https://api.example/"),
                pair("audience", "https://a/?b&c"),
                pair("pin", &format!("p {number}")),
            ]
        );
        assert_eq!(request.headers["x-plain"], "one");
        assert_eq!(request.headers["x-secret"], format!("h{number}").as_str());
    }
}

#[tokio::test]
async fn a_created_token_serves_for_its_life_whatever_the_servers_clock_counts_in() {
    let stage = setup("/o/client/token", DEVICE).start().await;
    for _ in 0..5 {
        assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    }
    stage.clock.shift(2700);
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    assert_eq!(partner::requests(&stage, "/o/client/token").len(), 1);
}

#[tokio::test]
async fn tokens_are_taken_in_every_form_that_servers_give_them() {
    for (status, body, life) in [
        (
            200,
            r#"{"access_token":"t","token_type":"BEARER","expires_in":600}"#,
            Some(600),
        ),
        (
            201,
            r#"{"access_token":"t","token_type":"bearer","expires_in":"600","created_at":1752148106221}"#,
            Some(600),
        ),
        (
            203,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":600,"created_at":1}"#,
            Some(600),
        ),
        (200, r#"{"access_token":"t","token_type":"bearer"}"#, None),
        (
            200,
            r#"{"access_token":"t","token_type":"bearer","expires_in":null,"scope":7}"#,
            None,
        ),
    ] {
        let start = SystemTime::now();
        let stage = answering(status, &[], body).await;
        stage.ready().await;
        let tokens = client::get(stage.admin(), "/status").await.json()["tokens"].clone();
        let token = tokens
            .as_array()
            .and_then(|tokens| tokens.iter().find(|token| token["credential"] == "partner"))
            .expect("the token");
        assert_eq!(token["kind"], "oauth2-client-credentials");
        let expiry = token["expires_on"].as_str().map(|text| {
            let expiry: jiff::Timestamp = text.parse().expect("a time");
            let life = SystemTime::from(expiry).duration_since(start);
            life.expect("a life ahead").as_secs()
        });
        // An expiry that nobody stated is not shown.
        assert_eq!(expiry.is_some(), life.is_some(), "{body}");
        if let (Some(expiry), Some(life)) = (expiry, life) {
            assert!(
                (life - 1..=life + 30).contains(&expiry),
                "{expiry} for {body}"
            );
        }
    }
}

#[tokio::test]
async fn a_token_without_a_stated_life_is_renewed_within_minutes() {
    let body = r#"{"access_token":"t","token_type":"bearer"}"#;
    let stage = answering(200, &[], body).await;
    stage.ready().await;
    stage.clock.shift(200);
    let status = client::get(stage.admin(), "/status").await;
    assert!(
        !status.text().contains("\"valid\":false"),
        "{}",
        status.text()
    );
    assert_eq!(partner::requests(&stage, "/token").len(), 1);
    stage.clock.shift(101);
    client::get(stage.address(), PATH).await;
    assert!(partner::requests(&stage, "/token").len() > 1);
}

/// The status and body of a reply, and the proxy's error about it: the failure and its remedy.
const REFUSALS: &[(u16, &str, &str, &str)] = &[
    (
        400,
        r#"{"error":"invalid_request"}"#,
        "cannot use the request (invalid_request)",
        "Check `scope`, `resource`, `auth`, `headers` and `parameters`",
    ),
    (
        400,
        r#"{"error":"invalid_client","error_description":"of Jane Doe"}"#,
        "does not accept the client (invalid_client)",
        "Check `client_id` and `client_secret`",
    ),
    (
        401,
        r#"{"error":"invalid_client"}"#,
        "does not accept the client (invalid_client)",
        "auth = \"basic\" or \"body\"",
    ),
    (
        401,
        "<html>Jane Doe",
        "does not accept the client (invalid_client)",
        "Check `client_id` and `client_secret`",
    ),
    (
        400,
        r#"{"error":"invalid_grant"}"#,
        "does not accept what the client presents (invalid_grant)",
        "whether the client was revoked",
    ),
    (
        400,
        r#"{"error":"unauthorized_client"}"#,
        "(unauthorized_client)",
        "allow this client the client_credentials grant",
    ),
    (
        400,
        r#"{"error":"unsupported_grant_type"}"#,
        "(unsupported_grant_type)",
        "Check `token_url`",
    ),
    (
        400,
        r#"{"error":"invalid_scope","error_description":"<script>"}"#,
        "does not grant the scope (invalid_scope)",
        "Set `scope` to scopes",
    ),
    (
        400,
        r#"{"error":"invalid_target"}"#,
        "does not know the resource (invalid_target)",
        "Set `resource`",
    ),
    (
        400,
        r#"{"error":"server_error"}"#,
        "responded with a server error",
        "Try again in a moment",
    ),
    (
        200,
        r#"{"error":"invalid_scope"}"#,
        "does not grant the scope (invalid_scope)",
        "Set `scope`",
    ),
    (
        400,
        r#"{"error":"Jane Doe"}"#,
        "oauth.demo.example responded with 400",
        "Check `token_url`.",
    ),
    (
        400,
        "",
        "oauth.demo.example responded with 400",
        "Check `token_url`.",
    ),
    (
        403,
        "<html>",
        "oauth.demo.example responded with 403",
        "Check `token_url`.",
    ),
    (
        302,
        "",
        "oauth.demo.example responded with 302",
        "follows no redirect",
    ),
    (
        408,
        "",
        "oauth.demo.example responded with 408",
        "Try again in a moment",
    ),
    (
        429,
        "<html>Jane Doe",
        "oauth.demo.example responded with 429",
        "Try again in a moment",
    ),
    (
        500,
        r#"{"error":"invalid_client"}"#,
        "oauth.demo.example responded with 500",
        "Try again in a moment",
    ),
    (
        503,
        "<html>",
        "oauth.demo.example responded with 503",
        "Try again in a moment",
    ),
    (
        200,
        "<html>Sign in to the hotel",
        "an unexpected body",
        "captive portal",
    ),
    (
        200,
        r#"{"access_token":""}"#,
        "an unexpected body",
        "Check `token_url`",
    ),
    (
        200,
        r#"{"access_token":"hunter2","token_type":"DPoP"}"#,
        "is not a bearer token",
        "token_type Bearer",
    ),
    (
        200,
        r#"{"access_token":"hunter2"}"#,
        "is not a bearer token",
        "token_type Bearer",
    ),
    (
        200,
        r#"{"access_token":"hunter2","token_type":"bearer","expires_in":0}"#,
        "already expired",
        "clock",
    ),
];

#[tokio::test]
async fn every_refusal_says_what_happened_and_what_to_do() {
    for (status, body, message, remedy) in REFUSALS {
        let stage = answering(*status, &[("location", "https://evil.example/")], body).await;
        let complaint = partner::complaint(&stage).await;
        assert!(complaint.contains(message), "{message} in {complaint}");
        assert!(complaint.contains(remedy), "{remedy} in {complaint}");
        assert_eq!(stage.emulator.oauth().traffic().counters().requests, 1);
    }
}

#[tokio::test]
async fn a_throttled_client_waits_a_second_even_when_nobody_says_so() {
    let emulator = partner::emulator().await;
    let page = Fault::respond(429, "<html>slow down</html>");
    emulator.oauth().token_faults().next(1, page);
    let start = Instant::now();
    let stage = setup("/token", "").start_before(emulator).await;
    client::until(stage.address(), PATH, |answer| answer.status == 200).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(partner::requests(&stage, "/token").len(), 2);
}

#[tokio::test]
async fn a_server_that_names_a_time_is_left_alone_until_then() {
    let stage = answering(429, &[("retry-after", "60")], "<html>").await;
    let answer = client::get(stage.address(), PATH).await;
    let wait = answer.header("retry-after").expect("Retry-After");
    let wait: u64 = wait.parse().expect("seconds");
    assert!((30..=61).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_slash_at_the_end_of_an_endpoint_is_part_of_it() {
    let stage = setup("/token/", "").start().await;
    let complaint = partner::complaint(&stage).await;
    assert!(
        complaint.contains("responded with 404. Check `token_url`"),
        "{complaint}"
    );
    assert_eq!(partner::requests(&stage, "/token/").len(), 1);
}

#[tokio::test]
async fn a_secret_that_is_gone_or_cannot_be_sent_is_named_by_its_place() {
    let more = "headers = { X-Key = { file = \"header\" } }";
    let stage = setup("/token", more).file("header", "h").start().await;
    client::until(stage.address(), PATH, |answer| answer.status == 200).await;
    for (name, text, message) in [
        (
            "header",
            Some("hunter2 \u{1}"),
            "header is empty or contains a control",
        ),
        ("oauth-secret", None, "oauth-secret cannot be read"),
    ] {
        let path = stage.files.path().join(name);
        match text {
            Some(text) => std::fs::write(path, text).expect("written"),
            None => std::fs::remove_file(path).expect("removed"),
        }
        stage.clock.shift(3601);
        client::until(stage.address(), PATH, |answer| {
            answer.status == 503 && answer.text().contains(message)
        })
        .await;
    }
    assert_eq!(partner::requests(&stage, "/token").len(), 1);
}
