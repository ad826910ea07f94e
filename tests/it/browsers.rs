//! The protections against web pages, and against scripts in stored content.

use azure_emulator::FHIR_AUDIENCE;

use crate::support::{
    Setup, Stage,
    client::{self, Answer},
    scripted::Scripted,
};

const BROWSER: (&str, &str) = (
    "User-Agent",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36",
);

async fn get(stage: &Stage, path: &str, headers: &[(&str, &str)]) -> Answer {
    client::request(stage.address(), "GET", path, headers, b"").await
}

/// An upstream's response of this type, with these lines in its head.
fn answer(content_type: Option<&str>, lines: &str) -> String {
    let content_type =
        content_type.map_or_else(String::new, |value| format!("Content-Type: {value}\r\n"));
    format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{content_type}{lines}\r\nok")
}

#[tokio::test]
async fn what_is_stored_can_do_nothing_when_it_is_opened() {
    for (content_type, lines) in [
        (Some("text/html"), ""),
        (Some("image/svg+xml"), ""),
        (Some("application/xml"), ""),
        (Some("application/fhir+json"), ""),
        (Some("application/dicom"), ""),
        (Some("application/pdf"), ""),
        (None, ""),
        (
            Some("text/html"),
            "Content-Security-Policy: script-src *\r\n",
        ),
    ] {
        let upstream = Scripted::answering(answer(content_type, lines)).await;
        let stage = upstream.routed().start().await;
        let answer = get(&stage, "/plain/Binary/x", &[]).await;
        assert_eq!(
            answer.all("content-security-policy"),
            ["sandbox"],
            "{content_type:?}"
        );
        assert_eq!(answer.all("x-content-type-options"), ["nosniff"]);
    }
}

#[tokio::test]
async fn headers_about_the_services_own_origin_do_not_arrive() {
    let foreign = [
        "Access-Control-Allow-Origin: *",
        "Access-Control-Allow-Credentials: true",
        "Accept-CH: Sec-CH-UA-Model",
        "Alt-Svc: h3=\":443\"; ma=86400",
        "Clear-Site-Data: \"cookies\", \"storage\"",
        "Content-Security-Policy-Report-Only: default-src 'none'; report-uri https://evil.example",
        "Expect-CT: max-age=1, report-uri=\"https://evil.example\"",
        "NEL: {\"report_to\":\"a\",\"max_age\":1}",
        "Public-Key-Pins: max-age=1",
        "Refresh: 0; url=https://evil.example",
        "Report-To: {\"group\":\"a\",\"max_age\":1,\"endpoints\":[]}",
        "Reporting-Endpoints: a=\"https://evil.example\"",
        "Service-Worker-Allowed: /",
        "Set-Cookie: a=1; Path=/",
        "Set-Cookie: b=2",
        "Strict-Transport-Security: max-age=31536000; includeSubDomains",
        "Timing-Allow-Origin: *",
        "Secure-Session-Registration: (ES256);path=\"/a\"",
        "X-Permitted-Cross-Domain-Policies: all",
    ];
    let upstream = Scripted::answering(answer(
        Some("text/plain"),
        &(foreign.join("\r\n") + "\r\nX-Kept: 1\r\n"),
    ))
    .await;
    let stage = upstream.routed().start().await;
    let answer = get(&stage, "/plain/Patient/1", &[]).await;
    assert_eq!(answer.header("x-kept"), Some("1"));
    for line in foreign {
        let name = line.split(':').next().expect("a name").to_ascii_lowercase();
        assert_eq!(answer.header(&name), None, "{name}");
    }
}

