//! Answers that are not what `Content-Encoding` says: what nobody here can decode passes as it is,
//! and what can be decoded all the same is.

use crate::support::{
    client,
    compressed::{gzip, raw_deflate, zlib},
    scripted::Scripted,
};

const SEARCH: &str = "/plain/Patient";
const STAMP: &str = "response-modified-ahds-proxy";
const TEXT: &[u8] = b"{\"resourceType\":\"Bundle\",\"type\":\"searchset\"}";

fn head(coding: &str, framing: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Encoding: {coding}\r\nDigest: sha-256=x\r\n{framing}\r\n\r\n"
    )
}

#[tokio::test]
async fn what_cannot_be_decoded_passes_with_its_head() {
    for (coding, body) in [
        ("gzip", TEXT.to_vec()),
        ("gzip", zlib(TEXT)),
        ("gzip", vec![0x1f, 0x8b]),
        ("gzip", vec![0x1f, 0x8b, 7, 0]),
        ("deflate", TEXT.to_vec()),
        ("deflate", b"\n {}".to_vec()),
        ("deflate", b"[{\"a\":1}]".to_vec()),
        (
            "deflate",
            b"<Bundle xmlns=\"http://hl7.org/fhir\"/>".to_vec(),
        ),
        ("deflate", vec![0x78]),
        ("deflate", vec![0x1f, 0x8b]),
        ("deflate", raw_deflate(b"neither JSON nor XML")),
        ("deflate", [TEXT, &vec![b' '; 1 << 20]].concat()),
    ] {
        let length = body.len().to_string();
        let head = head(coding, &format!("Content-Length: {length}"));
        let upstream = Scripted::answering([head.as_bytes(), &body].concat()).await;
        let stage = upstream.routed().start().await;
        let answer = client::get(stage.address(), SEARCH).await;
        let case = format!("{coding}: {:?}", &body[..body.len().min(50)]);
        assert!(answer.body == body, "{case}");
        for (name, value) in [
            ("content-encoding", Some(coding)),
            ("content-length", Some(&*length)),
            ("digest", Some("sha-256=x")),
            (STAMP, None),
        ] {
            assert_eq!(answer.header(name), value, "{case}");
        }
    }
}

#[tokio::test]
async fn what_came_in_pieces_passes_too() {
    let chunks = "1\r\n\x1f\r\n2\r\nno\r\n3\r\nthi\r\n2\r\nng\r\n0\r\n\r\n";
    let head = head("gzip", "Transfer-Encoding: chunked");
    let upstream = Scripted::answering([head, chunks.to_owned()].concat()).await;
    let stage = upstream.routed().start().await;
    let answer = client::get(stage.address(), SEARCH).await;
    assert_eq!(answer.text(), "\x1fnothing");
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    assert_eq!(answer.header(STAMP), None);
}

#[tokio::test]
async fn gzip_and_raw_data_by_the_name_of_deflate_are_decoded() {
    for body in [gzip(TEXT), raw_deflate(TEXT), raw_deflate(b" \n<Bundle/>")] {
        let head = head("deflate", &format!("Content-Length: {}", body.len()));
        let upstream = Scripted::answering([head.as_bytes(), &body].concat()).await;
        let stage = upstream.routed().start().await;
        let answer = client::get(stage.address(), SEARCH).await;
        assert!(matches!(answer.body[0], b'{' | b' '), "{answer:?}");
        assert_eq!(answer.header("content-encoding"), None);
        assert!(answer.header(STAMP).is_some());
    }
}

#[tokio::test]
async fn a_body_that_does_not_begin_is_not_waited_for_without_end() {
    let head = head("gzip", "Content-Length: 100");
    let upstream = Scripted::answering(head).await;
    let setup = upstream.routed();
    let setup = setup.with("network", "response_timeout = \"100ms\"");
    let stage = setup.start().await;
    let answer = client::get(stage.address(), SEARCH).await;
    assert_eq!(answer.status, 504, "{answer:?}");
}
