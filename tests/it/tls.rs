//! Listeners that speak TLS, and the addresses by which clients then call the proxy.

mod deadlines;
#[cfg(unix)]
pub(crate) mod files;
#[cfg(unix)]
mod refused_handshakes;

use azure_emulator::FHIR_AUDIENCE;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use crate::support::{
    PATIENCE, Setup, Stage,
    client::{self, Answer},
    tls::{Authority, open},
};

const PATIENTS: &str = "/fhir/Patient?_count=1";

/// A stage whose listeners present a certificate of `authority`.
fn setup(authority: &Authority, more: &str) -> Setup {
    let leaf = authority.leaf();
    Setup::new()
        .file("server.pem", leaf.certificate)
        .file("server.key", leaf.key)
        .with(
            "security",
            format!("tls = {{ certificate = \"server.pem\", key = \"server.key\"{more} }}"),
        )
}

async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> Answer {
    stream.write_all(request.as_bytes()).await.expect("sent");
    timeout(PATIENCE, client::read_response(stream, false))
        .await
        .expect("an answer in time")
}

fn get(target: &str, host: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// The first resource's address and the next page's.
fn links(page: &serde_json::Value) -> [String; 2] {
    let links = page["link"].as_array().expect("links");
    let next = links.iter().find(|link| link["relation"] == "next");
    [
        &page["entry"][0]["fullUrl"],
        &next.expect("more pages")["url"],
    ]
    .map(|url| url.as_str().expect("a URL").to_owned())
}

#[tokio::test]
async fn links_are_https() {
    let authority = Authority::new();
    let stage = setup(&authority, "")
        .with("routes.fhir", "listen = \"127.0.0.1:0\"")
        .start()
        .await;
    let mut stream = authority.connect(stage.address()).await;
    let port = stage.address().port();
    // Clients omit the default port.
    for host in [format!("localhost:{port}"), "localhost".to_owned()] {
        let answer = exchange(&mut stream, &get(PATIENTS, &host)).await;
        assert_eq!(answer.status, 200);
        for link in links(&answer.json()) {
            assert!(link.starts_with(&format!("https://{host}/fhir/")), "{link}");
        }
    }

    let own = stage.proxy.socket_addresses()[1];
    let mut stream = authority.connect(own).await;
    let request = get("/Patient?_count=1", &own.to_string());
    let answer = exchange(&mut stream, &request).await;
    for link in links(&answer.json()) {
        assert!(
            link.starts_with(&format!("https://{own}/Patient")),
            "{link}"
        );
    }
    for address in stage.proxy.addresses() {
        assert!(address.starts_with("https://127.0.0.1:"), "{address}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_stays_plain() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("proxy.sock");
    let listen = format!("listen = \"unix:{}\"", path.display());
    let stage = setup(&authority, "")
        .with("routes.fhir", listen)
        .start()
        .await;
    let mut stream = tokio::net::UnixStream::connect(&path)
        .await
        .expect("accepted");
    let answer = exchange(&mut stream, &get("/Patient?_count=1", "localhost")).await;
    for link in links(&answer.json()) {
        assert!(link.starts_with("http://localhost/Patient"), "{link}");
    }
    drop(stage);
}

#[tokio::test]
async fn http2_is_negotiated() {
    let authority = Authority::new();
    let stage = setup(&authority, "").start().await;
    let port = stage.address().port();
    let offered = authority.client(&["h2", "http/1.1"], None);
    let stream = open(stage.address(), offered).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    let connection = tokio::spawn(connection);
    for (scheme, status) in [("https", 200), ("http", 421)] {
        let request = Request::get(format!("{scheme}://localhost:{port}{PATIENTS}"))
            .body(Full::<Bytes>::default())
            .expect("a valid request");
        let answer = timeout(PATIENCE, sender.send_request(request)).await;
        let answer = answer.expect("in time").expect("an answer");
        assert_eq!(answer.status(), status, "{scheme}");
        let body = answer.into_body().collect().await.expect("whole");
        if status == 200 {
            let page = serde_json::from_slice(&body.to_bytes()).expect("JSON");
            for link in links(&page) {
                let base = format!("https://localhost:{port}/fhir/");
                assert!(link.starts_with(&base), "{link}");
            }
        }
    }
    connection.abort();
}

#[tokio::test]
async fn an_absolute_target_is_https() {
    let authority = Authority::new();
    let stage = setup(&authority, "").start().await;
    for (scheme, status) in [("https", 200), ("http", 421)] {
        let mut stream = authority.connect(stage.address()).await;
        let target = format!("{scheme}://localhost{PATIENTS}");
        let answer = exchange(&mut stream, &get(&target, "localhost")).await;
        assert_eq!(answer.status, status, "{scheme}");
    }
}

/// By the request's own name, and by another that the proxy has.
#[tokio::test]
async fn references_to_the_proxy_reach_the_service_as_its_own() {
    let authority = Authority::new();
    let stage = setup(&authority, "").start().await;
    let port = stage.address().port();
    let mut stream = authority.connect(stage.address()).await;
    for name in ["localhost", "127.0.0.1"] {
        let observation = |base: &str| {
            format!(
                "{{\"resourceType\":\"Observation\",\"id\":\"o\",\
                 \"subject\":{{\"reference\":\"{base}/Patient/1\"}}}}"
            )
        };
        let body = observation(&format!("https://{name}:{port}/fhir"));
        let request = format!(
            "PUT /fhir/Observation/o HTTP/1.1\r\nHost: localhost:{port}\r\n\
             Content-Type: application/fhir+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(&mut stream, &request).await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.status);
        let sent = stage.emulator.fhir().traffic().recorded();
        let sent = sent.last().expect("a request");
        assert_eq!(sent.body, observation(FHIR_AUDIENCE));
    }
}

#[tokio::test]
async fn only_clients_with_a_certificate_get_through() {
    let authority = Authority::new();
    let clients = Authority::new();
    let stage = setup(&authority, ", client_ca = \"clients.pem\"")
        .file("clients.pem", clients.pem.clone())
        .start()
        .await;
    let hits = stage.upstream_hits();
    let foreign = Authority::new().leaf();
    for own in [None, Some(&foreign)] {
        let config = authority.client(&["http/1.1"], own);
        // With TLS 1.3 the client learns of it only when it reads.
        if let Ok(mut stream) = open(stage.address(), config).await {
            let request = get(PATIENTS, "localhost");
            let _ = stream.write_all(request.as_bytes()).await;
            let mut received = Vec::new();
            let read = timeout(PATIENCE, stream.read_to_end(&mut received)).await;
            read.expect("an end in time").expect_err("an alert");
            assert!(received.is_empty());
        }
    }
    assert_eq!(stage.upstream_hits(), hits);

    let config = authority.client(&["http/1.1"], Some(&clients.leaf()));
    let mut stream = open(stage.address(), config).await.expect("a handshake");
    let answer = exchange(&mut stream, &get(PATIENTS, "localhost")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn plain_http_is_told_to_use_https() {
    let authority = Authority::new();
    let stage: Stage = setup(&authority, "").start().await;
    let hits = stage.upstream_hits();
    let answer = client::get(stage.address(), PATIENTS).await;
    assert_eq!(answer.status, 400);
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("https://"), "{detail}");
    assert_eq!(stage.upstream_hits(), hits);
}
