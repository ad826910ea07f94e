//! The admin address.

use std::time::Duration;

use azure_emulator::{DICOM_AUDIENCE, Emulator, FHIR_AUDIENCE, FHIR_HOST, Fault, Options, TENANT};
use bytes::Bytes;
use http_body_util::Full;
use tokio::{net::TcpStream, time::timeout};

use crate::support::{PATIENCE, Setup, Stage, client};

#[tokio::test]
async fn readiness_follows_the_tokens() {
    let emulator = Emulator::start(Options::default())
        .await
        .expect("it starts");
    emulator.entra().faults().always(Fault::Hang);
    let stage = Setup::new().start_before(emulator).await;
    let answer = client::get(stage.admin(), "/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("default"), "{}", answer.text());
    assert_eq!(client::get(stage.admin(), "/livez").await.status, 200);
}

#[tokio::test]
async fn an_expiry_that_nobody_stated_is_not_shown() {
    let setup = Setup::new()
        .with("routes.fhir", "credential = \"quick\"")
        .with("credentials.quick.static", "token = { file = \"token\" }")
        .file("token", "opaque");
    let stage = setup.start().await;
    let status = client::get(stage.admin(), "/status").await.json();
    let tokens = status["tokens"].as_array().expect("a list");
    let quick = tokens.iter().find(|token| token["credential"] == "quick");
    let quick = quick.expect("its token");
    assert_eq!(quick["valid"], true);
    assert!(quick["expires_on"].is_null(), "{quick}");
}

#[tokio::test]
async fn readiness_says_why_not() {
    let emulator = Emulator::start(Options::default())
        .await
        .expect("it starts");
    emulator.entra().faults().always(Fault::Unauthorized);
    let stage = Setup::new().without_waiting().start_before(emulator).await;
    let answer = client::until(stage.admin(), "/readyz", |answer| {
        answer.text().contains("AADSTS")
    })
    .await;
    assert_eq!(answer.status, 503);
    assert_eq!(client::get(stage.admin(), "/livez").await.status, 200);
    let status = client::get(stage.admin(), "/status").await.json();
    assert_eq!(status["tokens"][0]["valid"], false);
    let error = status["tokens"][0]["last_error"]
        .as_str()
        .expect("a reason");
    assert!(error.contains("AADSTS"), "{error}");
}

/// The wall clock jumps ahead, as after a laptop's sleep.
#[tokio::test]
async fn an_expired_token_is_no_token() {
    let stage = Stage::start().await;
    stage.emulator.entra().faults().always(Fault::Unauthorized);
    stage.clock.shift(7200);
    assert_eq!(client::get(stage.admin(), "/readyz").await.status, 503);
    let status = client::get(stage.admin(), "/status").await.json();
    assert_eq!(status["tokens"][0]["valid"], false);
    let answer = client::get(stage.address(), "/fhir/Patient").await;
    assert_eq!(answer.status, 503);
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn status_tells_all_but_the_tokens() {
    let stage = Stage::start().await;
    let answer = client::get(stage.admin(), "/status").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let status = answer.json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["uptime_seconds"].is_u64());
    assert_eq!(status["draining"], false);
    let names: Vec<_> = status["routes"]
        .as_array()
        .expect("routes")
        .iter()
        .collect();
    assert_eq!(names.len(), 2);
    assert_eq!(status["routes"][1]["name"], "fhir");
    assert_eq!(status["routes"][1]["prefix"], "/fhir");
    assert_eq!(
        status["routes"][1]["upstream"],
        format!("https://{FHIR_HOST}")
    );
    assert_eq!(status["routes"][1]["audience"], FHIR_AUDIENCE);
    assert_eq!(status["routes"][0]["audience"], DICOM_AUDIENCE);
    let tokens = status["tokens"].as_array().expect("tokens");
    assert_eq!(tokens.len(), 2);
    for token in tokens {
        assert_eq!(token["credential"], "default");
        assert_eq!(token["kind"], "client-secret");
        assert_eq!(token["valid"], true);
        assert_eq!(token["tenant"], TENANT);
        assert!(token["identity"].is_string(), "{token}");
        assert!(token["last_error"].is_null(), "{token}");
        let expiry = token["expires_on"].as_str().expect("an expiry");
        assert!(expiry.contains('T') && expiry.ends_with('Z'), "{expiry}");
    }
    client::get(stage.address(), "/fhir/Patient").await;
    let request = stage.forwarded();
    let token = request.headers["authorization"].to_str().expect("a token");
    let token = token.strip_prefix("Bearer ").expect("a bearer token");
    for path in ["/status", "/readyz", "/livez", "/", "/nothing"] {
        let body = client::get(stage.admin(), path).await.body;
        let text = String::from_utf8_lossy(&body);
        for part in token.split('.') {
            assert!(!text.contains(part), "{path} holds a part of a token");
        }
        assert!(!text.contains("demo-secret"), "{path} holds the secret");
    }
}

#[tokio::test]
async fn probes_may_use_any_name_and_others_may_not() {
    let stage = Stage::start().await;
    for (path, host, headers, status) in [
        ("/livez", "10.0.0.7:8081", "", 200),
        ("/readyz", "pod.cluster.local", "", 200),
        ("/status", "localhost", "", 200),
        ("/status", "[::1]:8081", "", 200),
        ("/status", "evil.example", "", 421),
        ("/status", "localhost.", "", 421),
        (
            "/status",
            "localhost",
            "Origin: https://evil.example\r\n",
            403,
        ),
        (
            "/status",
            "localhost",
            "Sec-Fetch-Site: cross-site\r\n",
            403,
        ),
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n");
        let answer = client::raw(stage.admin(), request.as_bytes()).await;
        assert_eq!(answer.status, status, "{path} {host} {headers}");
    }
}

#[tokio::test]
async fn reads_only() {
    let stage = Stage::start().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        for path in ["/livez", "/status"] {
            let answer = client::request(stage.admin(), method, path, &[], b"").await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method} {path}");
        }
    }
    for path in ["/nothing", "/livez/", "/fhir/Patient", "//status"] {
        assert_eq!(client::get(stage.admin(), path).await.status, 404, "{path}");
    }
    assert_eq!(stage.upstream_hits(), 0);
    for path in ["/livez", "/readyz", "/status", "/nothing"] {
        let get = client::get(stage.admin(), path).await;
        let head = client::request(stage.admin(), "HEAD", path, &[], b"").await;
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty());
        let request = http::Request::head(format!("http://localhost{path}"))
            .body(Full::<Bytes>::default())
            .expect("a valid request");
        let head = client::http2(stage.admin(), request).await;
        assert_eq!(head.status(), get.status, "{path}");
        assert!(
            head.body().is_empty(),
            "{path} over HTTP/2: {:?}",
            head.body()
        );
    }
}

