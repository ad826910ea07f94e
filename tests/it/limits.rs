//! The limits on requests, and on concurrent requests.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{PATIENCE, Setup, Stage, client, scripted::Scripted};

/// A GET with so many headers of so many bytes each.
fn with_headers(path: &str, count: usize, size: usize) -> Vec<u8> {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for number in 0..count {
        let _ = write!(request, "x-{number}: {}\r\n", "v".repeat(size));
    }
    request.push_str("\r\n");
    request.into_bytes()
}

#[tokio::test]
async fn a_head_past_the_limit_is_refused_and_not_reset() {
    let stage = Setup::new()
        .with("limits", "request_head = \"16KiB\"")
        .start()
        .await;
    for (what, request, status, knows_route) in [
        ("below", with_headers("/fhir/Patient", 15, 1000), 200, false),
        ("above", with_headers("/fhir/Patient", 17, 1000), 431, true),
        (
            "far above",
            with_headers("/fhir/Patient", 31, 1000),
            431,
            true,
        ),
        (
            "one large field",
            with_headers("/fhir/Patient", 1, 20_000),
            431,
            true,
        ),
        (
            "a long target",
            with_headers(&format!("/fhir/x?{}", "q".repeat(20_000)), 0, 0),
            431,
            true,
        ),
        // Not read to the end, so the route is not known.
        (
            "past twice the limit",
            with_headers("/fhir/Patient", 40, 1000),
            431,
            false,
        ),
        (
            "past ten times",
            with_headers("/fhir/Patient", 20, 10_000),
            431,
            false,
        ),
    ] {
        let before = stage.upstream_hits();
        let answer = client::raw(stage.address(), &request).await;
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(
            stage.upstream_hits(),
            before + u64::from(status == 200),
            "{what}"
        );
        if knows_route {
            assert_eq!(answer.json()["issue"][0]["code"], "too-long", "{what}");
        }
        let own = answer.header("proxy-status");
        assert_eq!(own.is_some(), status != 200, "{what}");
    }
}

/// Sends bytes like `raw`, on a connection that has had a response.
async fn second(stage: &Stage, request: &[u8]) -> client::Answer {
    let mut stream = TcpStream::connect(stage.address()).await.expect("accepted");
    let first = b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(first).await.expect("sent");
    assert_eq!(client::read_response(&mut stream, false).await.status, 200);
    let _ = stream.write_all(request).await;
    timeout(PATIENCE, client::read_response(&mut stream, false))
        .await
        .expect("an answer in time")
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_refused_with_a_text() {
    let stage = Stage::start().await;
    let long = format!(
        "GET /fhir/x?{} HTTP/1.1\r\nHost: h\r\n\r\n",
        "q".repeat(70_000)
    );
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    for (what, request, status) in [
        ("a long target", long.into_bytes(), 414),
        ("many headers", with_headers("/fhir/Patient", 300, 3), 431),
        ("TLS", hello, 400),
        (
            "a bad header",
            b"GET /fhir/x HTTP/1.1\r\nHo st: h\r\n\r\n".to_vec(),
            400,
        ),
        (
            "two lengths",
            b"POST /fhir/x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_vec(),
            400,
        ),
    ] {
        for answer in [
            client::raw(stage.address(), &request).await,
            second(&stage, &request).await,
        ] {
            assert_eq!(answer.status, status, "{what}");
            let content_type = answer.header("content-type");
            assert_eq!(content_type, Some("application/problem+json"), "{what}");
            let proxy_status = "ahds-proxy; error=http_request_error";
            assert_eq!(answer.header("proxy-status"), Some(proxy_status), "{what}");
            let problem = answer.json();
            assert_eq!(problem["status"], status, "{what}");
            assert!(problem["detail"].is_string(), "{what}");
        }
    }
}

/// hyper's status line is part of a response here, not a refusal of its own.
#[tokio::test]
async fn an_answer_that_looks_like_a_refusal_passes() {
    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let upstream = Scripted::start(|_, mut conversation| async move {
        while conversation.request().await.is_some() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BARE.len());
            conversation.send(head.as_bytes()).await;
            tokio::task::yield_now().await;
            conversation.send(BARE.as_bytes()).await;
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    let answer = client::get(stage.address(), "/plain/bare").await;
    assert_eq!((answer.status, answer.text()), (200, BARE));
}

#[tokio::test]
async fn heads_over_http2_have_the_same_limit() {
    let stage = Setup::new()
        .with("limits", "request_head = \"16KiB\"")
        .start()
        .await;
    for (size, status) in [(10_000, 200), (20_000, 431), (40_000, 431)] {
        let request = http::Request::get("http://localhost/fhir/Patient")
            .header("x-large", "v".repeat(size))
            .body(Full::<Bytes>::default())
            .expect("a valid request");
        let answer = client::http2(stage.address(), request).await;
        assert_eq!(answer.status(), status, "{size}");
    }
    assert_eq!(stage.upstream_hits(), 1);
}

#[tokio::test]
async fn many_small_headers_are_no_reason_to_refuse() {
    let stage = Stage::start().await;
    let request = with_headers("/fhir/Patient", 200, 3);
    let answer = client::raw(stage.address(), &request).await;
    assert_eq!(answer.status, 200);
    let request = stage.forwarded();
    assert_eq!(request.headers["x-199"], "vvv");
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused() {
    let stage = Setup::new()
        .with("limits", "request_body = \"1000B\"")
        .start()
        .await;
    let path = "/fhir/emulator/count";
    for (size, status, sent) in [
        (999, 200, 1),
        (1000, 200, 1),
        (1001, 413, 0),
        (9_000_000, 413, 0),
    ] {
        let before = stage.upstream_hits();
        let body = vec![b'x'; size];
        let answer = client::request(stage.address(), "POST", path, &[], &body).await;
        assert_eq!(answer.status, status, "{size}");
        assert_eq!(stage.upstream_hits(), before + sent, "{size}");
        if status == 413 {
            assert_eq!(answer.json()["issue"][0]["code"], "too-long");
        }
    }
    for (chunks, status) in [(10, 200), (11, 413), (100_000, 413)] {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
        for _ in 0..chunks {
            let _ = write!(request, "64\r\n{}\r\n", "x".repeat(100));
        }
        request.push_str("0\r\n\r\n");
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        assert_eq!(answer.status, status, "{chunks} chunks");
        assert_eq!(answer.header("proxy-status").is_some(), status == 413);
    }
}

#[tokio::test]
async fn an_upload_that_nobody_wants_gets_its_answer() {
    let stage = Setup::new()
        .with("limits", "request_body = \"1MiB\"")
        .start()
        .await;
    let body = vec![b'x'; 10 << 20];
    for (path, status) in [("/nowhere", 404), ("/fhir/..", 400), ("/fhir/Patient", 413)] {
        let answer = client::request(stage.address(), "POST", path, &[], &body).await;
        assert_eq!(answer.status, status, "{path}");
    }
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn an_early_answer_of_the_service_arrives() {
    let stage = Stage::start().await;
    let body = vec![b'x'; 10 << 20];
    let path = "/fhir/emulator/early?status=413";
    let answer = client::request(stage.address(), "POST", path, &[], &body).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("proxy-status"), None, "it is the service's");
}

#[tokio::test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "only Linux tells a client that has left from one that waits"
)]
async fn requests_past_the_limit_are_told_to_come_again() {
    let stage = Setup::new().with("limits", "requests = 1").start().await;
    let mut first = TcpStream::connect(stage.address())
        .await
        .expect("it accepts");
    let request = b"GET /fhir/emulator/hang HTTP/1.1\r\nHost: localhost\r\n\r\n";
    first.write_all(request).await.expect("the proxy reads");
    let traffic = stage.emulator.fhir().traffic();
    let running = traffic.until(|now| now.running == 1);
    timeout(PATIENCE, running).await.expect("it arrives");

    let answer = client::get(stage.address(), "/fhir/Patient").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["issue"][0]["code"], "throttled");
    assert_eq!(traffic.counters().requests, 1);
    assert_eq!(client::get(stage.admin(), "/livez").await.status, 200);

    drop(first);
    client::until(stage.address(), "/fhir/Patient", |answer| {
        answer.status == 200
    })
    .await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let stage = Stage::start().await;
    for (request, status) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400),
        ("hello\r\n\r\n", 400),
        ("GET /fhir/Patient\r\n\r\n", 400),
        ("GET /fhir/Patient HTTP/3.0\r\nHost: localhost\r\n\r\n", 400),
        ("GET /fhir/ä ö HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (
            "GET /fhir/Patient HTTP/1.1\r\nHost : localhost\r\n\r\n",
            400,
        ),
        (
            "GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
            400,
        ),
        (
            "GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
            400,
        ),
        ("GET /fhir/Patient HTTP/1.1\r\n\r\n", 400),
        ("GET /fhir/Patient HTTP/1.0\r\n\r\n", 400),
        (
            "POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
            400,
        ),
        (
            "POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
            400,
        ),
        (
            "POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\n1",
            400,
        ),
        (
            "POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
            400,
        ),
        (
            "POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST /fhir/Patient HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
    ] {
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(stage.upstream_hits(), 0, "{request:?}");
    }
}

