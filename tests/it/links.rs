//! Links in responses: a client that follows them stays with the proxy.

use std::{io::Write as _, net::SocketAddr, sync::Arc};

use ahds_proxy::config::{self, Overrides};
use azure_emulator::{DICOM_ORIGIN, FHIR_AUDIENCE, Fault};
use bytes::Bytes;
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

use crate::support::{
    self, PATIENCE, Setup, Stage,
    client::{self, Answer},
    scripted::{self, Scripted},
};

const JSON: (&str, &str) = ("Content-Type", "application/fhir+json");
const STAMP: &str = "response-modified-ahds-proxy";
const INSTANCE: &str = "/dicom/v2/studies/2.25.3001/series/2.25.3001.1/instances/2.25.3001.1.1";

/// The path of a link to the proxy.
#[track_caller]
fn path(address: SocketAddr, link: &str) -> String {
    let path = link.strip_prefix(&format!("http://{address}"));
    path.unwrap_or_else(|| panic!("{link} leaves the proxy"))
        .to_owned()
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

fn next(bundle: &Value) -> Option<&str> {
    let links = bundle["link"].as_array().expect("links");
    let next = links.iter().find(|link| link["relation"] == "next")?;
    Some(text(&next["url"]))
}

fn respond(status: u16, headers: &[(&str, &str)], body: impl Into<String>) -> Fault {
    Fault::Respond {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: body.into(),
    }
}

/// Untouched, down to its length.
#[track_caller]
fn is_as_sent(answer: &Answer, body: &[u8]) {
    assert_eq!(answer.body, body);
    let length = body.len().to_string();
    assert_eq!(
        answer.header("content-length"),
        Some(&*length),
        "{answer:?}"
    );
    assert_eq!(answer.header(STAMP), None);
}

#[tokio::test]
async fn pages_are_followed_to_the_end_by_their_links() {
    let stage = Stage::start().await;
    let mut target = Some("/fhir/Patient?_count=7".to_owned());
    let mut found = Vec::new();
    while let Some(current) = target {
        let answer = client::get(stage.address(), &current).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header(STAMP), Some("rewrote service base URLs"));
        assert_eq!(answer.header("content-length"), None);
        assert!(!answer.text().contains(FHIR_AUDIENCE));
        let page = answer.json();
        for entry in page["entry"].as_array().expect("entries") {
            found.push(path(stage.address(), text(&entry["fullUrl"])));
        }
        target = next(&page).map(|next| path(stage.address(), next));
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 25);
    for resource in found {
        assert_eq!(client::get(stage.address(), &resource).await.status, 200);
    }
}

#[tokio::test]
async fn a_created_resource_is_where_its_location_says() {
    let stage = Stage::start().await;
    // Stored data, which only looks like a response.
    let bundle = json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "self", "url": format!("{FHIR_AUDIENCE}/Patient")}],
    });
    let body = bundle.to_string();
    let answer = client::request(
        stage.address(),
        "POST",
        "/fhir/Bundle",
        &[JSON],
        body.as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["link"], bundle["link"]);
    is_as_sent(&answer, &answer.body);

    let location = path(
        stage.address(),
        answer.header("location").expect("a location"),
    );
    let (current, _) = location.split_once("/_history").expect("a version");
    for target in [&*location, current] {
        let answer = client::get(stage.address(), target).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["link"], bundle["link"]);
        is_as_sent(&answer, &answer.body);
    }
}

#[tokio::test]
async fn an_export_is_polled_to_its_manifest() {
    let stage = Stage::start().await;
    let headers = [("Prefer", "respond-async")];
    let started = client::request(stage.address(), "GET", "/fhir/$export", &headers, b"").await;
    assert_eq!(started.status, 202);
    let status = started.header("content-location").expect("where to ask");
    let status = path(stage.address(), status);
    assert_eq!(client::get(stage.address(), &status).await.status, 202);
    let manifest = client::get(stage.address(), &status).await.json();
    assert_eq!(
        path(stage.address(), text(&manifest["request"])),
        "/fhir/$export"
    );
    for file in manifest["output"].as_array().expect("files") {
        assert!(text(&file["url"]).starts_with("https://demostorage.blob.core.windows.net/"));
    }
}

