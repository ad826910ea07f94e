//! Responses that break off or are compressed badly: the client gets the part that came, and sees
//! whether it is complete.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    PATIENCE, client,
    compressed::{gzip, raw_deflate, zlib},
    scripted::Scripted,
};

/// Searched for links.
const SEARCH: &str = "/plain/Patient";
/// Passed on as it is.
const READ: &str = "/plain/Patient/1";
const TEXT: &[u8] = b"{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"id\":\"at-the-end\"}";
const END: &str = "at-the-end";

/// A response with `length` as its Content-Length, or a chunked one.
fn answer(coding: &str, length: Option<usize>, body: &[u8]) -> Vec<u8> {
    let framing = match length {
        Some(length) => format!("Content-Length: {length}"),
        None => "Transfer-Encoding: chunked".to_owned(),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\n{coding}{framing}\r\n\r\n"
    );
    let body = match length {
        Some(_) => body.to_vec(),
        None => [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat(),
    };
    [head.as_bytes(), &body].concat()
}

/// Sends one response on every connection and closes it.
async fn closing(answer: Vec<u8>) -> Scripted {
    let answer = Bytes::from(answer);
    Scripted::start(move |_, mut conversation| {
        let answer = answer.clone();
        async move {
            conversation.request().await;
            conversation.send(&answer).await;
        }
    })
    .await
}

fn broken() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    const GZIP: &str = "Content-Encoding: gzip\r\n";
    // With the length that it has: nothing but its content tells that it was cut.
    let short = |coding: &str, body: &[u8], missing| {
        let body = &body[..body.len() - missing];
        answer(coding, Some(body.len()), body)
    };
    let deflated = |body: &[u8], missing| short("Content-Encoding: deflate\r\n", body, missing);
    let gzipped = |members: &[&[u8]], missing| short(GZIP, &members.concat(), missing);
    let (first, second) = TEXT.split_at(20);
    let whole = gzip(TEXT);
    let cut = &whole[..whole.len() - 4];
    let mut damaged = whole.clone();
    damaged[whole.len() - 6] ^= 1;
    let more = TEXT.len() + 1;
    vec![
        ("a short gzip", SEARCH, answer(GZIP, Some(cut.len()), cut)),
        (
            "a wrong sum",
            SEARCH,
            answer(GZIP, Some(whole.len()), &damaged),
        ),
        ("gzip, closed", SEARCH, answer(GZIP, Some(whole.len()), cut)),
        ("gzip, chunked", SEARCH, answer(GZIP, None, &whole)),
        ("a cut sum", SEARCH, deflated(&zlib(TEXT), 1)),
        ("no sum", SEARCH, deflated(&zlib(TEXT), 4)),
        ("no end before the sum", SEARCH, deflated(&zlib(TEXT), 5)),
        ("raw deflate", SEARCH, deflated(&raw_deflate(TEXT), 1)),
        (
            "a second member",
            SEARCH,
            gzipped(&[&gzip(first), &gzip(second)], 1),
        ),
        (
            "its sum",
            SEARCH,
            gzipped(&[&gzip(first), &gzip(second)], 8),
        ),
        ("its head", SEARCH, gzipped(&[&whole, &whole[..10]], 1)),
        (
            "all but its magic number",
            SEARCH,
            gzipped(&[&whole, &whole[..2]], 0),
        ),
        (
            "all but its first byte",
            SEARCH,
            gzipped(&[&whole, &whole[..1]], 0),
        ),
        ("searched", SEARCH, answer("", Some(more), TEXT)),
        ("searched, chunked", SEARCH, answer("", None, TEXT)),
        ("passed on", READ, answer("", Some(more), TEXT)),
        ("passed on, chunked", READ, answer("", None, TEXT)),
    ]
}

