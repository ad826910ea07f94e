//! Tests the emulator through real sockets, as clients use it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

async fn tls(
    emulator: &Emulator,
    address: SocketAddr,
    host: &'static str,
    alpn: &str,
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).expect("a certificate"))
        .expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await.expect("it listens");
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::try_from(host).expect("a name"), stream)
        .await
        .expect("the CA is trusted and the name fits")
}

/// Sends one request over a connection of its own.
async fn send(
    emulator: &Emulator,
    alpn: &str,
    method: &str,
    url: &str,
    token: Option<&str>,
    body: &str,
) -> Response<Incoming> {
    let uri: http::Uri = url.parse().expect("a URL");
    let (host, address) = match uri.host().expect("a host") {
        FHIR_HOST => (FHIR_HOST, emulator.fhir_address()),
        DICOM_HOST => (DICOM_HOST, emulator.dicom_address()),
        _ => (ENTRA_HOST, emulator.entra_address()),
    };
    let io = TokioIo::new(tls(emulator, address, host, alpn).await);
    let mut request = Request::builder()
        .method(method)
        .header(header::HOST, host)
        .header(header::TE, "trailers");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    if alpn == "h2" {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .expect("HTTP/2");
        tokio::spawn(connection);
        let request = request.uri(uri).body(body).expect("a request");
        sender.send_request(request).await.expect("an answer")
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
            .await
            .expect("HTTP/1.1");
        tokio::spawn(connection);
        let target = uri.path_and_query().expect("a path").as_str();
        let request = request.uri(target).body(body).expect("a request");
        sender.send_request(request).await.expect("an answer")
    }
}

async fn json(response: Response<Incoming>) -> Value {
    let body = response.into_body().collect().await.expect("a body");
    serde_json::from_slice(&body.to_bytes()).expect("JSON")
}

async fn started() -> Emulator {
    Emulator::start(Options {
        samples: true,
        ..Options::default()
    })
    .await
    .expect("loopback ports are free")
}