#[tokio::test]
async fn answers_of_a_batch_are_changed_and_what_it_found_is_not() {
    let stage = Stage::start().await;
    let service = format!("{FHIR_AUDIENCE}/Patient/1");
    let observation = json!({
        "resourceType": "Observation",
        "subject": {"reference": service},
    });
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
        {"request": {"method": "GET", "url": "Patient?_count=1"}},
    ]});
    let answer = client::request(
        stage.address(),
        "POST",
        "/fhir/",
        &[JSON],
        batch.to_string().as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    let created = &answer["entry"][0];
    let location = path(stage.address(), text(&created["response"]["location"]));
    assert_eq!(created["resource"]["subject"]["reference"], *service);
    assert_eq!(client::get(stage.address(), &location).await.status, 200);
    let nested = &answer["entry"][1]["resource"];
    path(stage.address(), text(&nested["entry"][0]["fullUrl"]));
    let page = path(stage.address(), next(nested).expect("more pages"));
    assert_eq!(client::get(stage.address(), &page).await.status, 200);
}

#[tokio::test]
async fn histories_searches_by_form_and_statements_are_changed() {
    let stage = Stage::start().await;
    let history = client::get(stage.address(), "/fhir/Patient/sample-1/_history")
        .await
        .json();
    path(stage.address(), text(&history["entry"][0]["fullUrl"]));

    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let target = "/fhir/Patient/_search";
    let page = client::request(stage.address(), "POST", target, &form, b"_count=2")
        .await
        .json();
    path(stage.address(), next(&page).expect("more pages"));

    let statement = client::get(stage.address(), "/fhir/metadata").await.json();
    assert_eq!(
        path(stage.address(), text(&statement["url"])),
        "/fhir/metadata"
    );
    assert_eq!(
        path(stage.address(), text(&statement["implementation"]["url"])),
        "/fhir"
    );
    let operation = &statement["rest"][0]["operation"][0]["definition"];
    path(stage.address(), text(operation));

    let smart = client::get(stage.address(), "/fhir/.well-known/smart-configuration")
        .await
        .json();
    path(stage.address(), text(&smart["introspection_endpoint"]));
    assert!(text(&smart["token_endpoint"]).starts_with("https://login.microsoftonline.com/"));
}

#[tokio::test]
async fn uploads_and_operations_of_a_dicom_service_are_changed() {
    let stage = Stage::start().await;
    let instance = client::request(
        stage.address(),
        "GET",
        INSTANCE,
        &[("Accept", "application/dicom; transfer-syntax=*")],
        b"",
    )
    .await;
    is_as_sent(&instance, &instance.body);
    let stored = client::request(
        stage.address(),
        "PUT",
        "/dicom/v2/studies/2.25.3001",
        &[("Content-Type", "application/dicom")],
        &instance.body,
    )
    .await;
    assert_eq!(stored.status, 200, "{stored:?}");
    let stored = stored.json();
    let study = path(stage.address(), text(&stored["00081190"]["Value"][0]));
    assert_eq!(study, "/dicom/v2/studies/2.25.3001");
    let item = &stored["00081199"]["Value"][0]["00081190"]["Value"][0];
    assert_eq!(path(stage.address(), text(item)), INSTANCE);

    let operation = format!("{DICOM_ORIGIN}/v2/operations/1");
    let body = json!({"id": "1", "href": operation, "errorHref": operation}).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("location", &*operation),
    ];
    stage
        .emulator
        .dicom()
        .faults()
        .next(1, respond(202, &headers, body));
    let answer = client::request(stage.address(), "POST", "/dicom/v2/export", &[], b"").await;
    let ours = path(
        stage.address(),
        answer.header("location").expect("where to ask"),
    );
    assert_eq!(ours, "/dicom/v2/operations/1");
    assert_eq!(path(stage.address(), text(&answer.json()["href"])), ours);
    assert_eq!(answer.json()["errorHref"], *operation);
}

