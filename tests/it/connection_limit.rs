//! A limit of connections that is full: idle ones give up their places, the longest idle first, and
//! requests in flight never do.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::support::{PATIENCE, Setup, Stage, client};

const GET: &[u8] = b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n";
const HANG: &[u8] = b"GET /fhir/emulator/hang HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// More than the admin address has places for.
const CROWD: usize = 66;

async fn full_at(connections: usize) -> Stage {
    let lines = format!("connections = {connections}");
    Setup::new().with("limits", lines).start().await
}

async fn open(address: SocketAddr, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it accepts");
    stream.write_all(sent).await.expect("it reads");
    stream
}

/// A connection that has had a response and is kept alive.
async fn kept(address: SocketAddr, request: &[u8]) -> TcpStream {
    let mut stream = open(address, request).await;
    let answer = timeout(PATIENCE, client::read_response(&mut stream, false)).await;
    assert_eq!(answer.expect("in time").status, 200);
    stream
}

/// An HTTP/2 connection without a stream, after one request.
async fn kept_http2(address: SocketAddr, path: &str) -> JoinHandle<hyper::Result<()>> {
    let stream = TcpStream::connect(address).await.expect("it accepts");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2 with prior knowledge");
    // The connection lives for as long as somebody could send another request.
    let kept = sender.clone();
    let connection = tokio::spawn(async move {
        let ended = connection.await;
        drop(kept);
        ended
    });
    let request = http::Request::get(format!("http://localhost{path}"))
        .body(Empty::<Bytes>::new())
        .expect("a valid request");
    let answer = timeout(PATIENCE, sender.send_request(request)).await;
    let answer = answer.expect("in time").expect("an answer");
    assert_eq!(answer.status(), 200);
    connection
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match timeout(PATIENCE, stream.read_to_end(&mut rest)).await {
        Ok(ended) => ended.is_ok() && rest.is_empty(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_a_new_one() {
    let stage = full_at(1).await;
    let mut first = kept(stage.address(), GET).await;
    let _second = kept(stage.address(), GET).await;
    assert!(is_closed(&mut first).await);
}

#[tokio::test]
async fn the_longest_idle_connection_goes_first() {
    let stage = full_at(3).await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(kept(stage.address(), GET).await);
    }
    // The oldest is the one used last, by more than the milliseconds that idle times are told by.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(5) {
        connections[0].write_all(GET).await.expect("still open");
        let again = client::read_response(&mut connections[0], false).await;
        assert_eq!(again.status, 200);
    }
    let _new = kept(stage.address(), GET).await;
    assert!(is_closed(&mut connections[1]).await);
    for at in [0, 2] {
        connections[at].write_all(GET).await.expect("still open");
        let answer = client::read_response(&mut connections[at], false).await;
        assert_eq!(answer.status, 200, "{at}");
    }
}

/// The new one does not wait for the client to acknowledge it.
#[tokio::test]
async fn an_http2_connection_without_streams_is_told_to_go_away() {
    let stage = full_at(1).await;
    let first = kept_http2(stage.address(), "/fhir/metadata").await;
    let second = kept(stage.address(), GET).await;
    let ended = timeout(PATIENCE, first).await.expect("it ends in time");
    ended.expect("no panic").expect("an orderly end");

    // Nor for a client that acknowledges nothing.
    drop(second);
    let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    preface.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let mut silent = open(stage.address(), &preface).await;
    // The proxy's SETTINGS.
    silent.readable().await.expect("it answers");
    let _third = kept(stage.address(), GET).await;
    let mut frames = Vec::new();
    let ended = timeout(PATIENCE, silent.read_to_end(&mut frames)).await;
    ended.expect("it ends in time").expect("without a reset");
    // RFC 9113, section 6.8: type 7, no flags, stream 0.
    let goaway = [7, 0, 0, 0, 0, 0];
    assert!(frames.windows(6).any(|window| window == goaway));
}

#[tokio::test]
async fn a_connection_that_has_not_asked_yet_goes_after_those_that_have() {
    let stage = full_at(4).await;
    let mut fresh = [
        open(stage.address(), b"").await,
        open(stage.address(), b"GET /fhir/met").await,
        kept(stage.address(), GET).await,
    ];
    // Between two requests, but with the second one begun.
    fresh[2].write_all(b"GET /fhir").await.expect("open");
    let mut idle = kept(stage.address(), GET).await;
    let mut news = Vec::new();
    news.push(kept(stage.address(), GET).await);
    assert!(is_closed(&mut idle).await);
    // The new ones are idle by now, so that those without a request stay.
    news.push(kept(stage.address(), GET).await);
    assert!(is_closed(&mut news[0]).await);
    // But not for ever.
    news.push(open(stage.address(), HANG).await);
    assert!(is_closed(&mut news[1]).await);
    let traffic = stage.emulator.fhir().traffic();
    for running in 1..=4 {
        let arrived = traffic.until(|now| now.running == running);
        timeout(PATIENCE, arrived).await.expect("it is served");
        if running < 4 {
            news.push(open(stage.address(), HANG).await);
        }
    }
    for stream in &mut fresh {
        assert!(is_closed(stream).await);
    }
}

#[tokio::test]
async fn a_request_in_flight_keeps_its_connection_and_makes_room_when_it_ends() {
    let stage = full_at(1).await;
    let path = b"GET /fhir/emulator/bytes?size=40000000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut first = open(stage.address(), path).await;
    let traffic = stage.emulator.fhir().traffic();
    let arrived = traffic.until(|now| now.running == 1);
    timeout(PATIENCE, arrived).await.expect("it arrives");
    let mut second = open(stage.address(), GET).await;
    let early = timeout(Duration::from_millis(200), second.readable()).await;
    assert!(early.is_err(), "answered while the first had a request");

    let answer = timeout(PATIENCE, client::read_response(&mut first, false)).await;
    assert_eq!(answer.expect("in time").body.len(), 40_000_000);
    let answer = timeout(PATIENCE, client::read_response(&mut second, false)).await;
    assert_eq!(answer.expect("its turn comes").status, 200);
    assert!(is_closed(&mut first).await);
}

#[tokio::test]
async fn no_crowd_of_idle_connections_keeps_a_probe_out() {
    let stage = Stage::start().await;
    let admin = stage.admin();
    let livez = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut crowd = Vec::new();
    for sent in [
        &b""[..],
        b"GET /li",
        livez,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        for _ in 0..CROWD {
            crowd.push(open(admin, sent).await);
        }
        for path in ["/livez", "/readyz"] {
            assert_eq!(client::get(admin, path).await.status, 200, "{sent:?}");
        }
    }
    let mut http2 = Vec::new();
    for _ in 0..CROWD {
        http2.push(kept_http2(admin, "/livez").await);
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(client::get(admin, path).await.status, 200);
    }
}
