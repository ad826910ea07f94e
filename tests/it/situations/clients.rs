//! Clients that call the proxy in another way than it expects.

use http::Request;
use http_body_util::Full;

use super::{Scene, expect};
use crate::support::{
    client,
    tls::{Authority, open},
};

#[tokio::test]
async fn a_client_that_speaks_tls() {
    let scene = Scene::start(&[]).await;
    let client = Authority::new().client(&["http/1.1"], None);
    open(scene.address, client).await.expect_err("no TLS");
    let line = scene
        .logs(&[
            "WARN",
            "speaks TLS (https) to an address that speaks plain HTTP",
            "Call it with http://",
            "`tls` below [security]",
        ])
        .await;
    assert!(line.contains("remedy="), "43: {line}");
    let answer = client::raw(scene.address, b"\x16\x03\x01\x02\x00\x01").await;
    expect(
        "43",
        &answer,
        400,
        &["speaks plain HTTP. Call it with http://"],
    );
}

#[tokio::test]
async fn paths_that_no_route_has() {
    let scene = Scene::start(&[]).await;
    client::until(scene.admin, "/readyz", |answer| answer.status == 200).await;
    for path in ["/Patient", "/FHIR/Patient", "/"] {
        let answer = client::get(scene.address, path).await;
        expect(
            "44",
            &answer,
            404,
            &["No route has this path", "The routes are: /dicom/, /fhir/"],
        );
    }
    for path in ["/dicom/studies", "/dicom", "/dicom/v2", "/dicom/v2/"] {
        let answer = client::get(scene.address, path).await;
        assert_eq!(answer.status, 404, "45: {path}");
        let status = answer.header("proxy-status").expect(path);
        assert!(status.contains("call /dicom/v2/studies"), "45: {status}");
    }
    scene
        .logs(&[
            "WARN",
            "paths of a DICOM service begin with its version",
            "call /dicom/v2/studies",
        ])
        .await;
}

#[tokio::test]
async fn a_browser_at_the_root() {
    let scene = Scene::start(&[]).await;
    let browser = [
        ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
        ("User-Agent", "Mozilla/5.0"),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Mode", "navigate"),
    ];
    for (address, parts) in [
        (
            scene.address,
            &[
                "This path has no service",
                "<a href=\"/fhir/metadata\">",
                "<li>/dicom/</li>",
            ][..],
        ),
        (scene.admin, &["the admin address", "<a href=\"/status\">"]),
    ] {
        let answer = client::request(address, "GET", "/", &browser, b"").await;
        expect("46", &answer, 404, parts);
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8"),
            "46"
        );
        assert_eq!(
            answer.header("content-security-policy"),
            Some("sandbox"),
            "46"
        );
        let head = client::request(address, "HEAD", "/", &browser, b"").await;
        assert_eq!(
            head.header("content-type"),
            Some("text/html; charset=utf-8"),
            "46"
        );
    }
}

#[tokio::test]
async fn names_and_pages_that_are_not_allowed() {
    let scene = Scene::start(&[]).await;
    for host in ["host.docker.internal:8080", "evil.example"] {
        let request =
            format!("GET /fhir/metadata HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = client::raw(scene.address, request.as_bytes()).await;
        expect(
            "47",
            &answer,
            421,
            &[
                "This Host is not allowed",
                "add the name to security.allowed_hosts",
            ],
        );
    }
    let page = [("Origin", "http://localhost:3000")];
    let answer = client::request(scene.address, "GET", "/fhir/Patient", &page, b"").await;
    expect(
        "49",
        &answer,
        403,
        &[
            "Requests from web pages are not allowed",
            "add its origin to security.allowed_origins",
        ],
    );
}

#[tokio::test]
async fn a_client_that_takes_it_for_its_http_proxy() {
    let scene = Scene::start(&[]).await;
    for line in [
        "GET http://example.org/fhir/Patient HTTP/1.1",
        "CONNECT example.org:443 HTTP/1.1",
    ] {
        let request = format!("{line}\r\nHost: example.org\r\nConnection: close\r\n\r\n");
        let answer = client::raw(scene.address, request.as_bytes()).await;
        let parts = [
            "a reverse proxy, not an HTTP proxy",
            "http://localhost:8080/fhir/Patient",
            "unset http_proxy",
        ];
        expect("48", &answer, 421, &parts);
    }
    scene
        .logs(&[
            "WARN",
            "uses this address as its HTTP proxy",
            "remedy=\"Call it by its own address",
        ])
        .await;
}

#[tokio::test]
async fn a_refused_upload_over_http2() {
    let lines = [("routes.fhir", "read_only = true".to_owned())];
    let scene = Scene::start(&lines).await;
    let request = Request::post(format!("http://{}/fhir/Patient", scene.address));
    let request = request
        .body(Full::from(vec![b'x'; 100_000]))
        .expect("a request");
    let answer = client::http2(scene.address, request).await;
    assert_eq!(answer.status(), 403, "63");
    let body = String::from_utf8_lossy(answer.body());
    assert!(body.contains("Route fhir is read-only"), "63: {body}");
}

#[tokio::test]
async fn a_response_of_the_proxys_own_names_its_line_in_the_log() {
    let scene = Scene::start(&[]).await;
    let answer = client::get(scene.address, "/nothing").await;
    let id = answer.header("x-request-id").expect("an id").to_owned();
    let line = scene.logs(&["INFO request ", "status=404"]).await;
    assert!(
        line.contains(&format!("request_id={id}")),
        "friction 20: {line}"
    );

    let given = [("X-Request-Id", "8f14e45f-ceea-467f-a1b2-0a1b2c3d4e5f")];
    let answer = client::request(scene.address, "GET", "/nothing", &given, b"").await;
    assert_eq!(
        answer.header("x-request-id"),
        Some(given[0].1),
        "friction 20"
    );
}
