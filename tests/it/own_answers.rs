//! The format of the proxy's own responses.

use std::{fmt::Write as _, time::Duration};

use azure_emulator::{Emulator, Fault, Options};
use bytes::Bytes;
use http_body_util::Full;

use crate::support::{
    Setup, Stage,
    client::{self, Answer},
};

/// A request and its expected response.
struct Case {
    line: &'static str,
    headers: &'static str,
    status: u16,
    error: &'static str,
    code: &'static str,
}

const fn case(
    line: &'static str,
    headers: &'static str,
    status: u16,
    error: &'static str,
    code: &'static str,
) -> Case {
    Case {
        line,
        headers,
        status,
        error,
        code,
    }
}

const LOCAL: &str = "Host: localhost";
const DENIED: &str = "http_request_denied";
const BAD: &str = "http_request_error";

/// The cases of a FHIR route; `{p}` is its prefix, or another one's.
const CASES: &[Case] = &[
    case("GET {p}/../x", LOCAL, 400, BAD, "invalid"),
    case("GET {p}/x", "X-No-Host: 1", 400, BAD, "invalid"),
    case(
        "GET {p}/x",
        "Host: localhost\r\nHost: localhost",
        400,
        BAD,
        "invalid",
    ),
    case("GET {p}/x", "Host: evil.example", 421, DENIED, "security"),
    case(
        "GET {p}/x",
        "Host: localhost\r\nOrigin: https://evil.example",
        403,
        DENIED,
        "forbidden",
    ),
    case(
        "GET {p}/x",
        "Host: localhost\r\nSec-Fetch-Site: cross-site",
        403,
        DENIED,
        "forbidden",
    ),
    case("DELETE {p}/x", LOCAL, 403, DENIED, "forbidden"),
    case("PUT {p}/_search", LOCAL, 403, DENIED, "forbidden"),
    case("POST {p}/x_search", LOCAL, 403, DENIED, "forbidden"),
];

async fn stage() -> Stage {
    Setup::new()
        .with("routes.fhir", "read_only = true")
        .with("routes.dicom", "read_only = true")
        .start()
        .await
}

fn check_fhir(answer: &Answer, code: &str, what: &str) {
    let content_type = answer.header("content-type").expect("a content type");
    assert!(
        content_type.starts_with("application/fhir+json"),
        "{what}: {content_type}"
    );
    let outcome = answer.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{what}");
    assert_eq!(outcome["issue"][0]["severity"], "error", "{what}");
    assert_eq!(outcome["issue"][0]["code"], code, "{what}");
    assert!(outcome["issue"][0]["diagnostics"].is_string(), "{what}");
}

fn check_problem(answer: &Answer, what: &str) {
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{what}"
    );
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status, "{what}");
    assert!(
        problem["title"].is_string() && problem["detail"].is_string(),
        "{what}"
    );
}

#[tokio::test]
async fn each_route_answers_in_the_shape_its_clients_read() {
    let stage = stage().await;
    for prefix in ["/fhir", "/dicom"] {
        for Case {
            line,
            headers,
            status,
            error,
            code,
        } in CASES
        {
            let line = line.replace("{p}", prefix);
            let what = format!("{line} {headers}");
            let request = format!("{line} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n\r\n");
            let answer = client::raw(stage.address(), request.as_bytes()).await;
            assert_eq!(answer.status, *status, "{what}");
            assert_eq!(
                answer.all("proxy-status"),
                [format!("ahds-proxy; error={error}")],
                "{what}"
            );
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
            if prefix == "/fhir" {
                check_fhir(&answer, code, &what);
            } else {
                check_problem(&answer, &what);
            }
        }
    }
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn a_read_only_route_reads() {
    let stage = stage().await;
    for (method, path) in [
        ("GET", "/fhir/Patient"),
        ("HEAD", "/fhir/Patient"),
        ("OPTIONS", "/fhir/Patient"),
        ("POST", "/fhir/_search"),
        ("POST", "/fhir/Patient/_search"),
    ] {
        let before = stage.upstream_hits();
        let answer = client::request(stage.address(), method, path, &[], b"").await;
        assert_eq!(answer.header("proxy-status"), None, "{method} {path}");
        assert_eq!(stage.upstream_hits(), before + 1, "{method} {path}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_told_the_routes() {
    let stage = stage().await;
    for path in ["/", "/nowhere/Patient/4711?name=Smith"] {
        let answer = client::get(stage.address(), path).await;
        assert_eq!(answer.status, 404);
        check_problem(&answer, path);
        assert!(answer.text().contains("/fhir/") && answer.text().contains("/dicom/"));
        assert!(!answer.text().contains("4711") && !answer.text().contains("Smith"));
    }
}

#[tokio::test]
async fn head_gets_a_head() {
    let stage = stage().await;
    for (path, status) in [("/nowhere", 404), ("/fhir/..", 400), ("/dicom/..", 400)] {
        let get = client::get(stage.address(), path).await;
        // Two in a row, so that a body after the first would show as the second's head.
        let mut request = String::new();
        for end in ["", "Connection: close\r\n"] {
            let _ = write!(request, "HEAD {path} HTTP/1.1\r\n{LOCAL}\r\n{end}\r\n");
        }
        let bytes = client::to_the_end(stage.address(), request.as_bytes()).await;
        let text = String::from_utf8(bytes).expect("two heads");
        let heads: Vec<&str> = text
            .split("\r\n\r\n")
            .filter(|head| !head.is_empty())
            .collect();
        assert_eq!(heads.len(), 2, "{text}");
        for head in heads {
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
            let length = format!("content-length: {}", get.body.len());
            assert!(head.contains(&length), "{text}");
        }

        let request = http::Request::head(format!("http://localhost{path}"))
            .body(Full::<Bytes>::default())
            .expect("a valid request");
        let answer = client::http2(stage.address(), request).await;
        assert_eq!(answer.status(), status);
        assert_eq!(
            answer.headers()["content-length"],
            get.body.len().to_string()
        );
        assert!(answer.headers().contains_key("proxy-status"));
        assert!(answer.body().is_empty(), "{path}: {:?}", answer.body());
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let emulator = Emulator::start(Options::default())
        .await
        .expect("it starts");
    emulator.entra().faults().always(Fault::Unauthorized);
    let stage = Setup::new().start_before(emulator).await;
    for (path, is_fhir) in [
        ("/fhir/Patient/4711", true),
        ("/dicom/v2/studies/4711", false),
    ] {
        let answer = client::get(stage.address(), path).await;
        assert_eq!(answer.status, 503);
        assert_eq!(
            answer.header("proxy-status"),
            Some("ahds-proxy; error=proxy_internal_response")
        );
        let seconds: u64 = answer
            .header("retry-after")
            .and_then(|seconds| seconds.parse().ok())
            .expect("seconds to wait");
        assert!(
            (1..=Duration::from_secs(3600).as_secs()).contains(&seconds),
            "{seconds}"
        );
        if is_fhir {
            check_fhir(&answer, "login", path);
        } else {
            check_problem(&answer, path);
        }
        assert!(!answer.text().contains("4711") && !answer.text().contains("demo-secret"));
    }
    assert_eq!(stage.upstream_hits(), 0);
}
