//! Which headers reach the other side, both ways.

use azure_emulator::{FHIR_HOST, Fault, Http};
use http::HeaderMap;

use crate::support::{Setup, Stage, client, scripted::Scripted};

/// The headers that the FHIR service saw of a request with these header lines, over HTTP/1.1 and
/// HTTP/2.
async fn seen(stages: &[Stage], lines: &str) -> Vec<HeaderMap> {
    let mut seen = Vec::new();
    for stage in stages {
        // A read, for whose response nothing is requested of the service.
        let path = "/fhir/Patient/sample-1";
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        assert_eq!(answer.status, 200, "{lines:?}: {answer:?}");
        seen.push(stage.forwarded().headers);
    }
    seen
}

async fn stages() -> Vec<Stage> {
    let mut stages = Vec::new();
    for http in [Http::Http1, Http::Http2] {
        let setup = Setup::new().emulator(|options| options.http = http);
        stages.push(setup.start().await);
    }
    stages
}

/// The emulator answers 200 to a valid token only, so that ours is what arrived.
#[tokio::test]
async fn what_the_client_says_of_itself_never_arrives() {
    let stages = stages().await;
    for lines in [
        "Authorization: Bearer theirs\r\n",
        "Authorization: Bearer theirs\r\nAuthorization: Basic dGhlaXJz\r\n",
        "aUTHORIZATION: Bearer theirs\r\n",
        "Proxy-Authorization: Basic dGhlaXJz\r\n",
        "Proxy-Connection: keep-alive\r\n",
        "Cookie: theirs=1\r\nCookie: theirs=2\r\n",
        "Forwarded: for=theirs;host=evil.example\r\n",
        "X-Forwarded-For: theirs\r\nX-Forwarded-Host: evil.example\r\n",
        "X-Forwarded-Host: evil.example\r\nX-FORWARDED-PROTO: theirs\r\nX-Forwarded-Prefix: /theirs\r\n",
        "Connection: authorization, close\r\nAuthorization: Bearer theirs\r\n",
        "Connection: close\r\nConnection: AuThOrIzAtIoN\r\n",
        "Connection: x-theirs, host\r\nX-Theirs: 1\r\n",
        "Connection: X-THEIRS\r\nConnection: ,, content-length ,\r\nx-theirs: 1\r\n",
        "Connection: X-Request-Id\r\nX-Request-Id: theirs\r\n",
        "Keep-Alive: timeout=theirs\r\n",
        "Upgrade: theirs\r\nConnection: upgrade\r\n",
        "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: theirs\r\n",
        "TE: theirs\r\n",
        "Expect: 100-continue\r\n",
    ] {
        for headers in seen(&stages, lines).await {
            let tokens: Vec<_> = headers.get_all("authorization").iter().collect();
            assert_eq!(tokens.len(), 1, "{lines:?}");
            let names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
            for name in &names {
                assert!(
                    ["authorization", "host"].contains(name),
                    "{name} arrived of {lines:?}"
                );
            }
            assert!(!format!("{headers:?}").contains("theirs"), "{lines:?}");
        }
    }
}

#[tokio::test]
async fn the_upstream_is_called_by_its_own_name() {
    for stage in &stages().await {
        for host in ["localhost", "127.0.0.1:8080", "[::1]"] {
            let request = format!("GET /fhir/Patient HTTP/1.1\r\nHost: {host}\r\n\r\n");
            client::raw(stage.address(), request.as_bytes()).await;
            let request = stage.forwarded();
            assert_eq!(request.host, FHIR_HOST);
            for host in request.headers.get_all("host") {
                assert_eq!(host, FHIR_HOST);
            }
        }
    }
}

