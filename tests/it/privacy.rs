//! No output of the program reveals a patient or grants access.

use std::fmt::Write as _;

use azure_emulator::{CLIENT_SECRET, DICOM_AUDIENCE, Emulator, FHIR_AUDIENCE, Fault, Options};
use rustix::process::Signal;

use crate::support::{
    client::{self, Answer},
    fake_az::FakeAz,
    process::{self, Process},
    write_config,
};

/// A marker put into requests and responses, and searched for in all output of the program.
const PATIENT: &str = "Zephyrine";
const ID: &str = "mrn-4711-zz";
const STUDY: &str = "1.2.826.0.1.3680043.4711.99";
const QUERY: &str = "birthdate-19770401";
const SPILLED: &str = "SPILLED-BY-AZ";

/// Everything that must not be found, by name.
fn forbidden(emulator: &Emulator, tokens: &[String]) -> Vec<(&'static str, String)> {
    let mut found: Vec<(&'static str, String)> = [
        ("secret", CLIENT_SECRET),
        ("patient", PATIENT),
        ("id", ID),
        ("study", STUDY),
        ("query", QUERY),
        ("az's output", SPILLED),
    ]
    .map(|(name, text)| (name, text.to_owned()))
    .into();
    found.extend(tokens.iter().map(|token| ("token", token.clone())));
    for service in [emulator.fhir().traffic(), emulator.dicom().traffic()] {
        let requests = service.recorded();
        let sent = requests.iter().filter_map(|request| {
            let value = request.headers.get("authorization")?.to_str().ok()?;
            Some(("token", value.strip_prefix("Bearer ")?.to_owned()))
        });
        found.extend(sent);
    }
    // A signature alone would do no harm, but there is no reason to write one.
    let parts: Vec<_> = found
        .iter()
        .filter(|(name, _)| *name == "token")
        .flat_map(|(_, token)| token.split('.').skip(1).map(str::to_owned))
        .map(|part| ("part of a token", part))
        .collect();
    found.extend(parts);
    found
}

fn assert_clean(text: &str, forbidden: &[(&str, String)]) {
    for (name, secret) in forbidden {
        let line = text.lines().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "{name} in: {line:?}");
    }
}

/// Sends requests of all sorts; returns the proxy's own responses.
async fn traffic(proxy: std::net::SocketAddr, emulator: &Emulator) -> String {
    let patient = format!(
        "{{\"resourceType\":\"Patient\",\"id\":\"{ID}\",\"name\":[{{\"family\":\"{PATIENT}\"}}]}}"
    );
    let json = [
        ("Content-Type", "application/fhir+json"),
        ("Cookie", PATIENT),
    ];
    let target = format!("/fhir/Patient/{ID}");
    let created = client::request(proxy, "PUT", &target, &json, patient.as_bytes()).await;
    assert_eq!(created.status, 201, "{}", created.text());
    assert!(
        created
            .header("location")
            .is_some_and(|place| place.contains(ID))
    );
    for path in [
        format!("/fhir/Patient?name={PATIENT}&x={QUERY}"),
        format!("/dicom/v2/studies/{STUDY}"),
        format!("/dicom/v2/studies?PatientName={PATIENT}&x={QUERY}"),
        format!("/fhir/{PATIENT}/{ID}?{QUERY}"),
    ] {
        client::get(proxy, &path).await;
    }

    emulator
        .fhir()
        .faults()
        .next(1, Fault::respond(500, PATIENT));
    client::get(proxy, &format!("/fhir/Patient/{ID}?{QUERY}")).await;
    let mut own = String::new();
    let mut keep = |answer: &Answer, status: u16| {
        assert_eq!(answer.status, status, "{}", answer.text());
        let _ = writeln!(own, "{:?}\n{}", answer.headers, answer.text());
    };
    emulator.fhir().faults().next(2, Fault::Close);
    keep(
        &client::request(proxy, "POST", &target, &json, patient.as_bytes()).await,
        502,
    );
    emulator.fhir().faults().clear();
    keep(
        &client::get(proxy, &format!("/fhir/../{PATIENT}/{ID}?{QUERY}")).await,
        400,
    );
    keep(
        &client::get(proxy, &format!("/{PATIENT}/{ID}?{QUERY}")).await,
        404,
    );
    let foreign = [("Origin", "https://zephyrine.example")];
    keep(
        &client::request(proxy, "GET", &target, &foreign, b"").await,
        403,
    );
    let host = format!(
        "GET {target}?{QUERY} HTTP/1.1\r\nHost: {PATIENT}.example\r\nConnection: close\r\n\r\n"
    );
    keep(&client::raw(proxy, host.as_bytes()).await, 421);
    let broken = format!("GET {target} {PATIENT} {QUERY} HTTP/1.1\r\n\r\n");
    keep(&client::raw(proxy, broken.as_bytes()).await, 400);
    let method = format!(
        "{PATIENT} {target} HTTP/1.1\r\nHost: {proxy}\r\nX-Request-Id: {ID}\r\nConnection: close\r\n\r\n"
    );
    client::raw(proxy, method.as_bytes()).await;
    own
}