#[tokio::test]
async fn metadata_of_instances_passes_as_it_is() {
    let stage = Stage::start().await;
    let body =
        json!([{"00081190": {"vr": "UR", "Value": [format!("{DICOM_ORIGIN}/v2/studies/1")]}}]);
    let body = body.to_string();
    let fault = respond(200, &[("content-type", "application/dicom+json")], &*body);
    stage.emulator.dicom().faults().next(1, fault);
    let answer = client::get(stage.address(), "/dicom/v2/studies/1/metadata").await;
    is_as_sent(&answer, body.as_bytes());
}

#[tokio::test]
async fn what_is_no_answer_in_json_passes_as_it_is() {
    let stage = Stage::start().await;
    let bundle = format!(
        "{{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"link\":[{{\"url\":\"{FHIR_AUDIENCE}/x\"}}]}}"
    );
    let json = ("content-type", "application/fhir+json");
    for (status, headers) in [
        (206, vec![json, ("content-range", "bytes 0-9/10")]),
        (206, vec![json]),
        (400, vec![json]),
        (200, vec![("content-type", "application/fhir+ndjson")]),
        (
            200,
            vec![(
                "content-type",
                "multipart/related; type=\"application/json\"",
            )],
        ),
        (
            200,
            vec![("content-type", "application/json; charset=utf-16")],
        ),
        (200, vec![json, ("content-encoding", "br")]),
        (200, vec![json, ("content-encoding", "gzip, gzip")]),
    ] {
        let fault = respond(status, &headers, &*bundle);
        stage.emulator.fhir().faults().next(1, fault);
        let answer = client::get(stage.address(), "/fhir/Patient").await;
        assert_eq!(answer.status, status);
        is_as_sent(&answer, bundle.as_bytes());
        for (name, value) in headers {
            assert_eq!(answer.header(name), Some(value));
        }
    }
    // An identical link that changes, so that the ones above could have.
    let etag = ("etag", "W/\"1\"");
    let headers = [
        json,
        etag,
        ("digest", "sha-256=x"),
        ("accept-ranges", "bytes"),
    ];
    stage
        .emulator
        .fhir()
        .faults()
        .next(1, respond(200, &headers, &*bundle));
    let answer = client::get(stage.address(), "/fhir/Patient").await;
    path(stage.address(), text(&answer.json()["link"][0]["url"]));
    assert_eq!(answer.header("etag"), Some(etag.1));
    assert_eq!(
        (answer.header("digest"), answer.header("accept-ranges")),
        (None, None)
    );
}

#[tokio::test]
async fn parts_of_an_answer_that_is_searched_are_not_asked_for() {
    let stage = Stage::start().await;
    let headers = [("Range", "bytes=10-"), ("If-Range", "\"v1\"")];
    for (path, passes) in [
        ("/fhir/Patient", false),
        ("/fhir/metadata", false),
        ("/fhir/Patient/sample-1", true),
    ] {
        let answer = client::request(stage.address(), "GET", path, &headers, b"").await;
        assert_eq!(answer.status, 200);
        let sent = stage.emulator.fhir().traffic().last().expect("forwarded");
        assert_eq!(sent.headers.contains_key("range"), passes, "{path}");
        assert_eq!(sent.headers.contains_key("if-range"), passes, "{path}");
    }
    client::request(stage.address(), "GET", INSTANCE, &headers, b"").await;
    let sent = stage.emulator.dicom().traffic().last().expect("forwarded");
    assert_eq!(sent.headers["range"], "bytes=10-");
}

#[tokio::test]
async fn what_must_not_be_transformed_passes_but_for_its_headers() {
    let stage = Stage::start().await;
    let url = format!("{FHIR_AUDIENCE}/x");
    let bundle = json!({"resourceType": "Bundle", "type": "searchset", "link": [{"url": url}]});
    let bundle = bundle.to_string();
    for (control, coding, changes) in [
        ("no-transform", "identity", false),
        ("private, No-Transform", "identity", false),
        ("no-transform", "gzip", false),
        ("no-store, no-transformation", "identity", true),
    ] {
        let headers = [
            ("content-type", "application/fhir+json"),
            ("cache-control", control),
            ("content-encoding", coding),
            ("content-location", &*url),
        ];
        let fault = respond(200, &headers, &*bundle);
        stage.emulator.fhir().faults().next(1, fault);
        let answer = client::get(stage.address(), "/fhir/Patient").await;
        let location = answer.header("content-location").expect("a location");
        assert_eq!(path(stage.address(), location), "/fhir/x");
        if changes {
            assert!(answer.header(STAMP).is_some(), "{control}");
        } else {
            is_as_sent(&answer, bundle.as_bytes());
            assert_eq!(answer.header("content-encoding"), Some(coding));
        }
    }
}

