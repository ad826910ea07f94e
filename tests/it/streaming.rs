//! Bodies: streamed both ways as they come, stopped when a reader stops, and given up when a peer
//! leaves.

use std::time::Duration;

use azure_emulator::{FHIR_HOST, Http, pattern_byte};
use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{interval, timeout},
};

use crate::support::{
    PATIENCE, Setup, Stage,
    client::{self, read_response},
};

/// The most that the kernel's socket buffers and the windows of HTTP/2 may hold on one path: far
/// less than the body that waits behind them.
const BUFFERED: u64 = 48 << 20;
const HUGE: u64 = 1 << 40;

async fn connect(stage: &Stage, head: &str) -> TcpStream {
    let mut stream = TcpStream::connect(stage.address())
        .await
        .expect("the proxy accepts");
    stream
        .write_all(head.as_bytes())
        .await
        .expect("a head is sent");
    stream
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("in time: {what}"))
}

/// Reads until `needle` has come, and returns all that was read.
async fn read_until(stream: &mut TcpStream, needle: &[u8]) -> BytesMut {
    let mut read = BytesMut::new();
    in_time("an expected piece of an answer", async {
        while !read.windows(needle.len()).any(|window| window == needle) {
            let length = stream.read_buf(&mut read).await.expect("a readable answer");
            assert!(length > 0, "the connection ended after {read:?}");
        }
    })
    .await;
    read
}

#[tokio::test]
async fn a_download_arrives_byte_for_byte_over_every_protocol() {
    const SIZE: usize = 20_000_003;
    for http in [Http::Http1, Http::Http2] {
        let stage = Setup::new()
            .emulator(|options| options.http = http)
            .start()
            .await;
        for chunked in ["", "&chunked=1"] {
            let path = format!("/fhir/emulator/bytes?size={SIZE}{chunked}");
            let answer = client::get(stage.address(), &path).await;
            assert_eq!(answer.status, 200, "{http:?}{chunked}");
            let length = answer.header("content-length").map(str::to_owned);
            assert_eq!(length.is_some(), chunked.is_empty(), "{http:?}{chunked}");
            let expected: Vec<u8> = (0..SIZE as u64).map(pattern_byte).collect();
            assert!(answer.body == expected, "{http:?}{chunked}");

            let request = http::Request::get(format!("http://{}{path}", stage.address()))
                .body(Full::<Bytes>::default())
                .expect("a request");
            let answer = client::http2(stage.address(), request).await;
            assert!(*answer.body() == expected, "over HTTP/2: {http:?}{chunked}");
        }
    }
}

#[tokio::test]
async fn an_upload_arrives_byte_for_byte_over_every_protocol() {
    let body: Vec<u8> = (0..5_000_011_u64).map(pattern_byte).collect();
    let mut digests = Vec::new();
    for http in [Http::Http1, Http::Http2] {
        let stage = Setup::new()
            .emulator(|options| options.http = http)
            .start()
            .await;
        let path = "/fhir/emulator/count";
        let answer = client::request(stage.address(), "POST", path, &[], &body)
            .await
            .json();
        assert_eq!(answer["bytes"], body.len(), "{http:?}");
        digests.push(answer["sha256"].clone());

        let request = http::Request::post(format!("http://{}{path}", stage.address()))
            .body(Full::new(Bytes::from(body.clone())))
            .expect("a request");
        let answer = client::http2(stage.address(), request).await;
        let answer: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
        digests.push(answer["sha256"].clone());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "one content, one digest: {digests:?}");
}

