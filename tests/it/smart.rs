//! SMART Backend Services: tokens for a signed assertion.

use std::{sync::OnceLock, time::Duration};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rsa,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use azure_emulator::{Fault, OAUTH_ORIGIN};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::support::{
    Setup, Stage, client,
    partner::{self, PATH, SMART},
};

const CLIENT: &str = "smart-client";
const WELL_KNOWN: &str = "/.well-known/smart-configuration";

/// A key in PEM and its public half.
struct Key {
    pem: String,
    public: Vec<u8>,
}

fn rsa_key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| {
        let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("DER");
        Key {
            pem: pem(der.as_ref()),
            public: pair.public_key().as_ref().to_vec(),
        }
    })
}

fn ec_key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
        Key {
            pem: pem(pair.to_pkcs8v1().expect("DER").as_ref()),
            public: pair.public_key().as_ref().to_vec(),
        }
    })
}

fn pem(der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

fn setup(algorithm: &str, endpoint: &str, key: &Key) -> Setup {
    let keys = format!(
        "client_id = \"{CLIENT}\"\nkey = {{ file = \"smart.pem\" }}\nkey_id = \"k1\"\n\
         algorithm = \"{algorithm}\"\nscope = \"system/*.rs\"\n{endpoint}"
    );
    partner::setup(SMART, keys).file("smart.pem", &*key.pem)
}

fn by_url() -> String {
    format!("token_url = \"{OAUTH_ORIGIN}/token\"")
}

fn by_issuer() -> String {
    format!("issuer = \"{OAUTH_ORIGIN}/\"")
}

async fn start(setup: Setup, key: &Key) -> Stage {
    let emulator = partner::emulator().await;
    emulator.oauth().add_client_key(CLIENT, &key.public);
    setup.start_before(emulator).await
}

#[tokio::test]
async fn an_assertion_by_either_algorithm_gets_a_token() {
    for (algorithm, key) in [("RS384", rsa_key()), ("ES384", ec_key())] {
        let stage = start(setup(algorithm, &by_url(), key), key).await;
        assert_eq!(
            client::get(stage.address(), PATH).await.status,
            200,
            "{algorithm}"
        );
        let requests = partner::requests(&stage, "/token");
        assert_eq!(requests.len(), 1);
        let form = partner::form(&requests[0]);
        let names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "grant_type",
                "scope",
                "client_assertion_type",
                "client_assertion"
            ]
        );
        assert_eq!(form[1].1, "system/*.rs");

        let part = |number: usize| -> Value {
            let part = form[3].1.split('.').nth(number).expect("three parts");
            let json = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            serde_json::from_slice(&json).expect("JSON")
        };
        assert_eq!(
            part(0),
            json!({"alg": algorithm, "typ": "JWT", "kid": "k1"})
        );
        let claims = part(1);
        let mut names: Vec<_> = claims.as_object().expect("claims").keys().collect();
        names.sort();
        assert_eq!(names, ["aud", "exp", "iss", "jti", "sub"]);
    }
}

#[tokio::test]
async fn an_endpoint_is_discovered_once_and_told_another_assertion_each_time() {
    let key = ec_key();
    let emulator = partner::emulator().await;
    emulator.oauth().add_client_key(CLIENT, &key.public);
    emulator.oauth().set_token_lifetime(Duration::from_secs(2));
    let stage = setup("ES384", &by_issuer(), key)
        .start_before(emulator)
        .await;
    client::until(stage.address(), PATH, |answer| {
        answer.status == 200 && partner::requests(&stage, "/token").len() > 1
    })
    .await;
    let requests = partner::requests(&stage, "/token");
    assert_ne!(
        partner::form(&requests[0])[3],
        partner::form(&requests[1])[3]
    );
    let discoveries = partner::requests(&stage, WELL_KNOWN);
    assert_eq!(discoveries.len(), 1);
    assert_eq!(discoveries[0].headers["accept"], "application/json");
}