#[tokio::test]
async fn headers_of_any_status_are_changed() {
    let stage = Stage::start().await;
    let url = format!("{FHIR_AUDIENCE}/Patient/1");
    let link = |target: &str, path: &str| {
        format!(
            "<{target}>; rel=\"next\", <https://other.example>; rel=\"x\", <{path}?p=2>; title=\"</a>\", <//b/>"
        )
    };
    let sent = link(&url, "/Patient");
    let headers = [
        ("location", &*url),
        ("content-location", &*url),
        ("link", &*sent),
    ];
    stage
        .emulator
        .fhir()
        .faults()
        .next(1, respond(301, &headers, ""));
    let answer = client::get(stage.address(), "/fhir/Patient/1").await;
    let ours = format!("http://{}/fhir/Patient/1", stage.address());
    assert_eq!(answer.header("location"), Some(&*ours));
    assert_eq!(answer.header("content-location"), Some(&*ours));
    let expected = link(&ours, "/fhir/Patient");
    assert_eq!(answer.header("link"), Some(&*expected));
}

#[tokio::test]
async fn a_location_without_a_host_leads_into_the_prefix() {
    let stage = Stage::start().await;
    for (location, expected) in [
        ("/Patient/1", "/fhir/Patient/1"),
        ("/", "/fhir/"),
        ("Patient/1", "Patient/1"),
        ("../1?x=/Patient", "../1?x=/Patient"),
        ("//other.example/Patient/1", "//other.example/Patient/1"),
    ] {
        let fault = respond(201, &[("location", location)], "");
        stage.emulator.fhir().faults().next(1, fault);
        let answer = client::get(stage.address(), "/fhir/Patient/1").await;
        assert_eq!(answer.header("location"), Some(expected));
    }
}

#[tokio::test]
async fn with_keep_nothing_is_changed() {
    let setup = Setup::new().with("routes.fhir", "links = \"keep\"");
    let stage = setup.start().await;
    let headers = [("Accept-Encoding", "gzip")];
    let page = client::request(
        stage.address(),
        "GET",
        "/fhir/Patient?_count=1",
        &headers,
        b"",
    )
    .await;
    is_as_sent(&page, &page.body);
    assert!(
        next(&page.json())
            .expect("more pages")
            .starts_with(FHIR_AUDIENCE)
    );
    let sent = stage.emulator.fhir().traffic().last().expect("forwarded");
    assert_eq!(sent.headers["accept-encoding"], "gzip");
}

