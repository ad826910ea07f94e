//! The access log: one event for each request, with the promised fields and nothing else.

use azure_emulator::{Emulator, Fault, Options};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    client,
    frames::Frames,
    process::{self, Process},
    scripted::{Scripted, route_to},
    write_config,
};

const REQUEST_ID: &str = "8f14e45f-ceea-467f-a1b2-0a1b2c3d4e5f";

/// Every field that an event may have. None has room for a path, a query or a body.
const FIELDS: [&str; 13] = [
    "bytes_in",
    "bytes_out",
    "duration_us",
    "level",
    "message",
    "method",
    "outcome",
    "request_id",
    "resource",
    "route",
    "status",
    "timestamp",
    "upstream_us",
];

/// The events of requests, from JSON lines.
fn requests(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .filter(|event: &Value| event["message"] == "request")
        .collect()
}

#[tokio::test]
async fn each_request_makes_exactly_one_event() {
    let options = Options {
        samples: true,
        ..Options::default()
    };
    let emulator = Emulator::start(options).await.expect("started");
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let mut command = process::run(&config);
    command.args(["--log-format", "json"]);
    let mut process = Process::start(command);
    let (proxy, _) = process.addresses().await;

    let id = [("X-Request-Id", REQUEST_ID)];
    let found = client::request(proxy, "GET", "/fhir/Patient?_count=1", &id, b"").await;
    let json = [("Content-Type", "application/fhir+json")];
    let patient = br#"{"resourceType":"Patient"}"#;
    client::request(proxy, "POST", "/fhir/Patient", &json, patient).await;
    client::get(proxy, "/dicom/v2/studies?limit=1").await;
    client::get(proxy, "/nowhere").await;
    emulator.fhir().faults().always(Fault::Close);
    client::request(proxy, "POST", "/fhir/Observation", &json, b"{}").await;
    process.signal(Signal::TERM);
    process.ended().await;

    let events = requests(&process.stderr());
    let seen: Vec<_> = events
        .iter()
        .map(|event| {
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let status = event["status"].as_u64().expect("a status");
            (text("method"), text("route"), text("resource"), status)
        })
        .collect();
    let expected = [
        ("GET", "fhir", "Patient", 200),
        ("POST", "fhir", "Patient", 201),
        ("GET", "dicom", "studies", 200),
        ("GET", "-", "-", 404),
        ("POST", "fhir", "Observation", 502),
    ]
    .map(|(method, route, resource, status)| {
        (
            method.to_owned(),
            route.to_owned(),
            resource.to_owned(),
            status,
        )
    });
    assert_eq!(seen, expected);

    let fields = |event: &Value| -> Vec<String> {
        let event = event.as_object().expect("an object");
        let mut fields: Vec<_> = event.keys().cloned().collect();
        fields.sort_unstable();
        fields
    };
    assert_eq!(fields(&events[0]), FIELDS);
    for event in &events {
        let unknown: Vec<_> = fields(event)
            .into_iter()
            .filter(|field| !FIELDS.contains(&field.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    assert_eq!(events[0]["request_id"], REQUEST_ID);
    let mut ids: Vec<_> = events
        .iter()
        .map(|event| event["request_id"].as_str().expect("an id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), events.len(), "an id of each one's own: {ids:?}");
    assert_eq!(events[0]["bytes_out"], found.body.len());
    assert_eq!(events[0]["outcome"], "complete");
    assert_eq!(events[1]["bytes_in"], patient.len());
    for event in &events {
        assert!(event["duration_us"].is_u64(), "{event}");
        assert!(
            event["bytes_in"].is_u64() && event["bytes_out"].is_u64(),
            "{event}"
        );
    }
    for event in &events[..3] {
        let upstream = event["upstream_us"].as_u64().expect("a time");
        assert!(
            upstream <= event["duration_us"].as_u64().expect("a time"),
            "{event}"
        );
    }
}

#[tokio::test]
async fn an_answer_is_complete_with_its_last_byte() {
    let upstream = Scripted::start(|_, conversation| async move {
        let mut frames = Frames::accept(conversation.stream).await;
        while let Some((stream, body)) = frames.request().await {
            let body = std::str::from_utf8(&body).expect("text");
            frames.answer_and_end(stream, body).await;
        }
    })
    .await;
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let files = tempfile::tempdir().expect("a folder");
    let route = format!("{}\nhttp = \"2\"", route_to(upstream.address()));
    let config = write_config(&emulator, &files, &[("routes.plain", route)]);
    let mut command = process::run(&config);
    command.args(["--log-format", "json"]);
    let mut process = Process::start(command);
    let (proxy, _) = process.addresses().await;
    for body in ["", "a body"] {
        let answer = client::request(proxy, "POST", "/plain/$echo", &[], body.as_bytes()).await;
        assert_eq!((answer.status, answer.text()), (200, body));
    }
    process.signal(Signal::TERM);
    process.ended().await;
    let outcomes: Vec<_> = requests(&process.stderr())
        .iter()
        .map(|event| (event["bytes_out"].as_u64(), event["outcome"].clone()))
        .collect();
    let complete = |length| (Some(length), "complete".into());
    assert_eq!(outcomes, [complete(0), complete(6)]);
}