#[tokio::test]
async fn the_first_bytes_of_an_upload_reach_the_upstream_before_the_last_are_sent() {
    let stage = Stage::start().await;
    let head = "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = connect(&stage, head).await;
    stream.write_all(b"5\r\nfirst\r\n").await.expect("sent");
    let traffic = stage.emulator.fhir().traffic();
    in_time("the first chunk at the upstream", async {
        while traffic.last().is_none_or(|request| request.body != "first") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stream
        .write_all(b"4\r\nlast\r\n0\r\n\r\n")
        .await
        .expect("sent");
    assert_eq!(read_response(&mut stream, false).await.json()["bytes"], 9);
}

#[tokio::test]
async fn a_reader_that_stops_makes_the_upstream_stop() {
    for http in [Http::Http1, Http::Http2] {
        let stage = Setup::new()
            .emulator(|options| options.http = http)
            .start()
            .await;
        let head =
            format!("GET /fhir/emulator/bytes?size={HUGE} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut stalled = connect(&stage, &head).await;
        read_until(&mut stalled, b"200 OK").await;
        // Without back-pressure, this much work for others would move gigabytes to the stalled one.
        for _ in 0..200 {
            let answer = client::get(stage.address(), "/fhir/emulator/bytes?size=100000").await;
            assert_eq!(answer.body.len(), 100_000);
        }
        let sent = stage.emulator.fhir().traffic().bytes_sent() - 200 * 100_000;
        assert!(
            sent < BUFFERED,
            "{http:?}: {sent} bytes were sent to a reader that stopped"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_stops_reading_makes_the_client_stop() {
    let stage = Stage::start().await;
    let head = "POST /fhir/emulator/hang HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = connect(&stage, head).await;
    let block = [&b"10000\r\n"[..], &vec![b'x'; 0x10000], b"\r\n"].concat();
    let mut sent = 0_u64;
    // A write that has to wait for as long as other requests take has met a full pipe.
    loop {
        let others = async {
            for _ in 0..20 {
                client::get(stage.address(), "/fhir/emulator/bytes?size=100000").await;
            }
        };
        tokio::select! {
            written = stream.write_all(&block) => written.expect("the connection stays open"),
            () = others => break,
        }
        sent += block.len() as u64;
        assert!(
            sent < BUFFERED,
            "{sent} bytes were taken for an upstream that reads nothing"
        );
    }
}

#[tokio::test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "only Linux tells a client that has left from one that waits"
)]
async fn a_client_that_leaves_cancels_the_request_at_the_upstream() {
    for http in [Http::Http1, Http::Http2] {
        let stage = Setup::new()
            .emulator(|options| options.http = http)
            .start()
            .await;
        let traffic = stage.emulator.fhir().traffic();
        for (number, target) in ["hang", "stall?after=10", "bytes?size=1099511627776"]
            .iter()
            .enumerate()
        {
            let head = format!("GET /fhir/emulator/{target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let stream = connect(&stage, &head).await;
            in_time(
                "the request at the upstream",
                traffic.until(|now| now.running == 1),
            )
            .await;
            drop(stream);
            let expected = number as u64 + 1;
            in_time(
                target,
                traffic.until(|now| now.running == 0 && now.cancelled == expected),
            )
            .await;
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_upload_cancels_it() {
    for http in [Http::Http1, Http::Http2] {
        let stage = Setup::new()
            .emulator(|options| options.http = http)
            .start()
            .await;
        let head = "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nabc";
        let stream = connect(&stage, head).await;
        let traffic = stage.emulator.fhir().traffic();
        in_time(
            "the request at the upstream",
            traffic.until(|now| now.running == 1),
        )
        .await;
        drop(stream);
        in_time(
            "the end of the request",
            traffic.until(|now| now.running == 0),
        )
        .await;
        let recorded = traffic.last().expect("a request").body;
        assert!(recorded.len() <= 3, "{http:?}: more than was sent");
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none_and_keep_the_connection() {
    for http in [Http::Http1, Http::Http2] {
        let stage = Setup::new()
            .emulator(|options| options.http = http)
            .start()
            .await;
        let mut stream = connect(&stage, "").await;
        for (method, target, status) in [
            ("HEAD", "/fhir/emulator/bytes?size=1000", 200),
            ("GET", "/fhir/emulator/status/204", 204),
            ("GET", "/fhir/emulator/status/304", 304),
            ("HEAD", "/fhir/nothing/here", 404),
            ("GET", "/fhir/emulator/bytes?size=5", 200),
        ] {
            let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            stream
                .write_all(head.as_bytes())
                .await
                .expect("the connection is kept");
            let answer = in_time(target, read_response(&mut stream, method == "HEAD")).await;
            assert_eq!(answer.status, status, "{http:?} {method} {target}");
            if target.ends_with("size=1000") {
                assert_eq!(answer.header("content-length"), Some("1000"), "{http:?}");
            }
            if status == 304 {
                assert_eq!(answer.header("etag"), Some("W/\"1\""), "{http:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_is_told_to_continue_once_its_body_is_wanted() {
    let stage = Stage::start().await;
    let head = "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut stream = connect(&stage, head).await;
    read_until(&mut stream, b"HTTP/1.1 100 Continue\r\n\r\n").await;
    stream.write_all(b"hello").await.expect("sent");
    assert_eq!(read_response(&mut stream, false).await.json()["bytes"], 5);
}

#[tokio::test]
async fn a_refused_upload_is_not_asked_for() {
    let stage = Setup::new()
        .with("limits", "request_body = \"1KiB\"")
        .start()
        .await;
    let head = "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n";
    let mut stream = connect(&stage, head).await;
    let read = read_until(&mut stream, b"\r\n\r\n").await;
    assert!(read.starts_with(b"HTTP/1.1 413"), "{read:?}");
    assert_eq!(stage.emulator.fhir().traffic().counters().requests, 0);
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    for http in [Http::Http1, Http::Http2] {
        let stage = Setup::new()
            .emulator(|options| options.http = http)
            .start()
            .await;
        let body = vec![b'x'; 30 << 20];
        let path = "/fhir/emulator/early?status=413";
        let answer = client::request(stage.address(), "POST", path, &[], &body).await;
        assert_eq!(answer.status, 413, "{http:?}: {answer:?}");
        assert_eq!(answer.text(), "status 413", "{http:?}");

        let request = http::Request::post(format!("http://{}{path}", stage.address()))
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let answer = client::http2(stage.address(), request).await;
        assert_eq!(answer.status(), 413, "over HTTP/2: {http:?}");
        assert_eq!(answer.body(), "status 413", "over HTTP/2: {http:?}");
    }
}

#[tokio::test]
async fn a_slow_upload_outlives_every_timeout_as_long_as_bytes_move() {
    let limits = "response_timeout = \"400ms\"\nidle_timeout = \"400ms\"";
    let stage = Setup::new().with("network", limits).start().await;
    let head =
        "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n";
    let mut stream = connect(&stage, head).await;
    let mut pace = interval(Duration::from_millis(100));
    for _ in 0..12 {
        pace.tick().await;
        stream.write_all(b"x").await.expect("sent");
    }
    let answer = read_response(&mut stream, false).await;
    assert_eq!(
        (answer.status, answer.json()["bytes"].as_u64()),
        (200, Some(12))
    );
}

#[tokio::test]
async fn each_side_speaks_the_protocol_that_it_can() {
    for (http, setting, expected) in [
        (Http::Any, "auto", "HTTP/2.0"),
        (Http::Http1, "auto", "HTTP/1.1"),
        (Http::Any, "1", "HTTP/1.1"),
        (Http::Any, "2", "HTTP/2.0"),
    ] {
        let setting = match setting.parse::<u8>() {
            Ok(number) => format!("http = {number}"),
            Err(_) => format!("http = \"{setting}\""),
        };
        let stage = Setup::new()
            .emulator(|options| options.http = http)
            .with("routes.fhir", setting.clone())
            .start()
            .await;
        let answer = client::get(stage.address(), "/fhir/emulator/echo")
            .await
            .json();
        assert_eq!(answer["version"], expected, "{http:?}, {setting}");
        // HTTP/2 has :authority for it, and some servers refuse both.
        let headers = answer["headers"].as_array().expect("headers").iter();
        let hosts: Vec<_> = headers.filter(|header| header[0] == "host").collect();
        if expected == "HTTP/2.0" {
            assert_eq!(answer["authority"], FHIR_HOST, "{http:?}, {setting}");
            assert!(hosts.is_empty(), "{http:?}, {setting}: {hosts:?}");
        } else {
            assert_eq!(
                hosts,
                [&serde_json::json!(["host", FHIR_HOST])],
                "{http:?}, {setting}"
            );
        }

        let request = http::Request::get(format!("http://{}/fhir/emulator/echo", stage.address()))
            .body(Full::default())
            .expect("a request");
        let answer = client::http2(stage.address(), request).await;
        assert_eq!(answer.status(), 200, "{http:?}, {setting}");
    }
}

#[tokio::test]
async fn a_client_that_sends_no_more_of_an_unfinished_body_is_answered_400() {
    let stage = Stage::start().await;
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let head = format!(
            "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n5\r\nhe"
        );
        let mut stream = connect(&stage, &head).await;
        stream.shutdown().await.expect("half closed");
        let traffic = stage.emulator.fhir().traffic();
        let mut rest = Vec::new();
        let ended = in_time(framing, stream.read_to_end(&mut rest)).await;
        ended.expect("without a reset");
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.contains("HTTP/1.1 400"), "{framing}: {rest:?}");
        let ended = traffic.until(|now| now.running == 0);
        in_time("the end of the request at the upstream", ended).await;
    }
}