#[tokio::test]
async fn of_other_services_only_headers_are_changed_and_only_if_asked() {
    let upstream = Scripted::start(|_, mut conversation| async move {
        while let Some(head) = conversation.request().await {
            let host = head.split("host: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let url = format!("http://{}/x", host.expect("a host"));
            let body = json!({"resourceType": "Bundle", "type": "history", "link": [{"url": url}]});
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLocation: {url}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            conversation.send(answer.as_bytes()).await;
        }
    })
    .await;
    let service = format!("http://{}/x", upstream.address());
    for (links, changes) in [("", false), ("links = \"rewrite\"", true)] {
        let route = scripted::route_to(upstream.address()).replace("\"fhir\"", "\"http\"");
        let setup = Setup::new()
            .with("routes.plain", route)
            .with("routes.plain", links);
        let stage = setup.start().await;
        let answer = client::get(stage.address(), "/plain/x").await;
        let ours = format!("http://{}/plain/x", stage.address());
        let expected = if changes { &ours } else { &service };
        assert_eq!(answer.header("location"), Some(&**expected));
        assert_eq!(answer.json()["link"][0]["url"], *service);
        is_as_sent(&answer, &answer.body);
    }
}

/// A service behind a gateway that terminates TLS names itself with http.
#[tokio::test]
async fn links_that_name_the_service_by_http_lead_back_too() {
    let stage = Stage::start().await;
    let plain = FHIR_AUDIENCE.replacen("https", "http", 1);
    for (name, is_ours) in [
        (plain.clone(), true),
        (format!("{plain}:80"), true),
        (format!("{plain}:443"), true),
        (plain.to_uppercase(), true),
        (format!("{plain}.evil.example"), false),
        (plain.replacen("http", "ftp", 1), false),
    ] {
        let url = format!("{name}/Patient?ct=x");
        let headers = [
            ("Content-Type", "application/fhir+json".to_owned()),
            ("Location", url.clone()),
            ("Link", format!("<{url}>; rel=\"next\"")),
        ];
        stage.emulator.fhir().faults().next(
            1,
            Fault::Respond {
                status: 200,
                headers: headers
                    .map(|(name, value)| (name.to_owned(), value))
                    .to_vec(),
                body: searchset(&name),
            },
        );
        let answer = client::get(stage.address(), "/fhir/Patient").await;
        let ours = format!("http://{}/fhir/Patient?ct=x", stage.address());
        let expected = if is_ours { ours } else { url };
        assert_eq!(answer.header("location"), Some(&*expected));
        assert_eq!(
            answer.header("link"),
            Some(&*format!("<{expected}>; rel=\"next\""))
        );
        assert_eq!(answer.json()["link"][0]["url"], *expected);
    }
}

/// A searchset with one link to this base.
fn searchset(base: &str) -> String {
    json!({
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "next", "url": format!("{base}/Patient?ct=x")}],
        "entry": [{"resource": {"resourceType": "Patient", "text": "x".repeat(100_000)}}],
    })
    .to_string()
}

#[tokio::test]
async fn a_compressed_answer_is_decoded() {
    type Encode = fn(&[u8]) -> Vec<u8>;
    let gzip: Encode = |text| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder
            .write_all(text)
            .and_then(|()| encoder.finish())
            .expect("compressed")
    };
    let deflate: Encode = |text| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder
            .write_all(text)
            .and_then(|()| encoder.finish())
            .expect("compressed")
    };
    for (coding, encode) in [("gzip", gzip), ("Deflate", deflate)] {
        let upstream = Scripted::start(move |_, mut conversation| async move {
            while let Some(head) = conversation.request().await {
                let host = head.split("host: ").nth(1).and_then(|rest| rest.split("\r\n").next());
                let body = encode(searchset(&format!("http://{}", host.expect("a host"))).as_bytes());
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Encoding: {coding}\r\nVary: Accept-Encoding\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                conversation.send(&[head.as_bytes(), &body].concat()).await;
            }
        })
        .await;
        let stage = upstream.routed().start().await;
        let headers = [("Accept-Encoding", "gzip, deflate")];
        let search = client::request(stage.address(), "GET", "/plain/Patient", &headers, b"").await;
        assert_eq!(
            search.text(),
            searchset(&format!("http://{}/plain", stage.address()))
        );
        assert_eq!(search.header("content-encoding"), None);
        assert_eq!(search.header("vary"), Some("Accept-Encoding"));
        assert!(upstream.heads()[0].contains("accept-encoding: identity\r\n"));

        // A body that is not searched is left for the client to decode.
        let read = client::request(stage.address(), "GET", "/plain/Patient/1", &headers, b"").await;
        assert_eq!(read.header("content-encoding"), Some(coding));
        is_as_sent(&read, &read.body);
        assert!(upstream.heads()[1].contains("accept-encoding: gzip, deflate\r\n"));
    }
}

