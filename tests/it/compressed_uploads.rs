//! Compressed requests: the proxy's own addresses do not get past it in them either.

use azure_emulator::{FHIR_AUDIENCE, RecordedRequest};
use serde_json::json;

use crate::support::{
    Setup, Stage,
    client::{self, Answer},
    compressed::{gzip, raw_deflate, zlib},
};

/// Text that does not become smaller than half.
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + u8::try_from(state >> 60).expect("four bits"))
    })
    .take(length)
    .collect()
}

/// A patient with a reference below `base` behind so much else.
fn patient(base: &str, filling: &str) -> String {
    json!({
        "resourceType": "Patient",
        "id": "p",
        "address": [{"text": filling}],
        "managingOrganization": {"reference": format!("{base}/Organization/1")},
    })
    .to_string()
}

async fn put(stage: &Stage, coding: &str, body: &[u8]) -> Answer {
    let headers = [
        ("Content-Type", "application/fhir+json"),
        ("Content-Encoding", coding),
        ("Digest", "sha-256=x"),
    ];
    client::request(stage.address(), "PUT", "/fhir/Patient/p", &headers, body).await
}

fn last(stage: &Stage) -> RecordedRequest {
    let recorded = stage.emulator.fhir().traffic().last();
    recorded.expect("a request")
}

fn header<'a>(request: &'a RecordedRequest, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}

#[tokio::test]
async fn a_small_body_that_names_the_proxy_goes_uncompressed() {
    let stage = Stage::start().await;
    let ours = format!("http://{}/fhir", stage.address());
    let body = patient(&ours, "");
    let expected = patient(FHIR_AUDIENCE, "");
    for (coding, encoded) in [
        ("gzip", gzip(body.as_bytes())),
        ("x-gzip", gzip(body.as_bytes())),
        ("deflate", zlib(body.as_bytes())),
        ("identity", body.clone().into_bytes()),
    ] {
        let answer = put(&stage, coding, &encoded).await;
        assert!(matches!(answer.status, 200 | 201), "{coding}: {answer:?}");
        let sent = last(&stage);
        assert_eq!(sent.body, expected, "{coding}");
        let length = expected.len().to_string();
        assert_eq!(header(&sent, "content-length"), Some(&*length));
        for name in ["content-encoding", "digest"] {
            assert_eq!(header(&sent, name), None, "{coding}");
        }
        let stamp = header(&sent, "request-modified-ahds-proxy");
        assert_eq!(stamp, Some("rewrote proxy base URLs"));
    }
}

#[tokio::test]
async fn a_small_body_that_does_not_goes_as_it_came() {
    let stage = Stage::start().await;
    let filling = "x".repeat(500_000);
    for filling in ["", &*filling] {
        let body = patient("https://other.example", filling);
        for (coding, encoded) in [
            ("gzip", gzip(body.as_bytes())),
            ("deflate", zlib(body.as_bytes())),
            // The proxy cannot read its content.
            ("br", b"\x1b\x00".to_vec()),
            ("gzip, gzip", gzip(&gzip(body.as_bytes()))),
        ] {
            put(&stage, coding, &encoded).await;
            let sent = last(&stage);
            assert_eq!(sent.body, encoded, "{coding}");
            let length = encoded.len().to_string();
            assert_eq!(header(&sent, "content-length"), Some(&*length));
            assert_eq!(header(&sent, "content-encoding"), Some(coding));
            assert_eq!(header(&sent, "digest"), Some("sha-256=x"));
            assert_eq!(header(&sent, "request-modified-ahds-proxy"), None);
        }
    }
}

#[tokio::test]
async fn what_is_large_is_decoded_while_it_streams() {
    let stage = Stage::start().await;
    let ours = format!("http://{}/fhir", stage.address());
    // Small until it is decoded, and large before that.
    for filling in ["x".repeat(1_000_000), noise(300_000)] {
        let body = gzip(patient(&ours, &filling).as_bytes());
        let answer = put(&stage, "gzip", &body).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        let sent = last(&stage);
        assert_eq!(header(&sent, "content-encoding"), None);
        assert_eq!(header(&sent, "content-length"), None);
        let read = client::get(stage.address(), "/fhir/Patient/p").await;
        let read = read.json();
        assert!(read["address"][0]["text"] == filling);
        let reference = format!("{FHIR_AUDIENCE}/Organization/1");
        assert_eq!(read["managingOrganization"]["reference"], reference);
    }
}

#[tokio::test]
async fn what_is_damaged_is_not_stored() {
    let stage = Stage::start().await;
    let before = stage.emulator.fhir().count("Patient");
    for (filling, arrives) in [(String::new(), false), (noise(300_000), true)] {
        let patient = patient("https://other.example", &filling);
        for (coding, encode, trailer) in [
            ("gzip", gzip as fn(&[u8]) -> Vec<u8>, 8),
            ("deflate", zlib, 4),
            ("deflate", raw_deflate, 0),
        ] {
            let whole = encode(patient.as_bytes());
            let end = whole.len() - trailer;
            let mut damaged = whole.clone();
            if trailer > 0 {
                damaged[end] ^= 1;
            } else {
                damaged.pop();
            }
            let cut_sum = &whole[..whole.len() - 1];
            for body in [&damaged[..], cut_sum, &whole[..end - 1], &whole[..end / 2]] {
                stage.emulator.fhir().traffic().forget();
                let answer = put(&stage, coding, body).await;
                assert_eq!(answer.status, 400, "{coding}: {answer:?}");
                let said = answer.json()["issue"][0]["diagnostics"].clone();
                let said = said.as_str().expect("a text");
                assert!(said.contains("Content-Encoding"), "{said}");
                let recorded = stage.emulator.fhir().traffic().recorded();
                assert!(arrives || recorded.is_empty());
            }
        }
    }
    // Raw deflate has no mark: what does not decode to a document may be anything.
    let answer = put(&stage, "deflate", &raw_deflate(noise(300_000).as_bytes())).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(stage.emulator.fhir().count("Patient"), before);
}

#[tokio::test]
async fn the_limit_of_a_body_is_that_of_its_content() {
    let setup = Setup::new().with("limits", "request_body = \"200KiB\"");
    let stage = setup.start().await;
    let before = stage.emulator.fhir().count("Patient");
    for filling in ["x".repeat(1_000_000), noise(300_000)] {
        let body = gzip(patient("https://other.example", &filling).as_bytes());
        assert!(body.len() < 200 << 10);
        assert_eq!(put(&stage, "gzip", &body).await.status, 413);
    }
    assert_eq!(stage.emulator.fhir().count("Patient"), before);
}

#[tokio::test]
async fn what_is_not_searched_is_not_decoded() {
    let stage = Stage::start().await;
    let body = gzip(format!("http://{}/fhir", stage.address()).as_bytes());
    let headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Encoding", "gzip"),
    ];
    let path = "/fhir/Binary/b";
    client::request(stage.address(), "PUT", path, &headers, &body).await;
    let sent = last(&stage);
    assert_eq!(sent.body, body);
    assert_eq!(header(&sent, "content-encoding"), Some("gzip"));
}