#[tokio::test]
async fn what_there_is_comes_and_then_the_connection_ends() {
    for (case, path, answer) in broken() {
        let upstream = closing(answer).await;
        let stage = upstream.routed().start().await;
        // A client that goes on sending must not lose the bytes it was sent.
        for rest in ["", "GET /plain/next HTTP/1.1\r\n"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n{rest}");
            let received = client::to_the_end(stage.address(), request.as_bytes()).await;
            let received = String::from_utf8_lossy(&received);
            assert!(
                received.starts_with("HTTP/1.1 200 OK\r\n"),
                "{case}: {received:?}"
            );
            assert!(received.contains(END), "{case}: {received:?}");
            assert!(!received.ends_with("0\r\n\r\n"), "{case}: {received:?}");
        }
    }
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine ends every connection in order")]
async fn a_client_that_knows_no_end_but_the_connections_sees_it_reset() {
    for path in [SEARCH, READ] {
        let upstream = closing(answer("", None, TEXT)).await;
        let stage = upstream.routed().start().await;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        let exchange = async {
            let mut stream = TcpStream::connect(stage.address()).await.expect("accepted");
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut received = Vec::new();
            stream.read_to_end(&mut received).await.map(|_| received)
        };
        let received = timeout(PATIENCE, exchange).await.expect("in time");
        let error = received.expect_err("no orderly end");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{path}");
    }
}

/// The status of a response over HTTP/2, the part of its body that came, and whether that was all.
async fn over_http2(address: std::net::SocketAddr, path: &str) -> (u16, Vec<u8>, bool) {
    let exchange = async {
        let stream = TcpStream::connect(address).await.expect("accepted");
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("HTTP/2");
        let connection = tokio::spawn(connection);
        let request = http::Request::get(format!("http://localhost{path}"));
        let request = request.body(Full::<Bytes>::default()).expect("a request");
        let response = sender.send_request(request).await.expect("a head");
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut received = Vec::new();
        let is_whole = loop {
            match body.frame().await {
                Some(Ok(frame)) => received.extend(frame.into_data().expect("data")),
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        connection.abort();
        (status, received, is_whole)
    };
    timeout(PATIENCE, exchange).await.expect("in time")
}

#[tokio::test]
async fn what_there_is_comes_and_then_the_stream_is_reset() {
    for (case, path, answer) in broken() {
        let upstream = closing(answer).await;
        let stage = upstream.routed().start().await;
        let (status, body, is_whole) = over_http2(stage.address(), path).await;
        let body = String::from_utf8_lossy(&body);
        assert_eq!(status, 200, "{case}");
        assert!(body.contains(END), "{case}: {body:?}");
        assert!(!is_whole, "{case}");
    }
}

#[tokio::test]
async fn a_long_answer_comes_up_to_where_it_breaks_off() {
    let text = vec![b'x'; 8 << 20];
    for path in [SEARCH, READ] {
        let upstream = closing(answer("", Some(text.len() + 1), &text)).await;
        let stage = upstream.routed().start().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let received = client::to_the_end(stage.address(), request.as_bytes()).await;
        let count = received.split(|byte| *byte == b'x').count() - 1;
        assert!(count >= text.len(), "{path}: {count}");

        let (_, body, is_whole) = over_http2(stage.address(), path).await;
        assert_eq!(body.len(), text.len(), "{path}");
        assert!(!is_whole, "{path}");
    }
}

#[tokio::test]
async fn a_compressed_response_may_have_members_and_bytes_behind_it() {
    let (first, second) = TEXT.split_at(20);
    for (coding, body) in [
        ("deflate", [zlib(TEXT), b"and more".to_vec()].concat()),
        ("deflate", [raw_deflate(TEXT), vec![0]].concat()),
        ("gzip", [gzip(first), gzip(second)].concat()),
        ("gzip, identity", gzip(TEXT)),
        ("identity\r\nContent-Encoding: x-gzip", gzip(TEXT)),
        ("identity", TEXT.to_vec()),
    ] {
        let header = format!("Content-Encoding: {coding}\r\n");
        let upstream = Scripted::answering(answer(&header, Some(body.len()), &body)).await;
        let stage = upstream.routed().start().await;
        let answer = client::get(stage.address(), SEARCH).await;
        assert_eq!(answer.body, TEXT, "{coding}");
        assert_eq!(answer.header("content-encoding"), None, "{coding}");
    }
}

#[tokio::test]
async fn a_transfer_coding_that_would_be_lost_is_no_answer() {
    for (coding, status) in [
        ("chunked", 200),
        ("Chunked", 200),
        ("gzip, chunked", 502),
        ("gzip\r\nTransfer-Encoding: chunked", 502),
        ("chunked, chunked", 502),
        ("gzip", 502),
    ] {
        for path in [SEARCH, READ] {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nTransfer-Encoding: {coding}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
            );
            let upstream = closing(answer.into_bytes()).await;
            let stage = upstream.routed().start().await;
            let answer = client::get(stage.address(), path).await;
            assert_eq!(answer.status, status, "{coding}: {answer:?}");
            if status == 502 {
                let proxy_status = answer.header("proxy-status");
                let expected = "ahds-proxy; error=http_response_transfer_coding";
                assert_eq!(proxy_status, Some(expected));
            }
        }
    }
}
