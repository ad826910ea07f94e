//! Responses as they should be and as they should not, read by us and by hyper.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{BodyDecoder, HeadParser};

/// A response as a client reads it, after which the connection is closed.
#[derive(Debug, PartialEq)]
struct Read {
    status: StatusCode,
    body: Vec<u8>,
    trailers: HeaderMap,
    is_whole: bool,
}

/// `None` where it is not even a head.
fn read_by_us(method: &Method, pieces: &[&[u8]]) -> Option<Read> {
    let mut pieces = pieces.iter();
    let mut received = BytesMut::new();
    let mut parser = HeadParser::new(method);
    let head = loop {
        match parser.take(&mut received) {
            Ok(Some(head)) => break head,
            Ok(None) => received.extend_from_slice(pieces.next()?),
            Err(_) => return None,
        }
    };
    let mut read = Read {
        status: head.status,
        body: Vec::new(),
        trailers: HeaderMap::new(),
        is_whole: false,
    };
    let mut rest = BodyDecoder::new(head.length);
    while !rest.is_end() {
        match rest.take(&mut received) {
            Err(_) => return Some(read),
            Ok(Some(frame)) => match frame.into_data() {
                Ok(data) => read.body.extend_from_slice(&data),
                Err(frame) => read.trailers = frame.into_trailers().expect("one or the other"),
            },
            Ok(None) if rest.is_end() => {}
            Ok(None) => match pieces.next() {
                Some(piece) => received.extend_from_slice(piece),
                None if rest.close().is_err() => return Some(read),
                None => {}
            },
        }
    }
    read.is_whole = true;
    Some(read)
}

async fn read_by_hyper(method: &Method, response: &[u8]) -> Option<Read> {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let server = async {
        // Bytes before the request would not be a response to it.
        theirs.read_u8().await.expect("a request");
        theirs.write_all(response).await.expect("room for it");
        theirs.shutdown().await.expect("an open connection");
        theirs
    };
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.allow_spaces_after_header_name_in_responses(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(ours)).await.expect("a task");
    let request = Request::builder().method(method).uri("/");
    let request = request.body(Empty::<Bytes>::new()).expect("constants");
    let exchange = async {
        let (head, mut body) = sender.send_request(request).await.ok()?.into_parts();
        let mut read = Read {
            status: head.status,
            body: Vec::new(),
            trailers: HeaderMap::new(),
            is_whole: false,
        };
        while let Some(frame) = body.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Err(_) => return Some(read),
                Ok(Ok(data)) => read.body.extend_from_slice(&data),
                Ok(Err(frame)) => read.trailers = frame.into_trailers().expect("trailers"),
            }
        }
        read.is_whole = true;
        Some(read)
    };
    tokio::join!(connection, server, exchange).2
}

/// As a server may send it, and then with a few bytes changed.
fn response(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let framing = prop::sample::select(vec![
        "",
        "Content-Length: 7\r\n",
        "Content-Length: 7, 7\r\n",
        "Content-Length: 7\r\nContent-Length: 7\r\n",
        "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\n",
        "content-length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding: gzip, Chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
    ]);
    let field = prop::sample::select(vec![
        "",
        "Connection: close\r\n",
        "ETag: W/\"1\"\r\n",
        "X: \u{e9}\r\n",
    ]);
    let line = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 304\r\n",
        "HTTP/1.0 200 OK\r\n",
        "\r\nHTTP/1.1 500 \r\n",
    ]);
    let body = prop::sample::select(vec![
        "",
        "abc",
        "abcdefg",
        "0\r\n\r\n",
        "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
        "7 \r\nabcdefg\r\n00\r\nETag: 1\r\nDigest: 2\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabc",
        "ffffffffffffffff\r\nabc",
    ]);
    let change = (
        any::<prop::sample::Index>(),
        0..3_usize,
        prop::sample::select(b"\r\n :;,0a\x00".to_vec()),
    );
    let changes = prop::collection::vec(change, 0..=most);
    let parts = (line, framing, field, body, changes);
    parts.prop_map(|(line, framing, field, body, changes)| {
        let mut text = [line, framing, field, "\r\n", body].concat().into_bytes();
        for (place, removed, added) in changes {
            let place = place.index(text.len());
            let end = text.len().min(place + removed);
            text.splice(place..end, (removed != 1).then_some(added));
        }
        text
    })
}

fn both(response: &[u8], is_head: bool) -> (Option<Read>, Option<Read>) {
    let method = if is_head { Method::HEAD } else { Method::GET };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let theirs = read_by_hyper(&method, response);
    let theirs = runtime.expect("a runtime").block_on(theirs);
    (read_by_us(&method, &[response]), theirs)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_response_is_what_hyper_makes_of_it(response in response(0), is_head in any::<bool>()) {
        let (ours, theirs) = both(&response, is_head);
        prop_assert_eq!(ours, theirs, "{}", response.escape_ascii());
    }

    #[test]
    fn what_is_wrong_with_a_response_is_never_overlooked(
        response in response(3),
        is_head in any::<bool>(),
    ) {
        let (ours, theirs) = both(&response, is_head);
        if ours.as_ref().is_some_and(|ours| ours.is_whole) {
            prop_assert_eq!(ours, theirs, "{}", response.escape_ascii());
        } else if let (Some(ours), Some(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.status, theirs.status);
            prop_assert!(theirs.body.starts_with(&ours.body), "{}", response.escape_ascii());
        }
    }

    #[test]
    fn it_does_not_matter_where_a_response_is_cut(
        response in response(3),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(response.len() + 1)).collect();
        cuts.extend([0, response.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &response[cut[0]..cut[1]]).collect();
        let whole = read_by_us(&Method::GET, &[&response]);
        prop_assert_eq!(read_by_us(&Method::GET, &pieces), whole, "{}", response.escape_ascii());
    }
}