/// hyper goes by the chunks and drops the length, as RFC 9112 (section 6.3) allows; what must not be
/// is that the service hears of both.
#[tokio::test]
async fn a_length_beside_chunks_smuggles_nothing() {
    let upstream = Scripted::start(|_, mut conversation| async move {
        // The bytes behind the head are its body. A second request would come on a second
        // connection.
        conversation.request().await;
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        conversation.send(ok).await;
    })
    .await;
    let stage = upstream.routed().start().await;
    for (number, framing) in [
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
    ]
    .into_iter()
    .enumerate()
    {
        let request = format!(
            "POST /plain HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        client::raw(stage.address(), request.as_bytes()).await;
        let heads = upstream.heads();
        assert_eq!(heads.len(), number + 1, "{framing:?}");
        let head = heads[number].to_ascii_lowercase();
        assert!(!head.contains("content-length: 3"), "{framing:?}: {head}");
        let both = head.contains("content-length") && head.contains("transfer-encoding");
        assert!(!both, "{framing:?}: {head}");
    }
}

#[tokio::test]
async fn http_1_0_is_served_and_closed() {
    let stage = Stage::start().await;
    let request =
        b"GET /fhir/emulator/bytes?size=100000&chunked=1 HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let bytes = client::to_the_end(stage.address(), request).await;
    let head = bytes
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head");
    assert_eq!(bytes.len() - head - 4, 100_000);
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let stage = Stage::start().await;
    let mut stream = TcpStream::connect(stage.address())
        .await
        .expect("it accepts");
    let mut requests = String::new();
    for number in 0..5 {
        let _ = write!(
            requests,
            "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: {number}\r\n\r\n{}",
            "x".repeat(number)
        );
    }
    requests.push_str("GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream
        .write_all(requests.as_bytes())
        .await
        .expect("the proxy reads");
    let mut received = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut received))
        .await
        .expect("the last answer ends it")
        .expect("without a reset");
    let mut rest = received.as_str();
    for number in 0..5 {
        let marker = format!("\"bytes\":{number}");
        let at = rest
            .find(&marker)
            .unwrap_or_else(|| panic!("{marker} in {received}"));
        rest = &rest[at..];
    }
    assert!(rest.contains("HTTP/1.1 404 "), "{received}");
}
