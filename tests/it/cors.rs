//! Pages of an origin in `security.allowed_origins`.

use azure_emulator::Fault;

use crate::support::{
    Setup, Stage,
    client::{self, Answer},
};

const PAGE: &str = "http://localhost:3000";

async fn stage() -> Stage {
    Setup::new()
        .with(
            "security",
            format!("allowed_origins = [\"{PAGE}\", \"https://viewer.example\"]"),
        )
        .start()
        .await
}

fn list(answer: &Answer, name: &str) -> Vec<String> {
    answer
        .all(name)
        .iter()
        .flat_map(|value| value.split(','))
        .map(|item| item.trim().to_ascii_lowercase())
        .collect()
}

#[tokio::test]
async fn a_preflight_is_answered_here() {
    let stage = stage().await;
    for (path, private) in [("/fhir/Patient", false), ("/dicom/v2/studies", true)] {
        let mut headers = vec![
            ("Origin", PAGE),
            ("Access-Control-Request-Method", "PUT"),
            ("Access-Control-Request-Headers", "content-type,if-match"),
            ("Sec-Fetch-Site", "cross-site"),
        ];
        if private {
            headers.push(("Access-Control-Request-Private-Network", "true"));
        }
        let answer = client::request(stage.address(), "OPTIONS", path, &headers, b"").await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.all("access-control-allow-origin"), [PAGE]);
        assert!(list(&answer, "access-control-allow-methods").contains(&"put".to_owned()));
        assert_eq!(
            list(&answer, "access-control-allow-headers"),
            ["content-type", "if-match"]
        );
        assert!(list(&answer, "vary").contains(&"origin".to_owned()));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(
            answer.header("access-control-allow-private-network"),
            private.then_some("true")
        );
    }
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn a_page_may_read_what_it_asked_for() {
    let stage = stage().await;
    // The service's own word on origins would be about its own name, not ours.
    stage.emulator.fhir().faults().next(
        1,
        Fault::Respond {
            status: 200,
            headers: [
                ("Access-Control-Allow-Origin", "https://portal.example"),
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Expose-Headers", "x-one"),
                ("Vary", "Accept"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            body: "{}".to_owned(),
        },
    );
    let headers = [("Origin", PAGE), ("Sec-Fetch-Site", "cross-site")];
    let answer = client::request(stage.address(), "GET", "/fhir/Patient", &headers, b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.all("access-control-allow-origin"), [PAGE]);
    assert_eq!(answer.all("access-control-expose-headers"), ["*"]);
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(list(&answer, "vary"), ["accept", "origin"]);
}

#[tokio::test]
async fn a_page_may_read_why_the_proxy_refused() {
    let stage = stage().await;
    for path in ["/nowhere", "/fhir/.."] {
        let answer = client::request(stage.address(), "GET", path, &[("Origin", PAGE)], b"").await;
        assert!(answer.header("proxy-status").is_some(), "{path}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some(PAGE),
            "{path}"
        );
    }
}

#[tokio::test]
async fn origins_are_compared_whole() {
    let stage = stage().await;
    for (origin, status) in [
        ("https://viewer.example", 200),
        ("HTTPS://Viewer.Example", 200),
        ("http://viewer.example", 403),
        ("https://viewer.example:443", 403),
        ("https://viewer.example/", 403),
        ("https://viewer.example.evil", 403),
        ("https://x.viewer.example", 403),
        ("http://localhost", 403),
        ("http://localhost:30000", 403),
        ("null", 403),
    ] {
        let headers = [("Origin", origin)];
        let answer = client::request(stage.address(), "GET", "/fhir/Patient", &headers, b"").await;
        assert_eq!(answer.status, status, "{origin}");
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!(allowed, (status == 200).then_some(origin));
    }
    let headers = [("Origin", PAGE), ("Origin", "https://evil.example")];
    let answer = client::request(stage.address(), "GET", "/fhir/Patient", &headers, b"").await;
    assert_eq!(answer.status, 403, "two origins are none");
}

#[tokio::test]
async fn those_without_an_origin_hear_nothing_of_cors() {
    let stage = stage().await;
    let answer = client::get(stage.address(), "/fhir/Patient").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let cross = [("Sec-Fetch-Site", "cross-site")];
    let answer = client::request(stage.address(), "GET", "/fhir/Patient", &cross, b"").await;
    assert_eq!(
        answer.status, 403,
        "an image or a link of any site carries no Origin"
    );
}

#[tokio::test]
async fn options_that_is_no_preflight_goes_to_the_service() {
    let stage = stage().await;
    client::request(
        stage.address(),
        "OPTIONS",
        "/fhir/Patient",
        &[("Origin", PAGE)],
        b"",
    )
    .await;
    client::request(stage.address(), "OPTIONS", "/fhir/Patient", &[], b"").await;
    assert_eq!(stage.upstream_hits(), 2);
}
