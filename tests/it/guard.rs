//! The callers that are let in: the names by which the proxy may be called, and the browsers'
//! requests it refuses.

use bytes::Bytes;
use http_body_util::Full;

use crate::support::{Setup, Stage, client};

#[tokio::test]
async fn answers_to_loopback_names_only() {
    let stage = Setup::new()
        .with("security", "allowed_hosts = [\"proxy.lab.localhost\"]")
        .start()
        .await;
    for (lines, status) in [
        ("Host: localhost", 200),
        ("Host: localhost:8080", 200),
        ("Host: LOCALHOST", 200),
        ("Host: 127.0.0.1", 200),
        ("Host: 127.0.0.1:1", 200),
        ("Host: 127.8.9.10:65535", 200),
        ("Host: [::1]", 200),
        ("Host: [::1]:8080", 200),
        ("Host: [0:0:0:0:0:0:0:1]", 200),
        ("Host: proxy.lab.localhost", 200),
        ("Host: Proxy.Lab.Localhost:8080", 200),
        ("Host: evil.example", 421),
        ("Host: evil:8080", 421),
        ("Host: localhost.evil", 421),
        ("Host: LOCALHOST.", 421),
        ("Host: evil.localhost", 421),
        ("Host: 127.0.0.1.nip.io", 421),
        ("Host: 0.0.0.0", 421),
        ("Host: 128.0.0.1", 421),
        ("Host: 2130706433", 421),
        ("Host: 127.1", 421),
        ("Host: [::]", 421),
        ("Host: [::ffff:127.0.0.1]", 421),
        ("Host: x.proxy.lab.localhost", 421),
        ("Host: proxy.lab.localhost.", 421),
        ("Host: user@localhost", 421),
        ("Host: localhost@evil.example", 421),
        ("Host: demo-fhir.fhir.azurehealthcareapis.com", 421),
        ("Host: ", 400),
        ("Host: localhost, evil.example", 400),
        ("Host: localhost evil.example", 400),
        ("Host: localhost/evil", 400),
        ("Host: localhost:x", 400),
        ("Host: localhost:99999", 400),
        ("Host: localhost:+80", 400),
        ("Host: [::1]x", 400),
        ("Host: [::1", 400),
        ("Host: ::1", 400),
        ("Host: localhost\r\nHost: localhost", 400),
        ("Host: localhost\r\nHost: evil.example", 400),
        ("Host: evil.example\r\nX-Forwarded-Host: localhost", 421),
        ("X-No-Host: 1", 400),
    ] {
        let before = stage.upstream_hits();
        let request =
            format!("GET /fhir/metadata HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n");
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        assert_eq!(answer.status, status, "{lines:?}");
        let sent = u64::from(status == 200);
        assert_eq!(stage.upstream_hits(), before + sent, "{lines:?}");
        assert_eq!(
            answer.header("proxy-status").is_none(),
            status == 200,
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn is_nobodys_forward_proxy() {
    let stage = Stage::start().await;
    for line in [
        "GET http://evil.example/fhir/metadata HTTP/1.1",
        "GET https://127.0.0.1/fhir/metadata HTTP/1.1",
        "CONNECT localhost:443 HTTP/1.1",
        "CONNECT evil.example:443 HTTP/1.1",
    ] {
        let request = format!("{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        assert_eq!(answer.status, 421, "{line}");
        assert!(answer.header("proxy-status").is_some(), "{line}");
    }
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn a_target_that_names_the_proxy_counts_and_not_the_host() {
    let stage = Setup::new()
        .with("security", "allowed_hosts = [\"proxy.lab.localhost\"]")
        .start()
        .await;
    for (name, lines, status) in [
        ("localhost:8080", "Host: localhost:8080", 200),
        ("localhost:8080", "Host: proxy.lab.localhost", 200),
        ("localhost:8080", "Host: evil.example", 200),
        ("LocalHost", "Host: localhost", 200),
        ("[::1]:8080", "Host: localhost", 200),
        ("127.0.0.1:", "Host: localhost", 200),
        ("proxy.lab.localhost", "Host: evil.example", 200),
        ("evil.example", "Host: localhost", 421),
        ("evil.example", "Host: evil.example", 421),
        ("localhost.", "Host: localhost", 421),
        ("127.0.0.1.nip.io", "Host: localhost", 421),
        ("user@localhost", "Host: localhost", 421),
        ("localhost@evil.example", "Host: localhost", 421),
        ("localhost:99999", "Host: localhost", 400),
        ("localhost", "X-No-Host: 1", 400),
        ("localhost", "Host: localhost\r\nHost: localhost", 400),
        ("localhost", "Host: localhost, evil.example", 400),
        ("localhost", "Host: ", 400),
    ] {
        let before = stage.upstream_hits();
        let request = format!(
            "GET http://{name}/fhir/metadata HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n"
        );
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        assert_eq!(answer.status, status, "{name} {lines:?}");
        let sent = u64::from(status == 200);
        assert_eq!(stage.upstream_hits(), before + sent, "{name} {lines:?}");
        if status == 200 {
            let url = answer.json()["url"].as_str().map(str::to_owned);
            let base = format!("http://{}/fhir/", name.trim_end_matches(':'));
            assert!(url.is_some_and(|url| url.starts_with(&base)), "{name}");
        }
    }
}

#[tokio::test]
async fn http2_follows_the_same_rules() {
    let stage = Stage::start().await;
    for (authority, host, status) in [
        ("localhost", None, 200),
        ("127.0.0.1:8080", None, 200),
        ("[::1]:8080", None, 200),
        ("localhost:8080", Some("localhost:8080"), 200),
        ("evil.example", None, 421),
        ("localhost.", None, 421),
        ("localhost.evil:8080", None, 421),
        ("evil.example", Some("localhost"), 421),
        ("localhost", Some("evil.example"), 421),
    ] {
        let before = stage.upstream_hits();
        let mut request = http::Request::get(format!("http://{authority}/fhir/metadata"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request
            .body(Full::<Bytes>::default())
            .expect("a valid request");
        let answer = client::http2(stage.address(), request).await;
        let case = format!("{authority} {host:?}");
        assert_eq!(answer.status(), status, "{case}");
        let sent = u64::from(status == 200);
        assert_eq!(stage.upstream_hits(), before + sent, "{case}");
    }
}

#[tokio::test]
async fn pages_of_other_sites_get_nothing() {
    let stage = Stage::start().await;
    let text = ("Content-Type", "text/plain");
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("GET", &[("Origin", "https://evil.example")]),
        ("GET", &[("Origin", "null")]),
        ("GET", &[("Origin", "")]),
        ("GET", &[("Origin", "http://localhost")]),
        ("GET", &[("Origin", "http://127.0.0.1:8080")]),
        ("GET", &[("Sec-Fetch-Site", "cross-site")]),
        ("GET", &[("Sec-Fetch-Site", "same-site")]),
        ("GET", &[("Sec-Fetch-Site", "Cross-Site")]),
        (
            "GET",
            &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
        ),
        (
            "GET",
            &[
                ("Sec-Fetch-Site", "cross-site"),
                ("Sec-Fetch-Mode", "navigate"),
            ],
        ),
        ("POST", &[("Origin", "https://evil.example"), text]),
        ("POST", &[("Sec-Fetch-Site", "cross-site"), text]),
        ("DELETE", &[("Origin", "https://evil.example")]),
        (
            "OPTIONS",
            &[
                ("Origin", "https://evil.example"),
                ("Access-Control-Request-Method", "DELETE"),
            ],
        ),
        (
            "OPTIONS",
            &[
                ("Origin", "https://evil.example"),
                ("Access-Control-Request-Method", "GET"),
                ("Access-Control-Request-Private-Network", "true"),
            ],
        ),
    ];
    for (method, headers) in cases {
        let body: &[u8] = if *method == "POST" { b"{}" } else { b"" };
        let answer = client::request(stage.address(), method, "/fhir/Patient", headers, body).await;
        assert_eq!(answer.status, 403, "{method} {headers:?}");
        assert_eq!(answer.json()["issue"][0]["code"], "forbidden");
        assert!(
            !answer
                .headers
                .iter()
                .any(|(name, _)| name.starts_with("access-control-")),
            "{method} {headers:?}: {answer:?}"
        );
    }
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn programs_and_the_address_bar_pass() {
    let stage = Stage::start().await;
    for headers in [
        &[][..],
        &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")],
        &[
            ("Sec-Fetch-Site", "same-origin"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ],
        &[("Referer", "https://evil.example/")],
        &[("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")],
    ] {
        let answer = client::request(stage.address(), "GET", "/fhir/Patient", headers, b"").await;
        assert_eq!(answer.status, 200, "{headers:?}");
    }
}