#[tokio::test]
async fn five_minute_tokens_serve_most_of_their_life() {
    let key = ec_key();
    let emulator = partner::emulator().await;
    emulator.oauth().add_client_key(CLIENT, &key.public);
    let life = Duration::from_secs(300);
    emulator.oauth().set_token_lifetime(life);
    let stage = setup("ES384", &by_issuer(), key)
        .start_before(emulator)
        .await;
    for step in [0, 100, 100] {
        stage.clock.shift(step);
        for _ in 0..5 {
            assert_eq!(client::get(stage.address(), PATH).await.status, 200);
        }
    }
    assert_eq!(partner::requests(&stage, "/token").len(), 1);
}

#[tokio::test]
async fn an_endpoint_that_moved_is_found_again() {
    let key = ec_key();
    let emulator = partner::emulator().await;
    emulator.oauth().add_client_key(CLIENT, &key.public);
    let old = json!({"token_endpoint": format!("{OAUTH_ORIGIN}/old")}).to_string();
    emulator
        .oauth()
        .metadata_faults()
        .next(1, Fault::respond(200, old));
    let stage = setup("ES384", &by_issuer(), key)
        .start_before(emulator)
        .await;
    let complaint = partner::complaint(&stage).await;
    assert!(
        complaint.contains("responded with 404. Check `issuer`."),
        "{complaint}"
    );
    client::until(stage.address(), PATH, |answer| answer.status == 200).await;
    assert_eq!(partner::requests(&stage, "/old").len(), 1);
}

/// The status and text of the SMART configuration, and the proxy's error about it.
const DISCOVERIES: &[(u16, &str, &str, &str)] = &[
    (
        404,
        "",
        "oauth.demo.example responded with 404",
        "Check `issuer`.",
    ),
    (
        302,
        "",
        "oauth.demo.example responded with 302",
        "follows no redirect",
    ),
    (
        503,
        "<html>Jane Doe",
        "oauth.demo.example responded with 503",
        "Try again in a moment",
    ),
    (
        200,
        "<html>Jane Doe",
        "an unexpected body",
        "Check `issuer`",
    ),
    (
        200,
        "{}",
        "the SMART configuration of oauth.demo.example names no token_endpoint",
        "`token_url` instead of `issuer`",
    ),
    (
        200,
        r#"{"token_endpoint":"http://login.example/token"}"#,
        "not an https URL",
        "write it as `token_url`",
    ),
    (
        200,
        r#"{"token_endpoint":"/token"}"#,
        "not an https URL",
        "write it as `token_url`",
    ),
    (
        200,
        r#"{"token_endpoint":"https://u:hunter2@login.example/token"}"#,
        "not an https URL",
        "write it as `token_url`",
    ),
    (
        200,
        r#"{"token_endpoint":"https://oauth.demo.example/token","token_endpoint_auth_methods_supported":["client_secret_basic"]}"#,
        "offers no private_key_jwt",
        "Use oauth2-client-credentials",
    ),
    (
        200,
        r#"{"token_endpoint":"https://oauth.demo.example/token","token_endpoint_auth_signing_alg_values_supported":["RS384"]}"#,
        "does not list ES384",
        "Set algorithm = \"RS384\"",
    ),
    (
        200,
        r#"{"token_endpoint":"https://oauth.demo.example/token","token_endpoint_auth_signing_alg_values_supported":["RS256"]}"#,
        "does not list ES384",
        "Ask the server's owner",
    ),
];

#[tokio::test]
async fn every_discovery_that_fails_says_what_happened_and_what_to_do() {
    let key = ec_key();
    for (status, body, message, remedy) in DISCOVERIES {
        let emulator = partner::emulator().await;
        let faults = emulator.oauth().metadata_faults();
        faults.always(Fault::respond(*status, *body));
        let stage = setup("ES384", &by_issuer(), key)
            .start_before(emulator)
            .await;
        let complaint = partner::complaint(&stage).await;
        assert!(complaint.contains(message), "{message} in {complaint}");
        assert!(complaint.contains(remedy), "{remedy} in {complaint}");
        assert!(partner::requests(&stage, "/token").is_empty());
    }
}

