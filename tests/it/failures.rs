//! The responses to callers when the upstream fails, and the proxy's recovery.

use std::net::SocketAddr;

use azure_emulator::{Emulator, FHIR_AUDIENCE, Options};
use tokio::{net::TcpListener, time::timeout};

use crate::support::{
    MISNAMED_HOST, PATIENCE, Setup, Stage,
    client::{self, Answer},
    scripted::{Scripted, route_to},
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const PATH: &str = "/plain/Patient/id-4711?name=Smith";

fn check(answer: &Answer, status: u16, error: &str, code: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.all("proxy-status"),
        [format!("ahds-proxy; error={error}")],
        "{answer:?}"
    );
    assert_eq!(answer.json()["issue"][0]["code"], code);
    for secret in ["4711", "Smith", "Bearer", "eyJ"] {
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
}

/// The failed exchange took nothing along.
async fn still_serves(stage: &Stage) {
    let answer = client::get(stage.address(), "/fhir/Patient").await;
    assert_eq!(answer.status, 200);
}

fn https(authority: &str) -> String {
    format!("upstream = \"https://{authority}\"\nkind = \"fhir\"\naudience = \"{FHIR_AUDIENCE}\"")
}

/// An address on which nobody listens any more.
async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound address")
}

#[tokio::test]
async fn no_connection() {
    let stranger = Emulator::start(Options::default())
        .await
        .expect("it starts");
    let speaks_no_tls = Scripted::start(|_, mut conversation| async move {
        conversation.send(b"220 mail.example ESMTP\r\n").await;
        conversation.request().await;
    })
    .await;
    for (lines, error) in [
        (route_to(closed_port().await), "connection_refused"),
        (https("nothing.invalid"), "dns_error"),
        (
            // An unknown CA.
            https(&format!("localhost:{}", stranger.fhir_address().port())),
            "tls_certificate_error",
        ),
        (https(MISNAMED_HOST), "tls_certificate_error"),
        (
            https(&format!("localhost:{}", speaks_no_tls.address().port())),
            "tls_protocol_error",
        ),
    ] {
        let stage = Setup::new()
            .with("routes.plain", lines)
            .with("security", "trusted_upstreams = [\"nothing.invalid\"]")
            .start()
            .await;
        for method in ["GET", "POST"] {
            let answer = client::request(stage.address(), method, PATH, &[], b"").await;
            check(&answer, 502, error, "transient");
        }
        still_serves(&stage).await;
    }
    assert_eq!(stranger.fhir().traffic().counters().requests, 0);
}

#[tokio::test]
async fn a_handshake_that_never_ends() {
    let silent = Scripted::start(|_, conversation| async move {
        std::future::pending::<()>().await;
        drop(conversation);
    })
    .await;
    let stage = Setup::new()
        .with("network", "connect_timeout = \"300ms\"")
        .with(
            "routes.plain",
            https(&format!("localhost:{}", silent.address().port())),
        )
        .start()
        .await;
    let answer = client::get(stage.address(), PATH).await;
    check(&answer, 504, "connection_timeout", "timeout");
    still_serves(&stage).await;
}

#[tokio::test]
async fn an_answer_that_is_no_http() {
    let upstream = Scripted::answering("SSH-2.0-OpenSSH_9.6 4711 Smith\r\n\r\n").await;
    let stage = upstream.routed().start().await;
    for method in ["GET", "POST"] {
        let before = upstream.heads().len();
        let answer = client::request(stage.address(), method, PATH, &[], b"").await;
        check(&answer, 502, "http_protocol_error", "transient");
        assert_eq!(upstream.heads().len(), before + 1, "{method}");
    }
    still_serves(&stage).await;
}

#[tokio::test]
async fn a_post_whose_connection_closes_is_sent_once() {
    let upstream = Scripted::start(|_, mut conversation| async move {
        conversation.request().await;
    })
    .await;
    let stage = upstream.routed().start().await;
    for (number, (method, body)) in [
        ("POST", &b"{}"[..]),
        ("POST", b""),
        ("PUT", b"{}"),
        ("PATCH", b"{}"),
        ("DELETE", b""),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = client::request(stage.address(), method, PATH, &[], body).await;
        check(&answer, 502, "connection_terminated", "transient");
        assert_eq!(upstream.heads().len(), number + 1, "{method}");
    }
    still_serves(&stage).await;
}

