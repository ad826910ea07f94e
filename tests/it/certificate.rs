//! An application that signs in with a certificate.

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use azure_emulator::{AUTHORITY, CLIENT_ID, Emulator, Entra, Options, TENANT};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd};
use serde_json::Value;

use crate::support::{
    Setup, client,
    process::Process,
    signing_in::{AUTHORITIES, SigningIn},
};

const KIND: &str = "client-certificate";
/// The lifetime of tokens. An assertion by a clock that is further ahead is not valid yet.
const LIFE: Duration = Duration::from_secs(120);
const FHIR: &str = "/fhir/Patient?_count=1";

/// RSA keys take a second to make.
pub(crate) fn rsa_key(name: &'static str) -> &'static KeyPair {
    static KEYS: OnceLock<HashMap<&str, KeyPair>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let make =
            || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("an RSA key");
        HashMap::from([("first", make()), ("second", make())])
    });
    &keys[name]
}

pub(crate) fn certificate(key: &KeyPair, last_year: i32) -> rcgen::Certificate {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, "app");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    params.self_signed(key).expect("a certificate")
}

/// A loopback Azure that knows one of the keys.
async fn registered(key: &'static str) -> SigningIn {
    let signing_in = SigningIn::new().await;
    let entra = signing_in.emulator.entra();
    entra.set_client_key(CLIENT_ID, rsa_key(key).public_key_raw());
    signing_in
}

fn keys(more: &str) -> String {
    format!("tenant = \"{TENANT}\"\nclient_id = \"{CLIENT_ID}\"\n{more}")
}