#[tokio::test]
async fn a_loopback_endpoint_may_be_discovered() {
    let key = ec_key();
    let emulator = partner::emulator().await;
    let old = json!({"token_endpoint": "http://127.0.0.1:1/token"}).to_string();
    let faults = emulator.oauth().metadata_faults();
    faults.always(Fault::respond(200, old));
    let stage = setup("ES384", &by_issuer(), key)
        .start_before(emulator)
        .await;
    let complaint = partner::complaint(&stage).await;
    assert!(complaint.contains("no token from 127.0.0.1"), "{complaint}");
}

/// The status and body of the token endpoint's reply, and the proxy's error about it. `oauth2.rs`
/// has the cases that all clients share.
const REFUSALS: &[(u16, &str, &str, &str)] = &[
    (
        400,
        r#"{"error":"invalid_request"}"#,
        "(invalid_request)",
        "offers SMART Backend Services",
    ),
    (
        400,
        r#"{"error":"invalid_client","error_description":"Jane Doe"}"#,
        "(invalid_client)",
        "Check `client_id`, `algorithm` and `key_id`, that the public half of `key` is registered",
    ),
    (
        400,
        r#"{"error":"invalid_grant"}"#,
        "(invalid_grant)",
        "this machine's clock",
    ),
    (
        400,
        r#"{"error":"unauthorized_client"}"#,
        "(unauthorized_client)",
        "client_credentials grant",
    ),
    (
        400,
        r#"{"error":"unsupported_grant_type"}"#,
        "(unsupported_grant_type)",
        "Check `token_url`",
    ),
    (
        400,
        r#"{"error":"invalid_scope"}"#,
        "(invalid_scope)",
        "Set `scope`",
    ),
    (
        400,
        r#"{"error":"invalid_target"}"#,
        "(invalid_target)",
        "Ask the server's owner which resource",
    ),
    (404, "", "responded with 404", "Check `token_url`."),
    (500, "", "responded with 500", "Try again in a moment"),
    (
        200,
        r#"{"access_token":"hunter2","token_type":"mac"}"#,
        "is not a bearer token",
        "Bearer",
    ),
];

#[tokio::test]
async fn every_refusal_says_what_happened_and_what_to_do() {
    let key = ec_key();
    for (status, body, message, remedy) in REFUSALS {
        let emulator = partner::emulator().await;
        let faults = emulator.oauth().token_faults();
        faults.always(Fault::respond(*status, *body));
        let stage = setup("ES384", &by_url(), key).start_before(emulator).await;
        let complaint = partner::complaint(&stage).await;
        assert!(complaint.contains(message), "{message} in {complaint}");
        assert!(complaint.contains(remedy), "{remedy} in {complaint}");
    }
}

#[tokio::test]
async fn a_discovered_endpoint_that_refuses_is_told_by_the_issuer() {
    let emulator = partner::emulator().await;
    let refusal = Fault::respond(400, r#"{"error":"unsupported_grant_type"}"#);
    emulator.oauth().token_faults().always(refusal);
    let stage = setup("ES384", &by_issuer(), ec_key())
        .start_before(emulator)
        .await;
    let complaint = partner::complaint(&stage).await;
    assert!(complaint.contains("Check `issuer`; "), "{complaint}");
}

#[tokio::test]
async fn a_key_that_is_not_registered_or_not_for_the_algorithm_is_no_way_in() {
    let stage = start(setup("ES384", &by_url(), ec_key()), rsa_key()).await;
    let complaint = partner::complaint(&stage).await;
    assert!(complaint.contains("(invalid_client)"), "{complaint}");

    let stage = start(setup("ES384", &by_url(), rsa_key()), rsa_key()).await;
    let complaint = partner::complaint(&stage).await;
    let what = "smart.pem is not an elliptic curve key on P-384, which ES384 needs";
    assert!(complaint.contains(what), "{complaint}");
    assert!(complaint.contains("openssl genpkey"), "{complaint}");
    assert!(partner::requests(&stage, "/token").is_empty());
}