const KEPT: &[(&str, &str)] = &[
    (
        "accept",
        "multipart/related; type=\"application/dicom\"; transfer-syntax=*",
    ),
    ("accept", "application/fhir+json;q=0.5"),
    ("accept-encoding", "gzip, br"),
    ("accept-language", "de"),
    ("content-language", "en"),
    ("if-match", "W/\"1\""),
    ("if-none-match", "W/\"2\""),
    ("if-none-exist", "identifier=http://example.org|1"),
    ("if-modified-since", "Sat, 29 Oct 1994 19:43:31 GMT"),
    ("prefer", "respond-async"),
    ("prefer", "handling=strict; return=minimal"),
    ("range", "bytes=0-9"),
    (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    ("user-agent", "test/1 (a \"comment\")"),
    ("via", "1.1 somebody"),
    ("x-ms-profile-validation", "true"),
    ("x-provenance", "{\"resourceType\":\"Provenance\"}"),
    ("x-request-id", "8f14e45f-ceea-467f-a1b2-0a1b2c3d4e5f"),
    ("x-twice", "b"),
    ("x-twice", "a"),
    ("x-twice", "b"),
    ("x-empty", ""),
];

#[tokio::test]
async fn all_else_arrives_as_it_was_sent() {
    use std::fmt::Write as _;

    let stages = stages().await;
    let mut lines = String::new();
    for (name, value) in KEPT {
        let _ = write!(lines, "{name}: {value}\r\n");
    }
    for headers in seen(&stages, &lines).await {
        for (name, _) in KEPT {
            let expected: Vec<&str> = KEPT
                .iter()
                .filter(|(other, _)| other == name)
                .map(|(_, value)| *value)
                .collect();
            let arrived: Vec<_> = headers.get_all(*name).iter().collect();
            assert_eq!(arrived, expected, "{name}");
        }
        assert!(
            headers
                .keys()
                .all(|name| ["host", "authorization"].contains(&name.as_str())
                    || KEPT.iter().any(|(kept, _)| kept == name)),
            "nothing is added: {headers:?}"
        );
    }
}

#[tokio::test]
async fn bytes_beyond_ascii_pass_both_ways() {
    let upstream =
        Scripted::answering(*b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Back: \xe4\xff\r\n\r\n")
            .await;
    let stage = upstream.routed().start().await;
    let request = b"GET /plain HTTP/1.1\r\nHost: localhost\r\nX-Name: J\xfcrgen \xc3\xa4\r\n\r\n";
    let answer = client::raw(stage.address(), request).await;
    assert_eq!(answer.header("x-back"), Some("\u{e4}\u{ff}"));
    let head = upstream.heads().pop().expect("it was forwarded");
    let head = head.to_ascii_lowercase();
    assert!(
        head.contains("x-name: j\u{fc}rgen \u{c3}\u{a4}\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn a_response_keeps_all_but_what_belongs_to_its_connection() {
    let upstream = Scripted::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop\r\nConnection: x-hop-TWO\r\n\
         X-Hop: 1\r\nX-Hop-Two: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n\
         Proxy-Connection: keep-alive\r\n\
         ETag: W/\"3\"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nRetry-After: 7\r\nx-ms-retry-after-ms: 7000\r\n\
         WWW-Authenticate: Bearer error=\"x\"\r\nX-Request-Id: r\r\nCache-Control: no-cache\r\nServer: s\r\n\
         Last-Modified: Sat, 29 Oct 1994 19:43:31 GMT\r\nX-Twice: b\r\nX-Twice: a\r\n\
         Content-Type: application/fhir+json; charset=\"utf-8\"\r\nDate: Sat, 29 Oct 1994 19:43:31 GMT\r\n\r\nok",
    )
    .await;
    let stage = upstream.routed().start().await;
    let request = b"GET /plain/Patient/1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = client::raw(stage.address(), request).await;
    let expected = [
        ("content-length", "2"),
        ("etag", "W/\"3\""),
        ("content-security-policy", "sandbox"),
        ("x-content-type-options", "nosniff"),
        ("retry-after", "7"),
        ("x-ms-retry-after-ms", "7000"),
        ("www-authenticate", "Bearer error=\"x\""),
        ("x-request-id", "r"),
        ("cache-control", "no-cache"),
        ("server", "s"),
        ("last-modified", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ("x-twice", "b"),
        ("x-twice", "a"),
        ("content-type", "application/fhir+json; charset=\"utf-8\""),
        ("date", "Sat, 29 Oct 1994 19:43:31 GMT"),
    ];
    let mut expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut headers = answer.headers.clone();
    // Stable, so that the order of a header's own lines counts.
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(headers, expected);
    assert_eq!(answer.text(), "ok");
}

#[tokio::test]
async fn headers_of_the_route_replace_the_clients() {
    let stage = Setup::new()
        .with(
            "routes.fhir",
            "headers = { \"X-MS-AZUREFHIR-AUDIT-SITE\" = \"lab-3\", \"Prefer\" = \"handling=strict\" }",
        )
        .start()
        .await;
    let headers = [
        ("x-ms-azurefhir-audit-site", "theirs"),
        ("Prefer", "a"),
        ("prefer", "b"),
    ];
    client::request(stage.address(), "GET", "/fhir/Patient", &headers, b"").await;
    let request = stage.forwarded();
    for (name, value) in [
        ("x-ms-azurefhir-audit-site", "lab-3"),
        ("prefer", "handling=strict"),
    ] {
        let arrived: Vec<_> = request.headers.get_all(name).iter().collect();
        assert_eq!(arrived, [value]);
    }
}

#[tokio::test]
async fn redirects_are_passed_on_and_never_followed() {
    let evil = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let stage = Stage::start().await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/stolen?status={status}", evil.address());
        stage.emulator.fhir().faults().next(
            1,
            Fault::Respond {
                status,
                headers: vec![("Location".to_owned(), location.clone())],
                body: String::new(),
            },
        );
        let before = stage.upstream_hits();
        let answer = client::get(stage.address(), "/fhir/Patient").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("location"), Some(location.as_str()));
        assert_eq!(stage.upstream_hits(), before + 1);
    }
    assert!(evil.heads().is_empty(), "{:?}", evil.heads());
}

/// HTTP/2 clients treat a 204 with a Content-Length as broken.
#[tokio::test]
async fn an_answer_that_can_have_no_body_has_no_length() {
    for (status, length, expected) in [
        ("204 No Content", "0", None),
        ("204 No Content", "5", None),
        ("304 Not Modified", "5", Some("5")),
        ("205 Reset Content", "0", Some("0")),
    ] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
        let upstream = Scripted::answering(answer).await;
        let stage = upstream.routed().start().await;
        let request = http::Request::delete(format!("http://{}/plain/x", stage.address()))
            .body(http_body_util::Full::<bytes::Bytes>::default())
            .expect("a request");
        let answer = client::http2(stage.address(), request).await;
        let found = answer.headers().get("content-length");
        let found = found.map(|length| length.to_str().expect("digits"));
        assert_eq!(found, expected, "{status} over HTTP/2");
        let answer = client::request(stage.address(), "DELETE", "/plain/x", &[], b"").await;
        // hyper leaves it out of a 304 as well, which may have one or not.
        if expected.is_none() {
            let found = answer.header("content-length");
            assert_eq!(found, None, "{status} over HTTP/1.1");
        }
    }
}