#[tokio::test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "only Linux tells a client that has left from one that waits"
)]
async fn not_ready_while_draining_but_alive() {
    use tokio::io::AsyncWriteExt as _;

    let stage = Setup::new()
        .with("shutdown", "drain = \"60s\"")
        .start()
        .await;
    let (address, admin) = (stage.address(), stage.admin());
    let Stage {
        emulator,
        proxy,
        files: _files,
        ..
    } = stage;
    let mut running = TcpStream::connect(address)
        .await
        .expect("the proxy accepts");
    let request = b"GET /fhir/emulator/hang HTTP/1.1\r\nHost: localhost\r\n\r\n";
    running.write_all(request).await.expect("the proxy reads");
    let traffic = emulator.fhir().traffic();
    let arrived = traffic.until(|now| now.running == 1);
    timeout(PATIENCE, arrived).await.expect("it arrives");

    let stopping = tokio::spawn(proxy.stop());
    let answer = client::until(admin, "/readyz", |answer| answer.status == 503).await;
    assert_eq!(answer.text(), "draining\n");
    assert_eq!(client::get(admin, "/livez").await.status, 200);
    assert_eq!(client::get(admin, "/status").await.json()["draining"], true);
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, refused)
        .await
        .expect("no new connections");
    drop(running);
    timeout(Duration::from_secs(10), stopping)
        .await
        .expect("it ends with its last request")
        .expect("it does not panic");
}

#[tokio::test]
async fn reasons_are_for_callers_that_the_proxy_accepts() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    emulator.entra().faults().always(Fault::Unauthorized);
    let stage = Setup::new().start_before(emulator).await;
    let reasons = client::until(stage.admin(), "/readyz", |answer| {
        answer.text().contains("AADSTS")
    });
    assert_eq!(reasons.await.status, 503);
    for headers in [
        "Host: 10.0.0.7:8081",
        "Host: evil.example",
        "Host: localhost\r\nOrigin: https://evil.example",
        "Host: localhost\r\nSec-Fetch-Site: cross-site",
    ] {
        let request = format!("GET /readyz HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
        let answer = client::raw(stage.admin(), request.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.text()),
            (503, "not ready\n"),
            "{headers}"
        );
    }
}