async fn run(format: &str, by_variable: bool) {
    let options = Options {
        samples: true,
        ..Options::default()
    };
    let emulator = Emulator::start(options).await.expect("started");
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let mut command = process::run(&config);
    command.args(["--log-format", format]);
    if by_variable {
        command.env("RUST_LOG", "trace,hyper=trace,h2=trace,rustls=trace");
    } else {
        command.args(["--log", "trace"]);
    }
    let mut process = Process::start(command);
    let (proxy, admin) = process.addresses().await;
    let mut said = traffic(proxy, &emulator).await;
    for path in ["/status", "/readyz", "/nowhere"] {
        said.push_str(client::get(admin, path).await.text());
    }
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(0));
    let log = process.stderr();
    assert!(log.contains("token acquired"), "{log}");
    assert!(log.contains("PUT") && log.contains("Patient") && log.contains("studies"));
    let forbidden = forbidden(&emulator, &[]);
    assert!(forbidden.iter().any(|(name, _)| *name == "token"));
    for text in [&log, &process.stdout(), &said] {
        assert_clean(text, &forbidden);
    }
}

#[tokio::test]
async fn a_text_log_at_its_most_talkative_tells_nothing() {
    run("text", false).await;
}

#[tokio::test]
async fn a_json_log_at_its_most_talkative_tells_nothing() {
    run("json", true).await;
}

#[tokio::test]
async fn an_az_that_spills_secrets_is_not_repeated() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let tokens =
        [FHIR_AUDIENCE, DICOM_AUDIENCE].map(|audience| emulator.entra().issue(audience, 60));
    let fake = FakeAz::bare(&format!(
        "echo 'DEBUG: Authorization: Bearer {}' >&2\necho 'AADSTS700082 {SPILLED}' >&2\n\
         case $R in *dicom*) echo '{SPILLED} {}'; exit 0;; esac\nexit 1",
        tokens[0], tokens[1]
    ));
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &fake.lines(""));
    let mut command = process::run(&config);
    command.args(["--log", "trace"]);
    let mut process = Process::start(command);
    let (proxy, admin) = process.addresses().await;
    let mut said = String::new();
    for path in ["/fhir/Patient", "/dicom/v2/studies"] {
        let answer = client::get(proxy, path).await;
        assert_eq!(answer.status, 503);
        said.push_str(answer.text());
    }
    for path in ["/status", "/readyz"] {
        said.push_str(client::get(admin, path).await.text());
    }
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(0));
    let forbidden = forbidden(&emulator, &tokens);
    assert!(said.contains("AADSTS700082"), "{said}");
    for text in [&process.stderr(), &process.stdout(), &said] {
        assert_clean(text, &forbidden);
    }
}
