//! The upstream target for each request target, byte for byte, and the targets that are refused.

use azure_emulator::{FHIR_AUDIENCE, Http, Traffic};

use crate::support::{Setup, Stage, client, scripted::Scripted};

/// The expected outcome for a request target.
enum Expected {
    /// The FHIR service sees exactly this.
    Fhir(&'static str),
    /// The DICOM service sees exactly this.
    Dicom(&'static str),
    /// The proxy responds itself, and no service sees the request.
    Own(u16),
}

use Expected::{Dicom, Fhir, Own};

const GOLDEN: &[(&str, Expected)] = &[
    ("/fhir", Fhir("/")),
    ("/fhir/", Fhir("/")),
    ("/fhir?", Fhir("/?")),
    ("/fhir?_count=1", Fhir("/?_count=1")),
    ("/fhir/Patient", Fhir("/Patient")),
    ("/fhir/Patient/", Fhir("/Patient/")),
    ("/fhir/Patient?", Fhir("/Patient?")),
    ("/fhir/Patient?name=a?b", Fhir("/Patient?name=a?b")),
    ("/fhir/Patient?name=x%20y+z", Fhir("/Patient?name=x%20y+z")),
    ("/fhir/a%2Fb", Fhir("/a%2Fb")),
    ("/fhir/a%2fb", Fhir("/a%2fb")),
    ("/fhir/a%3Ab:c", Fhir("/a%3Ab:c")),
    (
        "/fhir/Observation?code=http://loinc.org|1234-5",
        Fhir("/Observation?code=http://loinc.org|1234-5"),
    ),
    ("/fhir/a|b+c", Fhir("/a|b+c")),
    ("/fhir//Patient", Fhir("//Patient")),
    ("/fhir/a//b///", Fhir("/a//b///")),
    ("/fhir/$export", Fhir("/$export")),
    ("/fhir/%24export", Fhir("/%24export")),
    ("/fhir/./Patient", Fhir("/./Patient")),
    ("/fhir/Patient;v=1/x", Fhir("/Patient;v=1/x")),
    ("/fhir/Patient/a.b..c", Fhir("/Patient/a.b..c")),
    ("/fhir/...", Fhir("/...")),
    ("/fhir/100%25", Fhir("/100%25")),
    ("/fhir/%zz", Fhir("/%zz")),
    ("/fhir/%41", Fhir("/%41")),
    ("/fhir/%C3%A4", Fhir("/%C3%A4")),
    ("/fhir/x?next=/../y", Fhir("/x?next=/../y")),
    ("/fhir/x?a=%2e%2e%2f%00", Fhir("/x?a=%2e%2e%2f%00")),
    ("/fhir/fhir", Fhir("/fhir")),
    ("/fhir/dicom", Fhir("/dicom")),
    ("/dicom/v2/changefeed", Dicom("/v2/changefeed")),
    (
        "/dicom/v2/studies?PatientName=Doe^*&includefield=all",
        Dicom("/v2/studies?PatientName=Doe^*&includefield=all"),
    ),
    ("/fhir/../dicom", Own(400)),
    ("/fhir/..", Own(400)),
    ("/fhir/../", Own(400)),
    ("/fhir/a/../../dicom/", Own(400)),
    ("/fhir/a/..", Own(400)),
    ("/fhir/%2e%2e/", Own(400)),
    ("/fhir/%2E%2e/", Own(400)),
    ("/fhir/.%2e/dicom", Own(400)),
    ("/fhir/%2e./dicom", Own(400)),
    ("/fhir/%252e%252e/dicom", Own(400)),
    ("/fhir/..%2fdicom", Own(400)),
    ("/fhir/a%2f..%2f..%2fb", Own(400)),
    ("/fhir/a%252f..%252fb", Own(400)),
    ("/fhir/..%5cdicom", Own(400)),
    ("/fhir/..;/dicom", Own(400)),
    ("/fhir/..;a=b/dicom", Own(400)),
    ("/fhir/%2e%2e%3b/dicom", Own(400)),
    ("/fhir/\\..\\dicom", Own(400)),
    ("/fhir/a\\b", Own(400)),
    ("/fhir/a%00b", Own(400)),
    ("/fhir/a%2500b", Own(400)),
    ("/dicom/../fhir/Patient", Own(400)),
    ("/fhir%2f..", Own(404)),
    ("/fhir%2F..%2Fdicom", Own(404)),
    ("/fhir%2fPatient", Own(404)),
    ("/fhirX", Own(404)),
    ("/fhir;x", Own(404)),
    ("/fhir.", Own(404)),
    ("/fhir\\Patient", Own(404)),
    ("/fhir%00/Patient", Own(404)),
    ("/fhi%72/Patient", Own(404)),
    ("/FHIR", Own(404)),
    ("/FHIR/Patient", Own(404)),
    ("//fhir", Own(404)),
    ("//fhir/Patient", Own(404)),
    ("/./fhir/Patient", Own(404)),
    ("/x/../fhir/Patient", Own(404)),
    ("/", Own(404)),
    ("/?fhir/", Own(404)),
    ("/emulator/echo", Own(404)),
    ("*", Own(404)),
];

async fn check(stage: &Stage, target: &str, expected: &Expected) {
    let fhir = stage.emulator.fhir().traffic();
    let dicom = stage.emulator.dicom().traffic();
    fhir.forget();
    dicom.forget();
    let answer = client::get(stage.address(), target).await;
    let seen = |traffic: &Traffic| {
        let requests = traffic.recorded();
        assert!(requests.len() <= 1, "{target} was sent more than once");
        requests.first().map(|request| request.target.clone())
    };
    let (at_fhir, at_dicom) = (seen(fhir), seen(dicom));
    assert!(
        !(300..400).contains(&answer.status),
        "{target} was redirected"
    );
    match expected {
        Fhir(upstream) => {
            assert_eq!(at_fhir.as_deref(), Some(*upstream), "{target}: {answer:?}");
            assert_eq!(at_dicom, None, "{target}");
        }
        Dicom(upstream) => {
            assert_eq!(at_dicom.as_deref(), Some(*upstream), "{target}: {answer:?}");
            assert_eq!(at_fhir, None, "{target}");
        }
        Own(status) => {
            assert_eq!(answer.status, *status, "{target}");
            assert!(answer.header("proxy-status").is_some(), "{target}");
            assert_eq!((at_fhir, at_dicom), (None, None), "{target}");
        }
    }
}

#[tokio::test]
async fn every_target_goes_where_it_says_or_nowhere() {
    for http in [Http::Http1, Http::Http2] {
        let stage = Setup::new()
            .emulator(|options| options.http = http)
            .with("routes.fhir", "http = \"auto\"")
            .start()
            .await;
        for (target, expected) in GOLDEN {
            check(&stage, target, expected).await;
        }
    }
}

#[tokio::test]
async fn a_long_continuation_token_arrives_whole() {
    let stage = Stage::start().await;
    let query = format!("/Patient?_count=10&ct={}", "aB%2F+1/=".repeat(1820));
    assert!(query.len() > 16_000);
    client::get(stage.address(), &format!("/fhir{query}")).await;
    let request = stage.forwarded();
    assert_eq!(request.target, query);
}

#[tokio::test]
async fn a_method_stays_what_it_was() {
    let stage = Stage::start().await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "SEARCH"] {
        client::request(stage.address(), method, "/fhir//emulator/echo/", &[], b"{}").await;
        let request = stage.forwarded();
        assert_eq!(request.method.as_str(), method);
        assert_eq!(request.target, "//emulator/echo/");
        assert_eq!(&request.body[..], b"{}", "{method}");
    }
}

#[tokio::test]
async fn prefixes_of_any_shape_and_upstreams_with_a_path() {
    let upstream = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let route = |prefix: &str, path: &str| {
        format!(
            "upstream = \"http://{}{path}\"\nkind = \"http\"\naudience = \"{FHIR_AUDIENCE}\"\nprefix = \"{prefix}\"",
            upstream.address()
        )
    };
    let stage = Setup::new()
        .with("routes.root", route("/", "/root"))
        .with("routes.one", route("/lab", "/v2"))
        .with("routes.two", route("/lab/b", ""))
        .with("routes.three", route("/lab/b/deep-er", "/a/b"))
        .start()
        .await;
    for (target, expected) in [
        ("/lab", "/v2"),
        ("/lab/", "/v2/"),
        ("/lab?", "/v2?"),
        ("/lab?x=1", "/v2?x=1"),
        ("/lab/studies//1?", "/v2/studies//1?"),
        ("/lab/bb", "/v2/bb"),
        ("/lab/b", "/"),
        ("/lab/b/", "/"),
        ("/lab/b?x", "/?x"),
        ("/lab/b/deep", "/deep"),
        ("/lab/b/deep-er", "/a/b"),
        ("/lab/b/deep-er/c", "/a/b/c"),
        ("/lab/b/deep-er.", "/deep-er."),
        ("/", "/root/"),
        ("/labs", "/root/labs"),
        ("//lab/x", "/root//lab/x"),
        ("/?q", "/root/?q"),
    ] {
        let answer = client::get(stage.address(), target).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        let head = upstream.heads().pop().expect("it was forwarded");
        let line = head.lines().next().unwrap_or_default();
        assert_eq!(line, format!("GET {expected} HTTP/1.1"), "{target}");
    }
    let before = upstream.heads().len();
    for target in [
        "/..",
        "/lab/../x",
        "/lab%2f..",
        "/lab/b/..",
        "/x\\..\\y",
        "/%2e%2e",
    ] {
        let answer = client::get(stage.address(), target).await;
        assert_eq!(answer.status, 400, "{target}");
    }
    assert_eq!(upstream.heads().len(), before);
}