#[tokio::test]
async fn a_damaged_compressed_answer_breaks_off() {
    let upstream = Scripted::start(|_, mut conversation| async move {
        while conversation.request().await.is_some() {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n";
            conversation.send(&[head.as_bytes(), b"\x1f\x8b\x08o"].concat()).await;
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    let request = b"GET /plain/Patient HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let received = client::to_the_end(stage.address(), request).await;
    let received = String::from_utf8_lossy(&received);
    assert!(received.starts_with("HTTP/1.1 200 OK"), "{received}");
    assert!(!received.ends_with("0\r\n\r\n"), "{received}");
}

#[tokio::test]
async fn an_answer_is_changed_while_it_streams() {
    let go_on = Arc::new(Notify::new());
    let later = go_on.clone();
    let upstream = Scripted::start(move |_, mut conversation| {
        let later = later.clone();
        async move {
            let head = conversation.request().await.expect("a request");
            let host = head.split("host: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let body = searchset(&format!("http://{}", host.expect("a host")));
            let (start, rest) = body.split_at(50_000);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
            conversation.send(format!("{head}{}", chunk(start)).as_bytes()).await;
            later.notified().await;
            conversation.send(format!("{}0\r\n\r\n", chunk(rest)).as_bytes()).await;
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    let exchange = async {
        let mut stream = TcpStream::connect(stage.address()).await.expect("accepted");
        let request = format!(
            "GET /plain/Patient HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            stage.address()
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut received = Vec::new();
        while received.len() < 40_000 {
            assert!(stream.read_buf(&mut received).await.expect("more") > 0);
        }
        go_on.notify_one();
        stream.read_to_end(&mut received).await.expect("the rest");
        received
    };
    let received = timeout(PATIENCE, exchange).await.expect("in time");
    let received = String::from_utf8(received).expect("text");
    assert!(received.contains(&format!("http://{}/plain/Patient?ct=x", stage.address())));
    assert!(received.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn a_head_promises_no_length_that_the_body_would_not_have() {
    let stage = Stage::start().await;
    let exchange = async {
        let mut stream = TcpStream::connect(stage.address()).await.expect("accepted");
        let request = |method: &str, path: &str| {
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
        };
        let search = "/fhir/Patient?_count=1";
        stream
            .write_all(&request("HEAD", search))
            .await
            .expect("sent");
        let head = client::read_response(&mut stream, true).await;
        // The connection is good for another request.
        stream
            .write_all(&request("GET", search))
            .await
            .expect("sent");
        let whole = client::read_response(&mut stream, false).await;
        stream
            .write_all(&request("HEAD", "/fhir/Patient/sample-1"))
            .await
            .expect("sent");
        let read = client::read_response(&mut stream, true).await;
        (head, whole, read)
    };
    let (head, whole, read) = timeout(PATIENCE, exchange).await.expect("in time");
    assert_eq!((head.status, whole.status, read.status), (200, 200, 200));
    assert_eq!(head.header("content-length"), None, "{head:?}");
    assert_eq!(head.header(STAMP), whole.header(STAMP));
    assert!(next(&whole.json()).is_some());
    assert!(read.header("content-length").is_some(), "{read:?}");

    let request = http::Request::head(format!("http://{}/fhir/Patient", stage.address()));
    let request = request.body(Full::new(Bytes::new())).expect("a request");
    let head = client::http2(stage.address(), request).await;
    assert_eq!(head.status(), 200);
    assert!(!head.headers().contains_key("content-length"), "{head:?}");
}

/// The base of the links that a request by this name gets.
async fn base(address: SocketAddr, host: &str, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let page = client::raw(address, request.as_bytes()).await.json();
    let url = text(&page["entry"][0]["fullUrl"]);
    url.split("/Patient/").next().expect("a base").to_owned()
}

#[tokio::test]
async fn links_call_the_proxy_as_the_request_did() {
    let setup = Setup::new().with("security", "allowed_hosts = [\"proxy.localhost\", \"::1\"]");
    let stage = setup.start().await;
    for _ in 0..2 {
        for (host, expected) in [
            ("localhost", "http://localhost/fhir"),
            ("LocalHost:8080", "http://LocalHost:8080/fhir"),
            ("127.0.0.1:80", "http://127.0.0.1/fhir"),
            ("[::1]", "http://[::1]/fhir"),
            ("[::1]:8080", "http://[::1]:8080/fhir"),
            ("localhost:", "http://localhost/fhir"),
            ("proxy.localhost:9", "http://proxy.localhost:9/fhir"),
        ] {
            assert_eq!(base(stage.address(), host, "/fhir/Patient").await, expected);
        }
        // More names than are remembered.
        for port in 1..20 {
            let host = format!("localhost:{port}00");
            let base = base(stage.address(), &host, "/fhir/Patient").await;
            assert_eq!(base, format!("http://{host}/fhir"));
        }
    }
    let request = http::Request::get("http://localhost:1234/fhir/Patient?_count=1");
    let request = request.body(Full::new(Bytes::new())).expect("a request");
    let page = client::http2(stage.address(), request).await;
    let page: Value = serde_json::from_slice(page.body()).expect("JSON");
    assert!(text(&page["entry"][0]["fullUrl"]).starts_with("http://localhost:1234/fhir/Patient/"));
}

#[tokio::test]
async fn a_public_url_counts_for_more_than_the_host() {
    let lines = "public_url = \"https://gate.example/r4/\"";
    let stage = Setup::new().with("routes.fhir", lines).start().await;
    let base = base(stage.address(), "localhost", "/fhir/Patient").await;
    assert_eq!(base, "https://gate.example/r4");
}

#[tokio::test]
async fn a_route_of_its_own_listener_is_at_its_root() {
    let mut stage = Setup::new()
        .with("routes.dicom", "listen = \"127.0.0.1:0\"")
        .start()
        .await;
    let [shared, own] = stage.proxy.socket_addresses() else {
        panic!("{:?}", stage.proxy.addresses())
    };
    assert_eq!(stage.proxy.addresses()[1], own.to_string());
    assert_eq!(client::get(*own, "/v2/studies").await.status, 200);
    assert_eq!(client::get(*own, "/dicom/v2/studies").await.status, 404);
    assert_eq!(client::get(*own, "/fhir/Patient").await.status, 404);
    assert_eq!(client::get(*shared, "/v2/studies").await.status, 404);

    let url = format!("{DICOM_ORIGIN}/v2/operations/1");
    for (address, expected) in [
        (own, format!("http://{own}/v2/operations/1")),
        (shared, format!("http://{shared}/dicom/v2/operations/1")),
    ] {
        let target = path(*address, &expected);
        let fault = respond(202, &[("location", &*url)], "");
        stage.emulator.dicom().faults().next(1, fault);
        let answer = client::get(*address, &target).await;
        assert_eq!(answer.header("location"), Some(&*expected));
    }

    // Another configuration takes over; the address stays the route's.
    let lines = vec![("routes.dicom", "listen = \"127.0.0.1:0\"".to_owned())];
    let file = support::write_config(&stage.emulator, &stage.files, &lines);
    let flags = Overrides {
        config: Some(file),
        ..Overrides::default()
    };
    let (shared, own) = (*shared, *own);
    let config = config::load(&flags, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
    stage.proxy.reload(&config);
    let headers = [("location", &*url)];
    stage
        .emulator
        .dicom()
        .faults()
        .next(1, respond(202, &headers, ""));
    let answer = client::get(own, "/v2/operations/1").await;
    let expected = format!("http://{own}/v2/operations/1");
    assert_eq!(answer.header("location"), Some(&*expected));
    let reference = format!("x=http://localhost:{}/a", own.port());
    client::get(shared, &format!("/dicom/v2/studies?{reference}")).await;
    let sent = stage.emulator.dicom().traffic().last().expect("forwarded");
    assert_eq!(sent.target, format!("/v2/studies?x={DICOM_ORIGIN}/a"));

    // It is no less guarded than the other.
    let evil = b"GET /v2/studies HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(client::raw(own, evil).await.status, 421);
    let headers = [("Origin", "https://evil.example")];
    let answer = client::request(own, "GET", "/v2/studies", &headers, b"").await;
    assert_eq!(answer.status, 403);
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_is_called_by_its_host_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("fhir.sock");
    let lines = format!("listen = \"unix:{}\"", socket.display());
    let stage = Setup::new().with("routes.fhir", lines).start().await;
    let shown = format!("unix:{}", socket.display());
    assert_eq!(stage.proxy.addresses()[1], shown);
    let mut stream = tokio::net::UnixStream::connect(&socket)
        .await
        .expect("accepted");
    let request = b"GET /Patient?_count=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    timeout(PATIENCE, read)
        .await
        .expect("in time")
        .expect("text");
    assert!(answer.contains("\"http://localhost/Patient/"), "{answer}");
}