async fn token(emulator: &Emulator, audience: &str) -> String {
    let url = format!("{AUTHORITY}/{TENANT}/oauth2/v2.0/token");
    let form = format!(
        "grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}\
         &scope={audience}/.default"
    );
    let reply = json(send(emulator, "http/1.1", "POST", &url, None, &form).await).await;
    reply["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn a_token_for_one_service_is_none_for_the_other() {
    let emulator = started().await;
    let for_fhir = token(&emulator, FHIR_AUDIENCE).await;
    let for_dicom = token(&emulator, DICOM_AUDIENCE).await;
    let patients = format!("{FHIR_AUDIENCE}/Patient?_count=3");
    let studies = format!("{DICOM_ORIGIN}/v2/studies");

    for alpn in ["h2", "http/1.1"] {
        let page = send(&emulator, alpn, "GET", &patients, Some(&for_fhir), "").await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(json(page).await["entry"].as_array().map(Vec::len), Some(3));
        let found = send(&emulator, alpn, "GET", &studies, Some(&for_dicom), "").await;
        assert_eq!(found.status(), StatusCode::OK);

        let refused = send(&emulator, alpn, "GET", &patients, Some(&for_dicom), "").await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        let challenge = refused.headers()[header::WWW_AUTHENTICATE]
            .to_str()
            .expect("text");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert_eq!(json(refused).await["issue"][0]["code"], "login");
    }
    assert_eq!(emulator.entra().token_requests_for(FHIR_AUDIENCE), 1);
    assert_eq!(emulator.fhir().traffic().counters().invalid_tokens, 2);
    assert_eq!(emulator.dicom().traffic().counters().invalid_tokens, 0);
}

#[tokio::test]
async fn faults_reach_the_client_and_pass() {
    let emulator = started().await;
    let token = emulator.entra().issue(FHIR_AUDIENCE, 600);
    let url = format!("{FHIR_AUDIENCE}/Patient/sample-1");
    let faults = emulator.fhir().faults();
    faults.next(1, Fault::Unauthorized);
    faults.next(1, Fault::Throttle(Duration::from_millis(1500)));

    let get = || send(&emulator, "h2", "GET", &url, Some(&token), "");
    assert_eq!(get().await.status(), StatusCode::UNAUTHORIZED);
    let throttled = get().await;
    assert_eq!(throttled.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(throttled.headers()[header::RETRY_AFTER], "2");
    assert_eq!(throttled.headers()["x-ms-retry-after-ms"], "1500");
    assert_eq!(get().await.status(), StatusCode::OK);

    let expired = emulator.entra().issue(FHIR_AUDIENCE, 0);
    let refused = send(&emulator, "h2", "GET", &url, Some(&expired), "").await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_and_never_overfed() {
    let emulator = started().await;
    let token = emulator.entra().issue(FHIR_AUDIENCE, 600);
    let traffic = emulator.fhir().traffic();
    for (leavers, alpn) in (1..).zip(["h2", "http/1.1"]) {
        let url = format!("{FHIR_AUDIENCE}/emulator/bytes?size=4294967296");
        let before = traffic.bytes_sent();
        let mut response = send(&emulator, alpn, "GET", &url, Some(&token), "").await;
        let first = response.body_mut().frame().await.expect("a frame");
        let first = first.expect("no error").into_data().expect("data");
        assert_eq!(first[300], pattern_byte(300));
        assert_eq!(traffic.counters().running, 1);
        drop(response);
        let cancelled = traffic.until(|now| now.cancelled == leavers && now.running == 0);
        timeout(PATIENCE, cancelled).await.expect("it is noticed");
        assert!(traffic.bytes_sent() - before < 64 * 1024 * 1024);
    }

    let url = format!("{FHIR_AUDIENCE}/emulator/hang");
    let hanging = send(&emulator, "http/1.1", "GET", &url, Some(&token), "");
    assert!(timeout(Duration::from_millis(100), hanging).await.is_err());
    let cancelled = traffic.until(|now| now.cancelled == 3 && now.running == 0);
    timeout(PATIENCE, cancelled).await.expect("it is noticed");
}

#[tokio::test]
async fn a_finished_answer_is_not_a_cancelled_one() {
    let emulator = started().await;
    let token = emulator.entra().issue(DICOM_AUDIENCE, 600);
    let base = format!("{DICOM_ORIGIN}/emulator");
    for alpn in ["h2", "http/1.1"] {
        for (method, path) in [
            ("GET", "/bytes?size=100000"),
            ("GET", "/bytes?size=100000&chunked=1"),
            ("HEAD", "/bytes?size=100000"),
            ("GET", "/trailers"),
            ("GET", "/status/204"),
            ("GET", "/status/304"),
            ("POST", "/echo"),
        ] {
            let url = format!("{base}{path}");
            let response = send(&emulator, alpn, method, &url, Some(&token), "").await;
            if method == "HEAD" {
                assert_eq!(response.headers()[header::CONTENT_LENGTH], "100000");
            }
            let body = response.into_body().collect().await.expect("a whole body");
            if path == "/trailers" {
                assert!(body.trailers().is_some_and(|trailers| trailers.len() == 2));
            } else if method == "GET" && path.starts_with("/bytes") {
                assert_eq!(body.to_bytes().len(), 100_000);
            }
        }
    }
    let traffic = emulator.dicom().traffic();
    let idle = timeout(PATIENCE, traffic.until(|now| now.running == 0)).await;
    assert_eq!(idle.expect("all are done").cancelled, 0);
    assert_eq!(traffic.recorded().len(), 14);
}

#[tokio::test]
async fn echo_tells_the_request_to_the_byte() {
    let emulator = started().await;
    let token = emulator.entra().issue(FHIR_AUDIENCE, 600);
    let target = "/emulator/echo?a=%7c|$&b=..%2F";
    let url = format!("{FHIR_AUDIENCE}{target}");
    let echo = json(send(&emulator, "h2", "POST", &url, Some(&token), "abc").await).await;
    assert_eq!(echo["target"], target);
    assert_eq!(echo["version"], "HTTP/2.0");
    assert_eq!(echo["body_length"], 3);
    assert!(!echo.to_string().contains(&token));

    let recorded = emulator.fhir().traffic().last().expect("a record");
    assert_eq!(recorded.target, target);
    assert_eq!(recorded.body, "abc");
    assert_eq!(recorded.host, FHIR_HOST);
}

#[tokio::test]
async fn entra_says_what_is_wrong() {
    let emulator = started().await;
    let ask = async |tenant: &str, form: String| {
        let url = format!("{AUTHORITY}/{tenant}/oauth2/v2.0/token");
        let response = send(&emulator, "http/1.1", "POST", &url, None, &form).await;
        let status = response.status().as_u16();
        let error = json(response).await;
        let code = error["error_codes"][0].as_u64().expect("a code");
        let description = error["error_description"].as_str().expect("a text");
        assert!(description.starts_with(&format!("AADSTS{code}: ")));
        (status, code)
    };
    let form = |client: &str, secret: &str, scope: &str| {
        format!(
            "grant_type=client_credentials&client_id={client}&client_secret={secret}&scope={scope}"
        )
    };
    let scope = format!("{FHIR_AUDIENCE}/.default");
    let good = form(CLIENT_ID, CLIENT_SECRET, &scope);
    let unknown_audience = form(CLIENT_ID, CLIENT_SECRET, "https://other/.default");
    let bare_scope = form(CLIENT_ID, CLIENT_SECRET, FHIR_AUDIENCE);
    assert_eq!(ask("elsewhere", good).await, (400, 90_002));
    assert_eq!(
        ask(TENANT, form("nobody", "x", &scope)).await,
        (400, 700_016)
    );
    assert_eq!(
        ask(TENANT, form(CLIENT_ID, "x", &scope)).await,
        (401, 7_000_215)
    );
    assert_eq!(ask(TENANT, unknown_audience).await, (400, 500_011));
    assert_eq!(ask(TENANT, bare_scope).await, (400, 1_002_012));
    assert_eq!(
        ask(TENANT, "grant_type=password".to_owned()).await,
        (400, 70_003)
    );
    assert_eq!(emulator.entra().token_requests(), 6);
}

#[tokio::test]
async fn device_codes_and_refresh_tokens_can_be_steered() {
    let emulator = started().await;
    let post = async |path: &str, form: String| {
        let url = format!("{AUTHORITY}/organizations/oauth2/v2.0/{path}");
        json(send(&emulator, "http/1.1", "POST", &url, None, &form).await).await
    };
    let scope = format!("{DICOM_AUDIENCE}/.default+offline_access");
    let started = post("devicecode", format!("client_id={CLIENT_ID}&scope={scope}")).await;
    let code = started["device_code"].as_str().expect("a code");
    let redeem = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id={CLIENT_ID}\
         &device_code={code}&client_info=1"
    );
    assert_eq!(
        post("token", redeem.clone()).await["error"],
        "authorization_pending"
    );
    emulator.entra().approve_device_codes();
    let reply = post("token", redeem).await;
    assert!(reply["client_info"].is_string());
    assert_eq!(emulator.entra().token_requests_for(DICOM_AUDIENCE), 2);

    let token = reply["refresh_token"].as_str().expect("a token");
    let refresh = format!(
        "grant_type=refresh_token&client_id={CLIENT_ID}&refresh_token={token}\
         &scope={FHIR_AUDIENCE}/.default"
    );
    let renewed = post("token", refresh.clone()).await;
    assert!(renewed["access_token"].is_string());
    emulator.entra().revoke_refresh_tokens();
    assert_eq!(post("token", refresh).await["error_codes"][0], 700_082);
}

#[tokio::test]
async fn dropping_the_emulator_closes_its_connections() {
    let emulator = started().await;
    let token = emulator.entra().issue(FHIR_AUDIENCE, 600);
    let url = format!("{FHIR_AUDIENCE}/emulator/stall?after=10");
    let mut responses = Vec::new();
    for alpn in ["h2", "http/1.1"] {
        responses.push(send(&emulator, alpn, "GET", &url, Some(&token), "").await);
    }
    let address = emulator.fhir_address();
    drop(emulator);
    for response in responses {
        let end = timeout(PATIENCE, response.into_body().collect()).await;
        assert!(end.expect("no hanging").is_err());
    }
    assert!(TcpStream::connect(address).await.is_err());
}
