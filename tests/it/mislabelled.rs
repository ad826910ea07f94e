//! Responses that are not compressed as `Content-Encoding` says.

use crate::support::{
    client,
    compressed::{raw_deflate, zlib},
    scripted::Scripted,
};

const SEARCH: &str = "/plain/Patient";
const STAMP: &str = "response-modified-ahds-proxy";
const TEXT: &[u8] = b"{\"resourceType\":\"Bundle\",\"type\":\"searchset\"}";

async fn upstream(coding: &str, body: &[u8]) -> Scripted {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Scripted::answering([head.as_bytes(), body].concat()).await
}

#[tokio::test]
async fn a_body_that_cannot_be_decompressed_breaks_off() {
    for (coding, body) in [
        ("gzip", TEXT.to_vec()),
        ("gzip", zlib(TEXT)),
        ("gzip", vec![0x1f, 0x8b]),
        ("gzip", vec![0x1f, 0x8b, 7, 0]),
        ("deflate", TEXT.to_vec()),
        ("deflate", vec![0x78]),
    ] {
        let upstream = upstream(coding, &body).await;
        let stage = upstream.routed().start().await;
        let request = format!("GET {SEARCH} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let received = client::to_the_end(stage.address(), request.as_bytes()).await;
        let case = format!("{coding}: {:?}", received.escape_ascii().to_string());
        assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"), "{case}");
        assert!(!received.ends_with(b"0\r\n\r\n"), "{case}");
    }
}

/// IIS does so.
#[tokio::test]
async fn raw_data_by_the_name_of_deflate_is_decompressed() {
    for text in [TEXT, b" \n<Bundle/>"] {
        let upstream = upstream("deflate", &raw_deflate(text)).await;
        let stage = upstream.routed().start().await;
        let answer = client::get(stage.address(), SEARCH).await;
        assert_eq!(answer.body, text);
        assert_eq!(answer.header("content-encoding"), None);
        assert!(answer.header(STAMP).is_some());
    }
}
