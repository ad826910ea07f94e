//! The proxy's own addresses in requests: none is ever stored.

use azure_emulator::{DICOM_ORIGIN, FHIR_AUDIENCE, Fault, RecordedRequest};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    PATIENCE, Setup, Stage,
    client::{self, Answer},
};

const JSON: (&str, &str) = ("Content-Type", "application/fhir+json");
const STAMP: &str = "request-modified-ahds-proxy";

fn last(stage: &Stage) -> RecordedRequest {
    let recorded = stage.emulator.fhir().traffic().recorded();
    recorded.last().expect("a request").clone()
}

fn header<'a>(request: &'a RecordedRequest, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}

async fn put(stage: &Stage, path: &str, body: &[u8]) -> Answer {
    client::request(stage.address(), "PUT", path, &[JSON], body).await
}

/// With a reference, in a spelling of its own.
fn observation(reference: &str) -> String {
    format!(
        "{{ \"resourceType\":\"Observation\",\"id\":\"o\" ,\n\"subject\":{{\"reference\":\"{reference}\"}}}}\n"
    )
}

#[tokio::test]
async fn a_resource_that_was_read_edited_and_written_names_the_service() {
    let stage = Stage::start().await;
    let page = client::get(stage.address(), "/fhir/Patient?_count=1").await;
    let full_url = page.json()["entry"][0]["fullUrl"].clone();
    let full_url = full_url.as_str().expect("a URL");
    assert!(full_url.starts_with(&format!("http://{}/fhir/", stage.address())));

    let answer = put(
        &stage,
        "/fhir/Observation/o",
        observation(full_url).as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 201);
    let (_, relative) = full_url.split_once("/fhir").expect("our prefix");
    let expected = observation(&format!("{FHIR_AUDIENCE}{relative}"));
    let sent = last(&stage);
    assert_eq!(sent.body, expected);
    let length = expected.len().to_string();
    assert_eq!(header(&sent, "content-length"), Some(&*length));
    assert_eq!(header(&sent, STAMP), Some("rewrote proxy base URLs"));

    // Once more, with the resources stored by now.
    let read = client::get(stage.address(), "/fhir/Observation/o").await;
    let answer = put(&stage, "/fhir/Observation/o", &read.body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(last(&stage).body, read.body);
    assert_eq!(header(&last(&stage), STAMP), None);
}

#[tokio::test]
async fn a_route_that_keeps_links_is_no_part_of_one_that_lies_around_it() {
    let setup = Setup::new()
        .with("routes.fhir", "prefix = \"/\"")
        .with("routes.dicom", "links = \"keep\"");
    let stage = setup.start().await;
    for host in [
        format!("localhost:{}", stage.address().port()),
        stage.address().to_string(),
    ] {
        for (path, upstream) in [
            ("/Patient/1", format!("{FHIR_AUDIENCE}/Patient/1")),
            (
                "/dicom/v2/studies/1",
                format!("http://{host}/dicom/v2/studies/1"),
            ),
            ("/dicomx", format!("{FHIR_AUDIENCE}/dicomx")),
        ] {
            let body = observation(&format!("http://{host}{path}"));
            put(&stage, "/Observation/o", body.as_bytes()).await;
            assert_eq!(last(&stage).body, observation(&upstream), "{path}");
        }
    }
}

#[tokio::test]
async fn every_name_of_the_proxy_is_known() {
    let setup = Setup::new()
        .with("routes.fhir", "public_url = \"https://Gate.example/r4\"")
        .with("routes.fhir", "listen = \"127.0.0.1:0\"")
        .with("security", "allowed_hosts = [\"proxy.localhost\"]");
    let stage = setup.start().await;
    let port = stage.address().port();
    let own = stage.proxy.socket_addresses()[1];
    for (name, upstream) in [
        (format!("http://localhost:{port}/fhir"), FHIR_AUDIENCE),
        (format!("http://127.0.0.1:{port}/fhir"), FHIR_AUDIENCE),
        (format!("http://[::1]:{port}/fhir"), FHIR_AUDIENCE),
        (format!("HTTP://Proxy.Localhost:{port}/fhir"), FHIR_AUDIENCE),
        ("https://gate.example:443/r4".to_owned(), FHIR_AUDIENCE),
        (format!("http://localhost:{}", own.port()), FHIR_AUDIENCE),
        (
            "http://called.localhost.test/fhir".to_owned(),
            "http://called.localhost.test/fhir",
        ),
        ("http://127.0.0.9:99/fhir".to_owned(), FHIR_AUDIENCE),
        // The address of another route.
        (format!("http://localhost:{port}/dicom"), DICOM_ORIGIN),
        ("http://127.0.0.9:99/dicom".to_owned(), DICOM_ORIGIN),
        (
            format!("http://localhost:{port}/fhirx"),
            &*format!("http://localhost:{port}/fhirx"),
        ),
    ] {
        let body = observation(&format!("{name}/Patient/1"));
        let head = format!(
            "PUT /fhir/Observation/o HTTP/1.1\r\nHost: 127.0.0.9:99\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        client::raw(stage.address(), format!("{head}{body}").as_bytes()).await;
        let expected = observation(&format!("{upstream}/Patient/1"));
        assert_eq!(last(&stage).body, expected, "{name}");
    }
}

#[tokio::test]
async fn queries_and_conditions_name_the_service() {
    let stage = Stage::start().await;
    let ours = format!("http://{}/fhir", stage.address());
    let encoded = ours.replace(':', "%3A").replace('/', "%2F");
    client::get(
        stage.address(),
        &format!("/fhir/Observation?subject={encoded}%2FPatient%2F1&_count=5&focus={ours}/a,b"),
    )
    .await;
    let theirs = FHIR_AUDIENCE.replace(':', "%3A").replace('/', "%2F");
    assert_eq!(
        last(&stage).target,
        format!("/Observation?subject={theirs}%2FPatient%2F1&_count=5&focus={FHIR_AUDIENCE}/a,b")
    );

    let condition = format!("subject={ours}/Patient/1");
    let provenance = format!("{{\"target\":[{{\"reference\":\"{ours}/Patient/1\"}}]}}");
    let headers = [
        JSON,
        ("If-None-Exist", &*condition),
        ("X-Provenance", &*provenance),
        ("X-Other", &*ours),
    ];
    let body = observation("Patient/1");
    client::request(
        stage.address(),
        "POST",
        "/fhir/Observation",
        &headers,
        body.as_bytes(),
    )
    .await;
    let sent = last(&stage);
    let condition = condition.replace(&ours, FHIR_AUDIENCE);
    assert_eq!(header(&sent, "if-none-exist"), Some(&*condition));
    let provenance = provenance.replace(&ours, FHIR_AUDIENCE);
    assert_eq!(header(&sent, "x-provenance"), Some(&*provenance));
    assert_eq!(header(&sent, "x-other"), Some(&*ours));

    let form = format!("subject={encoded}%2FPatient%2F1&_count=2");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let path = "/fhir/Observation/_search";
    let answer = client::request(stage.address(), "POST", path, &headers, form.as_bytes()).await;
    assert_eq!(answer.status, 200);
    let expected = format!("subject={theirs}%2FPatient%2F1&_count=2");
    assert_eq!(last(&stage).body, expected);
}

#[tokio::test]
async fn a_form_names_the_service_however_long_its_last_value_is() {
    let stage = Stage::start().await;
    let form = |base: &str| {
        let references: Vec<_> = (0..2000).map(|id| format!("{base}/Patient/{id}")).collect();
        format!("_count=2&subject={}", references.join(","))
    };
    let given = form(&format!("http://{}/fhir", stage.address()));
    assert!(given.len() > 64 * 1024);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let path = "/fhir/Observation/_search";
    let answer = client::request(stage.address(), "POST", path, &headers, given.as_bytes()).await;
    assert_eq!(answer.status, 200);
    let sent = last(&stage);
    // The emulator remembers no more of a body.
    assert!(sent.body == form(FHIR_AUDIENCE)[..64 * 1024]);
    assert_eq!(header(&sent, STAMP), Some("rewrote proxy base URLs"));
}

/// The service decodes the path, so an encoded `_search` is one.
#[tokio::test]
async fn a_form_names_the_service_however_its_search_is_spelt() {
    let stage = Stage::start().await;
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let base = format!("http%3A%2F%2F{}%2Ffhir", stage.address());
    let body = format!("subject={base}%2FPatient%2F1");
    for target in [
        "/fhir/Observation/_search",
        "/fhir/Observation/%5Fsearch",
        "/fhir/Observation/_searc%68",
    ] {
        client::request(stage.address(), "POST", target, &[form], body.as_bytes()).await;
        let sent = last(&stage);
        let sent = String::from_utf8(sent.body.to_vec()).expect("a form");
        assert!(!sent.contains(&base), "{target}: {sent}");
    }
}

#[tokio::test]
async fn a_search_within_a_query_is_encoded_twice() {
    let stage = Stage::start().await;
    let ours = format!("http://{}/fhir", stage.address());
    let filter = |base: &str| {
        let base = base.replace(':', "%253A").replace('/', "%252F");
        format!("_typeFilter=Observation%3Fsubject%3D{base}%252FPatient%252F1%26code%3Dx&_count=2")
    };
    let (given, expected) = (filter(&ours), filter(FHIR_AUDIENCE));
    client::get(stage.address(), &format!("/fhir/Observation?{given}")).await;
    assert_eq!(last(&stage).target, format!("/Observation?{expected}"));

    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let path = "/fhir/Observation/_search";
    client::request(stage.address(), "POST", path, &headers, given.as_bytes()).await;
    assert_eq!(last(&stage).body, expected);

    let bundle = |filter: &str| {
        let request = json!({"method": "GET", "url": format!("$export?{filter}")});
        json!({"resourceType": "Bundle", "type": "batch", "entry": [{"request": request}]})
    };
    let body = bundle(&given).to_string();
    client::request(stage.address(), "POST", "/fhir", &[JSON], body.as_bytes()).await;
    assert_eq!(last(&stage).body, bundle(&expected).to_string());
}

#[tokio::test]
async fn searches_within_bodies_name_the_service() {
    let stage = Stage::start().await;
    let ours = format!("http://{}/fhir", stage.address());
    let encoded = |base: &str| base.replace(':', "%3A").replace('/', "%2F");
    // Both names give this result: in these places, and beside them, where it stays.
    let resource = |base: &str| {
        json!({
            "resourceType": "Observation",
            "id": "o",
            "subject": {"reference": format!("Patient?organization={base}/Organization/1")},
            "note": [{"text": format!("see Observation?subject={ours}/Patient/1")}],
            "extension": [{"valueString": format!("Observation?subject={base}/Patient/1")}],
            "text": {"div": format!("<a href='{ours}/Patient?x={ours}'>")},
            "contained": [{
                "resourceType": "Subscription",
                "criteria": format!("Observation?subject={base}/Patient/1&code=http://loinc.org|1"),
            }],
        })
    };
    let bundle = |base: &str| {
        json!({
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [
                {"request": {"method": "GET", "url": format!("Observation?subject={base}/Patient/1")}},
                {"request": {"method": "GET", "url":
                    format!("{base}/Observation?subject={}%2FPatient%2F1,{base}/x", encoded(base))}},
                {"resource": {"resourceType": "Observation"}, "request": {"method": "POST", "url": "Observation",
                    "ifNoneExist": format!("subject={base}/Patient/1&code=x")}},
            ],
        })
    };
    let body = resource(&ours).to_string();
    let answer = put(&stage, "/fhir/Observation/o", body.as_bytes()).await;
    assert_eq!(answer.status, 201);
    let read = client::get(stage.address(), "/fhir/Observation/o").await;
    let expected = resource(FHIR_AUDIENCE);
    for member in ["subject", "note", "text", "contained"] {
        assert_eq!(read.json()[member], expected[member]);
    }

    let body = bundle(&ours).to_string();
    let answer = client::request(stage.address(), "POST", "/fhir", &[JSON], body.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(last(&stage).body, bundle(FHIR_AUDIENCE).to_string());

    let xml = |base: &str| {
        format!(
            r#"<Subscription xmlns="http://hl7.org/fhir"><reason value="x y?y={ours}"/><criteria
            value="Observation?code=1&amp;subject={base}/Patient/1"/></Subscription>"#
        )
    };
    for content_type in ["application/fhir+xml", "application/xml", "text/xml"] {
        let headers = [("Content-Type", content_type)];
        let body = xml(&ours);
        let path = "/fhir/Subscription/x";
        client::request(stage.address(), "PUT", path, &headers, body.as_bytes()).await;
        assert_eq!(last(&stage).body, xml(FHIR_AUDIENCE), "{content_type}");
    }
}

#[tokio::test]
async fn a_patch_in_xml_names_the_service() {
    let stage = Stage::start().await;
    let ours = format!("http://{}/fhir", stage.address());
    let diff = |base: &str| {
        format!(
            r#"<diff xmlns="http://hl7.org/fhir"><replace sel="f:Observation/f:subject/f:reference/@value">{base}/Patient/1</replace>
            <add sel="f:Observation"><performer><reference value="{base}/Practitioner/1"/></performer></add></diff>"#
        )
    };
    let headers = [("Content-Type", "application/xml-patch+xml")];
    let path = "/fhir/Observation/o";
    let body = diff(&ours);
    client::request(stage.address(), "PATCH", path, &headers, body.as_bytes()).await;
    assert_eq!(last(&stage).body, diff(FHIR_AUDIENCE));
}

#[tokio::test]
async fn urls_in_headers_are_changed_with_their_queries() {
    let stage = Stage::start().await;
    let ours = format!("http://{}/fhir", stage.address());
    let url = |base: &str| format!("{base}/Patient?organization={base}/Organization/1&x=1");
    let relative = |base: &str| format!("Patient?organization={base}/Organization/1");
    for value in [url, relative] {
        let sent = value(&ours);
        let headers = [
            JSON,
            ("If-None-Exist", &*sent),
            ("Destination", &*sent),
            ("Content-Location", &*sent),
        ];
        let body = observation("Patient/1");
        let path = "/fhir/Observation";
        client::request(stage.address(), "POST", path, &headers, body.as_bytes()).await;
        let arrived = last(&stage);
        for name in ["if-none-exist", "destination", "content-location"] {
            assert_eq!(
                header(&arrived, name),
                Some(&*value(FHIR_AUDIENCE)),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn what_names_no_proxy_arrives_byte_for_byte() {
    let stage = Stage::start().await;
    let ours = format!("http://{}/fhir/Patient/1", stage.address());
    for (content_type, body) in [
        (
            "application/fhir+json",
            "{\"a\":\"\\u0068ttp:\\/\\/other\" ,\t\"b\":1e5}".to_owned(),
        ),
        ("application/fhir+json", "not json {\"".to_owned()),
        (
            "application/fhir+json",
            format!("{{\"text\":\"see {ours}\"}}"),
        ),
        (
            "application/fhir+json; charset=utf-16",
            format!("\"{ours}\""),
        ),
        ("application/octet-stream", format!("\"{ours}\"")),
        ("text/plain", ours.clone()),
    ] {
        let headers = [("Content-Type", content_type), ("Digest", "sha-256=x")];
        let path = "/fhir/Observation/o";
        client::request(stage.address(), "PUT", path, &headers, body.as_bytes()).await;
        let sent = last(&stage);
        assert_eq!(sent.body, body, "{content_type}");
        let length = body.len().to_string();
        assert_eq!(header(&sent, "content-length"), Some(&*length), "{body}");
        assert_eq!(header(&sent, "digest"), Some("sha-256=x"), "{body}");
        assert_eq!(header(&sent, STAMP), None, "{body}");
    }
}

#[tokio::test]
async fn with_keep_nothing_is_changed() {
    let setup = Setup::new().with("routes.fhir", "links = \"keep\"");
    let stage = setup.start().await;
    let ours = format!("http://{}/fhir", stage.address());
    let body = observation(&format!("{ours}/Patient/1"));
    let path = format!("/fhir/Observation/o?x={ours}");
    put(&stage, &path, body.as_bytes()).await;
    let sent = last(&stage);
    assert_eq!(sent.body, body);
    assert_eq!(sent.target, format!("/Observation/o?x={ours}"));
}

#[tokio::test]
async fn a_large_body_is_changed_while_it_streams() {
    let stage = Stage::start().await;
    let ours = format!("http://{}/fhir/Patient/1", stage.address());
    let patient = |reference: &str| -> Value {
        json!({
            "resourceType": "Patient",
            "id": "large",
            "text": {"div": "x".repeat(300_000)},
            "managingOrganization": {"reference": reference},
        })
    };
    let answer = put(
        &stage,
        "/fhir/Patient/large",
        patient(&ours).to_string().as_bytes(),
    )
    .await;
    assert_eq!(answer.status, 201);
    let sent = last(&stage);
    assert_eq!(header(&sent, "content-length"), None);
    assert_eq!(header(&sent, STAMP), Some("rewrote proxy base URLs"));

    let stored = client::get(stage.address(), "/fhir/Patient/large")
        .await
        .json();
    let expected = patient(&format!("{FHIR_AUDIENCE}/Patient/1"));
    for member in ["text", "managingOrganization"] {
        assert_eq!(stored[member], expected[member], "{member}");
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_changed_body_sent_again() {
    let stage = Stage::start().await;
    stage.emulator.fhir().faults().next(1, Fault::Unauthorized);
    let body = observation(&format!("http://{}/fhir/Patient/1", stage.address()));
    let answer = put(&stage, "/fhir/Observation/o", body.as_bytes()).await;
    assert_eq!(answer.status, 201);
    let recorded = stage.emulator.fhir().traffic().recorded();
    assert_eq!(recorded.len(), 2);
    let expected = observation(&format!("{FHIR_AUDIENCE}/Patient/1"));
    let length = expected.len().to_string();
    assert_eq!(recorded[1].body, expected);
    for request in &recorded {
        assert_eq!(header(request, "content-length"), Some(&*length));
    }
}

#[tokio::test]
async fn a_client_that_waits_for_leave_gets_it() {
    let stage = Stage::start().await;
    let body = observation(&format!("http://{}/fhir/Patient/1", stage.address()));
    let head = format!(
        "PUT /fhir/Observation/o HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(stage.address()).await.expect("accepted");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut leave = [0; 25];
        stream.read_exact(&mut leave).await.expect("leave");
        assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(body.as_bytes()).await.expect("sent");
        client::read_response(&mut stream, false).await
    };
    let answer = timeout(PATIENCE, exchange).await.expect("in time");
    assert_eq!(answer.status, 201);
    assert_eq!(
        last(&stage).body,
        observation(&format!("{FHIR_AUDIENCE}/Patient/1"))
    );
}

#[tokio::test]
async fn bodies_that_stall_break_off_or_are_too_large_are_refused() {
    let setup = Setup::new()
        .with("network", "idle_timeout = \"300ms\"")
        .with("limits", "request_body = \"1KiB\"");
    let stage = setup.start().await;
    let head = "PUT /fhir/Observation/o HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n";
    for (rest, status) in [
        ("Content-Length: 100\r\n\r\n{".to_owned(), 408),
        (
            "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n".to_owned(),
            408,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n".to_owned(),
            400,
        ),
        (
            format!(
                "Transfer-Encoding: chunked\r\n\r\n800\r\n{}\r\n0\r\n\r\n",
                " ".repeat(0x800)
            ),
            413,
        ),
    ] {
        let answer = client::raw(stage.address(), format!("{head}{rest}").as_bytes()).await;
        assert_eq!(answer.status, status, "{rest}");
    }
    assert_eq!(stage.emulator.fhir().count("Observation"), 5);
}
