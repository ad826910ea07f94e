//! Fields after a body.

use azure_emulator::Http;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;

use crate::support::{Setup, Stage, client, scripted::Scripted};

async fn stages() -> [(Http, Stage); 2] {
    let start = |http| async move {
        let setup = Setup::new().emulator(move |options| options.http = http);
        (http, setup.start().await)
    };
    [start(Http::Http1).await, start(Http::Http2).await]
}

/// A whole response, in lower case.
async fn answer(stage: &Stage, request: &str) -> String {
    let answer = client::to_the_end(stage.address(), request.as_bytes()).await;
    String::from_utf8_lossy(&answer).to_lowercase()
}

/// The trailers that the upstream got with such a body.
async fn sent(stage: &Stage, fields: &str, body: &str, trailers: &str) -> serde_json::Value {
    let request = format!(
        "POST /fhir/emulator/echo HTTP/1.1\r\nHost: localhost\r\n\
         Transfer-Encoding: chunked\r\n{fields}\r\n{:x}\r\n{body}\r\n0\r\n{trailers}\r\n",
        body.len()
    );
    let mut answer = client::raw(stage.address(), request.as_bytes())
        .await
        .json();
    answer["trailers"].take()
}

#[tokio::test]
async fn they_pass_both_ways_announced_or_not() {
    for (http, stage) in stages().await {
        let answer = answer(
            &stage,
            "GET /fhir/emulator/trailers HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\n\
             Connection: close, TE\r\n\r\n",
        );
        let answer = answer.await;
        let (_, end) = answer.rsplit_once("\r\n0\r\n").expect("a chunked body");
        assert!(end.contains(": "), "{http:?}: no trailers in {answer}");

        for announced in ["Trailer: x-checksum\r\n", ""] {
            let trailers = sent(&stage, announced, "{}", "X-Checksum: 42\r\n").await;
            assert_eq!(trailers, json!([["x-checksum", "42"]]), "{http:?}");
        }
    }
}

#[tokio::test]
async fn what_has_to_come_first_is_no_trailer_of_a_request() {
    let stage = Stage::start().await;
    let trailers = "Authorization: Bearer theirs\r\nContent-Length: 7\r\nX-Kept: 1\r\n";
    let trailers = sent(&stage, "", "{}", trailers).await;
    assert_eq!(trailers, json!([["x-kept", "1"]]));
}

#[tokio::test]
async fn a_digest_is_none_of_a_body_whose_links_change() {
    for (http, stage) in stages().await {
        let link = r#"{"reference":"http://localhost/fhir/Patient/1"}"#;
        let long = format!("[{link}{}]", " ".repeat(100_000));
        let both = "Digest: sha-256=x\r\nX-Kept: 1\r\n";
        for body in [link, &long] {
            let fhir = "Content-Type: application/fhir+json\r\nTrailer: Digest, X-Kept\r\n";
            let trailers = sent(&stage, fhir, body, both).await;
            assert_eq!(trailers, json!([["x-kept", "1"]]), "{http:?}");
        }
        let plain = "Content-Type: text/plain\r\nTrailer: Digest, X-Kept\r\n";
        let trailers = sent(&stage, plain, link, both).await;
        let all = json!([["digest", "sha-256=x"], ["x-kept", "1"]]);
        assert_eq!(trailers, all, "{http:?}: the body is as it was");
    }
}

#[tokio::test]
async fn nor_is_it_of_a_body_whose_length_is_told() {
    let stage = Stage::start().await;
    let link = r#"{"reference":"http://localhost/fhir/Patient/1"}"#;
    for (body, digest) in [(link, None), ("{}", Some("sha-256=x"))] {
        let mut trailers = HeaderMap::new();
        trailers.insert("digest", HeaderValue::from_static("sha-256=x"));
        let ending = async { Some(Ok(trailers)) };
        let request = Request::post("http://localhost/fhir/emulator/echo")
            .header("content-type", "application/fhir+json")
            .header("content-length", body.len())
            .body(Box::pin(
                Full::new(Bytes::from_static(body.as_bytes())).with_trailers(ending),
            ))
            .expect("a request");
        let answer = client::http2(stage.address(), request).await;
        let echo: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
        let expected: Vec<_> = digest
            .iter()
            .map(|digest| json!(["digest", digest]))
            .collect();
        assert_eq!(echo["trailers"], json!(expected), "{body}");
    }
}

#[tokio::test]
async fn a_digest_is_none_of_an_answer_that_is_searched() {
    let upstream = Scripted::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nTrailer: Digest, X-Kept\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nDigest: sha-256=x\r\nX-Kept: 1\r\n\r\n",
    );
    let upstream = upstream.await;
    let stage = upstream.routed().start().await;
    for (path, has_digest) in [("Patient", false), ("Patient/1", true)] {
        let request = format!(
            "GET /plain/{path} HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n"
        );
        let answer = answer(&stage, &request).await;
        assert!(answer.contains("\r\nx-kept: 1\r\n"), "{answer}");
        assert_eq!(answer.contains("\r\ndigest: "), has_digest, "{answer}");
    }
}

#[tokio::test]
async fn what_is_no_trailer_of_an_answer_costs_nobody_its_body() {
    let upstream = Scripted::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\nContent-Length: 7\r\n\r\n",
    );
    let upstream = upstream.await;
    let stage = upstream.routed().start().await;
    let request = Request::get("http://localhost/plain/P/1").body(Full::default());
    let answer = client::http2(stage.address(), request.expect("a request")).await;
    assert_eq!(answer.body(), "abc");
    let answer = client::get(stage.address(), "/plain/P/1").await;
    assert_eq!(answer.text(), "abc");
}

#[tokio::test]
async fn the_upstream_is_asked_for_them_where_the_client_asks() {
    let upstream = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let stage = upstream.routed().start().await;
    for (asked, fields) in [
        (
            "TE: trailers\r\nConnection: TE\r\n",
            "te: trailers\r\nconnection: te\r\n",
        ),
        ("", ""),
    ] {
        let request = format!("GET /plain/P/1 HTTP/1.1\r\nHost: localhost\r\n{asked}\r\n");
        client::raw(stage.address(), request.as_bytes()).await;
        let head = upstream.heads().pop().expect("a request").to_lowercase();
        assert!(head.contains(fields), "{head}");
        assert_eq!(
            head.contains("\r\nconnection: "),
            !asked.is_empty(),
            "{head}"
        );
    }
}