#[tokio::test]
async fn a_kept_connection_that_closes_costs_a_get_nothing_and_a_post_no_second_try() {
    // Each connection serves one request and closes upon the next.
    let upstream = Scripted::start(|_, mut conversation| async move {
        conversation.request().await;
        conversation.send(OK).await;
        conversation.request().await;
    })
    .await;
    let stage = upstream.routed().start().await;
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    assert_eq!(upstream.heads().len(), 3, "the second GET went out twice");
    let answer = client::request(stage.address(), "POST", PATH, &[], b"{}").await;
    check(&answer, 502, "connection_terminated", "transient");
    assert_eq!(upstream.heads().len(), 4, "the POST went out once");
}

#[tokio::test]
async fn a_get_is_repeated_once_at_most() {
    let upstream = Scripted::start(|_, mut conversation| async move {
        conversation.request().await;
    })
    .await;
    let stage = upstream.routed().start().await;
    let answer = client::get(stage.address(), PATH).await;
    check(&answer, 502, "connection_terminated", "transient");
    assert!(upstream.heads().len() <= 2, "{}", upstream.heads().len());
}

#[tokio::test]
async fn the_loopback_azure_sees_a_dropped_post_once() {
    let stage = Stage::start().await;
    let answer = client::request(stage.address(), "POST", "/fhir/emulator/drop", &[], b"{}").await;
    check(&answer, 502, "connection_terminated", "transient");
    assert_eq!(stage.emulator.fhir().traffic().counters().requests, 1);
    still_serves(&stage).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_short_success() {
    let chunked = Scripted::start(|_, mut conversation| async move {
        conversation.request().await;
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        conversation.send(head).await;
    })
    .await;
    let stage = chunked
        .routed()
        .with("network", "idle_timeout = \"300ms\"")
        .start()
        .await;
    for path in [
        "/plain/x",
        "/fhir/emulator/reset?after=10000",
        "/fhir/emulator/stall?after=10000",
        "/dicom/emulator/stall?after=0",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let bytes = client::to_the_end(stage.address(), request.as_bytes()).await;
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"), "{path}");
        assert!(!bytes.ends_with(b"0\r\n\r\n"), "{path} ended as if whole");
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        assert!(
            text.contains("transfer-encoding: chunked") || text.contains("content-length:"),
            "{path}: {text}"
        );
        still_serves(&stage).await;
    }
}

#[tokio::test]
async fn a_service_that_never_answers() {
    let stage = Setup::new()
        .with("network", "response_timeout = \"300ms\"")
        .start()
        .await;
    let answer = client::get(stage.address(), "/fhir/emulator/hang?name=Smith").await;
    check(&answer, 504, "http_response_timeout", "timeout");
    let traffic = stage.emulator.fhir().traffic();
    timeout(PATIENCE, traffic.until(|now| now.running == 0))
        .await
        .expect("the upstream request is given up");
    still_serves(&stage).await;
}

#[tokio::test]
async fn a_service_that_takes_no_more() {
    let upstream = Scripted::start(|_, mut conversation| async move {
        conversation.request().await;
        std::future::pending::<()>().await;
    })
    .await;
    let stage = upstream
        .routed()
        .with("network", "idle_timeout = \"300ms\"")
        .start()
        .await;
    let body = vec![b'x'; 30 << 20];
    let answer = client::request(stage.address(), "POST", PATH, &[], &body).await;
    check(&answer, 504, "connection_read_timeout", "timeout");
    still_serves(&stage).await;
}

#[tokio::test]
async fn a_client_that_sends_no_more() {
    let stage = Setup::new()
        .with("network", "idle_timeout = \"300ms\"")
        .start()
        .await;
    for (framing, part) in [
        ("Content-Length: 100", "4711"),
        ("Transfer-Encoding: chunked", "4\r\n4711\r\n"),
        ("Content-Length: 5", ""),
    ] {
        let request = format!(
            "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{part}"
        );
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        check(&answer, 408, "http_request_error", "timeout");
        still_serves(&stage).await;
    }
}