#[tokio::test]
async fn no_service_worker_is_handed_out() {
    let stage = Stage::start().await;
    for headers in [
        &[("Service-Worker", "script")][..],
        &[
            ("Sec-Fetch-Dest", "serviceworker"),
            ("Sec-Fetch-Site", "same-origin"),
        ],
        &[
            ("Service-Worker", "script"),
            ("Sec-Fetch-Site", "none"),
            ("Sec-Fetch-Mode", "navigate"),
        ],
    ] {
        let answer = get(&stage, "/fhir/Binary/x", headers).await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert!(
            answer.text().contains("Service workers"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(stage.upstream_hits(), 0);
}

/// A browser's headers on a request without Origin, and whether it passes.
const FETCHES: [(&str, &str, &str, bool); 9] = [
    ("none", "navigate", "document", true),
    ("none", "cors", "empty", false),
    ("none", "no-cors", "image", false),
    ("same-origin", "navigate", "document", true),
    ("same-origin", "navigate", "iframe", false),
    ("same-origin", "cors", "empty", false),
    ("same-origin", "no-cors", "script", false),
    ("same-site", "navigate", "document", false),
    ("cross-site", "navigate", "document", false),
];

fn fetch<'a>(site: &'a str, mode: &'a str, dest: &'a str) -> [(&'static str, &'a str); 4] {
    [
        ("Sec-Fetch-Site", site),
        ("Sec-Fetch-Mode", mode),
        ("Sec-Fetch-Dest", dest),
        BROWSER,
    ]
}

#[tokio::test]
async fn a_page_at_the_proxys_own_address_reads_nothing() {
    let stage = Stage::start().await;
    for (site, mode, dest, passes) in FETCHES {
        let headers = fetch(site, mode, dest);
        let answer = get(&stage, "/fhir/Patient?_count=1", &headers).await;
        let status = if passes { 200 } else { 403 };
        assert_eq!(answer.status, status, "{site} {mode} {dest}");
    }
}

#[tokio::test]
async fn an_origin_that_is_allowed_may_be_the_proxys_own() {
    let upstream = Scripted::answering(answer(Some("text/plain"), "")).await;
    let setup = upstream.routed();
    let setup = setup.with("security", "allowed_origins = [\"http://localhost:8080\"]");
    let stage = setup.start().await;
    for (host, status) in [
        ("localhost:8080", 200),
        ("LocalHost:8080", 200),
        ("localhost:8081", 403),
    ] {
        let head = format!(
            "GET /plain/x HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nConnection: close\r\n\r\n"
        );
        let answer = client::raw(stage.address(), head.as_bytes()).await;
        assert_eq!(answer.status, status, "{host}");
    }
}

#[tokio::test]
async fn an_application_behind_the_proxy_reads_its_own_route_and_no_other() {
    let page =
        "Content-Security-Policy: script-src 'self'\r\nStrict-Transport-Security: max-age=1\r\n";
    let upstream = Scripted::answering(answer(Some("text/html"), page)).await;
    let application = format!(
        "upstream = \"http://{}\"\nkind = \"http\"\naudience = \"{FHIR_AUDIENCE}\"\npages = true",
        upstream.address()
    );
    let stage = Setup::new().with("routes.app", application).start().await;
    let script = fetch("same-origin", "no-cors", "script");
    let answer = get(&stage, "/app/main.js", &script).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.all("content-security-policy"), ["script-src 'self'"]);
    assert_eq!(answer.header("strict-transport-security"), None);

    let own = format!("http://{}", stage.address());
    let post = [("Origin", &*own), ("Sec-Fetch-Site", "same-origin")];
    let posted = client::request(stage.address(), "POST", "/app/save", &post, b"{}").await;
    assert_eq!(posted.status, 200);
    for path in ["/fhir/Patient", "/dicom/v2/studies", "/nowhere"] {
        assert_eq!(get(&stage, path, &script).await.status, 403, "{path}");
        let posted = client::request(stage.address(), "POST", path, &post, b"{}").await;
        assert_eq!(posted.status, 403, "{path}");
    }
    let foreign = [("Origin", "http://evil.example")];
    let posted = client::request(stage.address(), "POST", "/app/save", &foreign, b"{}").await;
    assert_eq!(posted.status, 403);
}

#[tokio::test]
async fn a_browser_that_says_nothing_of_its_page_is_refused_by_names_without_loopback() {
    let upstream = Scripted::answering(answer(Some("text/plain"), "")).await;
    let setup = upstream
        .routed()
        .with(
            "routes.plain",
            "public_url = \"https://gate.example/plain\"",
        )
        .with("security", "allowed_hosts = [\"gate.example\"]");
    let stage = setup.start().await;
    let navigation = "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate";
    for (host, line, status) in [
        ("gate.example", "User-Agent: Mozilla/5.0 (Macintosh)", 403),
        (
            "gate.example",
            &format!("User-Agent: Mozilla/5.0\r\n{navigation}"),
            200,
        ),
        ("gate.example", "User-Agent: curl/8.0", 200),
        ("gate.example", "Accept: */*", 200),
        ("localhost", "User-Agent: Mozilla/5.0 (Macintosh)", 200),
    ] {
        let head =
            format!("GET /plain/x HTTP/1.1\r\nHost: {host}\r\n{line}\r\nConnection: close\r\n\r\n");
        let answer = client::raw(stage.address(), head.as_bytes()).await;
        assert_eq!(answer.status, status, "{host} {line}");
    }
}

#[tokio::test]
async fn applications_made_of_pages_are_origins_too() {
    for origin in [
        "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
        "vscode-webview://0f1e2d",
        "tauri://localhost",
        "app://obsidian.md",
        "capacitor://localhost",
    ] {
        let lines = format!("allowed_origins = [\"{origin}\"]");
        let stage = Setup::new().with("security", lines).start().await;
        let answer = get(&stage, "/fhir/Patient", &[("Origin", origin)]).await;
        assert_eq!(answer.status, 200, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        let other = format!("{origin}x");
        assert_eq!(
            get(&stage, "/fhir/Patient", &[("Origin", &other)])
                .await
                .status,
            403
        );
    }
}

#[tokio::test]
async fn an_ipv6_address_can_be_an_allowed_host() {
    let setup = Setup::new()
        .with("routes.fhir", "public_url = \"https://[fd00::1]/fhir\"")
        .with("security", "allowed_hosts = [\"[FD00::1]\"]");
    let stage = setup.start().await;
    for (host, status) in [
        ("[fd00::1]", 200),
        ("[fd00::1]:8080", 200),
        ("[FD00:0:0:0:0:0:0:1]", 200),
        ("[fd00::2]", 421),
        ("fd00::1", 400),
    ] {
        let head =
            format!("GET /fhir/metadata HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = client::raw(stage.address(), head.as_bytes()).await;
        assert_eq!(answer.status, status, "{host}");
    }
}