/// Header and claims of the assertion that Entra saw last.
pub(crate) fn last_assertion(signing_in: &SigningIn) -> (Value, Value) {
    let requests = signing_in.emulator.entra().recorded();
    let request = requests.last().expect("a token request");
    assert_eq!(request.field("client_secret"), None);
    assert_eq!(
        request.field("client_assertion_type"),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    let assertion = request.field("client_assertion").expect("an assertion");
    let mut parts = assertion.split('.').map(|part| {
        let json = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice(&json).unwrap_or_default()
    });
    let mut part = || parts.next().expect("a part");
    (part(), part())
}

#[tokio::test]
async fn serves_through_the_proxy() {
    let signing_in = registered("first").await;
    let certificate = certificate(rsa_key("first"), 2100);
    let pem = format!("{}{}", rsa_key("first").serialize_pem(), certificate.pem());
    signing_in.write("app.pem", pem);
    let program = signing_in.program(KIND, &keys("certificate = \"app.pem\""), &[]);
    let process = Process::start(program);
    let (address, _) = process.addresses().await;
    let answer = client::get(address, FHIR).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let (header, claims) = last_assertion(&signing_in);
    assert_eq!(header["alg"], "PS256");
    assert_eq!(header["typ"], "JWT");
    let thumbprint = digest(&SHA256, certificate.der());
    assert_eq!(header["x5t#S256"], URL_SAFE_NO_PAD.encode(thumbprint));
    assert_eq!(header.get("x5c"), None);
    assert_eq!(claims["iss"], CLIENT_ID);
    assert_eq!(claims["sub"], CLIENT_ID);
    let url = format!("{AUTHORITY}/{TENANT}/oauth2/v2.0/token");
    assert_eq!(claims["aud"], url);
    let date = |name: &str| claims[name].as_u64().expect("a date");
    assert!(date("exp") <= date("iat") + 600);
    assert_eq!(date("nbf"), date("iat"));
    assert!(claims["jti"].as_str().is_some_and(|id| id.len() >= 16));
}

#[tokio::test]
async fn sends_the_chain_where_it_is_asked_to() {
    let signing_in = registered("first").await;
    let leaf = certificate(rsa_key("first"), 2100);
    let issuer = certificate(rsa_key("second"), 2100);
    // The order in the file does not matter: the key tells which certificate it is.
    signing_in.write("chain.pem", format!("{}{}", issuer.pem(), leaf.pem()));
    signing_in.write("key.pem", rsa_key("first").serialize_pem());
    let both = "certificate = \"chain.pem\"\nkey = \"key.pem\"";
    let always = format!("{both}\nsend_chain = true");
    let never = format!("{both}\nsend_chain = false");
    for (keys_given, variable, is_sent) in [
        (both, "", false),
        (both, "false", false),
        (both, "1", true),
        (both, "True", true),
        (&always, "", true),
        (&never, "1", false),
    ] {
        let variables = [("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", variable)];
        let token = signing_in.token(KIND, &keys(keys_given), &variables).await;
        token.unwrap_or_else(|error| panic!("{keys_given}: {error}"));
        let (header, _) = last_assertion(&signing_in);
        let chain = [leaf.der(), issuer.der()].map(|der| STANDARD.encode(der));
        let expected = is_sent.then(|| Value::from(chain.to_vec()));
        assert_eq!(
            header.get("x5c"),
            expected.as_ref(),
            "{keys_given} {variable}"
        );
    }
}

#[tokio::test]
async fn a_renewed_certificate_serves_without_a_restart() {
    let files = tempfile::tempdir().expect("a folder");
    let path = files.path().join("app.pem");
    let write = |name| {
        let pem = certificate(rsa_key(name), 2100).pem() + &rsa_key(name).serialize_pem();
        std::fs::write(&path, pem).expect("written");
    };
    write("first");
    let emulator = Emulator::start(Options {
        samples: true,
        token_lifetime: LIFE,
        ..Options::default()
    })
    .await
    .expect("the emulator starts");
    let register = |entra: &Entra, name| {
        entra.set_client_key(CLIENT_ID, rsa_key(name).public_key_raw());
    };
    register(emulator.entra(), "first");
    let stage = Setup::new()
        .with("routes.fhir", "credential = \"cert\"")
        .with(
            "credentials.cert.client-certificate",
            keys(&format!("certificate = {path:?}")),
        )
        .start_before(emulator)
        .await;
    stage.ready().await;

    write("second");
    register(stage.emulator.entra(), "second");
    stage.clock.shift(LIFE.as_secs().cast_signed() + 1);
    let answer = client::get(stage.address(), FHIR).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn asks_the_authority_of_its_cloud() {
    let signing_in = registered("first").await;
    let pem = certificate(rsa_key("first"), 2100).pem() + &rsa_key("first").serialize_pem();
    signing_in.write("app.pem", pem);
    for host in AUTHORITIES {
        let key = keys(&format!(
            "certificate = \"app.pem\"\nauthority = \"https://{host}\""
        ));
        let by_key = signing_in.token(KIND, &key, &[]).await;
        by_key.unwrap_or_else(|error| panic!("{host}: {error}"));
        check_authority(&signing_in, host);

        let variable = [("AZURE_AUTHORITY_HOST", host)];
        let plain = keys("certificate = \"app.pem\"");
        let by_variable = signing_in.token(KIND, &plain, &variable).await;
        by_variable.unwrap_or_else(|error| panic!("{host}: {error}"));
        check_authority(&signing_in, host);
    }
}

fn check_authority(signing_in: &SigningIn, host: &str) {
    let url = format!("https://{host}/{TENANT}/oauth2/v2.0/token");
    assert_eq!(last_assertion(signing_in).1["aud"], url);
    let entra = signing_in.emulator.entra();
    assert_eq!(entra.traffic().last().expect("a request").host, host);
}

#[tokio::test]
async fn says_what_is_wrong_and_what_to_do_before_it_asks() {
    let signing_in = registered("first").await;
    let first = rsa_key("first");
    let ec = KeyPair::generate().expect("a key");
    let pem = certificate(first, 2100).pem();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let damaged = pem.replacen('M', "A", 1);
    for (content, key, message, remedy) in [
        (
            pem.clone(),
            None,
            "contains no private key",
            "can also have the private key in another file, `key`",
        ),
        (
            first.serialize_pem(),
            None,
            "contains no certificate",
            "openssl pkcs12",
        ),
        (
            damaged,
            Some(first.serialize_pem()),
            "contains no certificate",
            "openssl x509",
        ),
        (
            pem.clone(),
            Some("hunter2".to_owned()),
            "contains no private key in PEM",
            "openssl pkey -inform DER",
        ),
        (
            pem.clone(),
            Some(encrypted.to_owned()),
            "is encrypted",
            "openssl pkey -in",
        ),
        (
            pem.clone(),
            Some(rsa_key("second").serialize_pem()),
            "does not belong to the certificate",
            "openssl x509 -noout -pubkey",
        ),
        (
            certificate(&ec, 2100).pem(),
            Some(ec.serialize_pem()),
            "is not an RSA key",
            "openssl genpkey",
        ),
        (
            certificate(first, 2021).pem(),
            Some(first.serialize_pem()),
            "expired on 2021-01-01T00:00:00Z",
            "az ad app credential reset --id",
        ),
    ] {
        signing_in.write("app.pem", content);
        let mut more = "certificate = \"app.pem\"".to_owned();
        if let Some(key) = key {
            signing_in.write("key.pem", key);
            more.push_str("\nkey = \"key.pem\"");
        }
        let error = signing_in
            .token(KIND, &keys(&more), &[])
            .await
            .expect_err(message);
        assert!(error.contains(message), "{message}: {error}");
        assert!(error.contains(remedy), "{remedy}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert_eq!(signing_in.emulator.entra().token_requests(), 0);
}

#[tokio::test]
async fn says_what_entra_refuses_and_what_to_do() {
    let signing_in = registered("second").await;
    let pem = certificate(rsa_key("first"), 2100).pem() + &rsa_key("first").serialize_pem();
    signing_in.write("app.pem", pem);
    let error = signing_in
        .token(KIND, &keys("certificate = \"app.pem\""), &[])
        .await
        .expect_err("an unknown key");
    assert!(error.contains("AADSTS700027"), "{error}");
    assert!(error.contains("az ad app credential reset --id"), "{error}");
}
