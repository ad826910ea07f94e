//! Services that refuse, fail or cannot be reached.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use azure_emulator::Fault;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::{Scene, expect};
use crate::support::{
    MISNAMED_HOST, client,
    process::{self, Process},
    scripted::{Scripted, route_to},
    write_config,
};

const PATIENTS: &str = "/fhir/Patient?_count=1";
const PLAIN: &str = "/plain/Patient";

fn https(authority: &str) -> String {
    format!(
        "upstream = \"https://{authority}\"\nkind = \"fhir\"\naudience = \"{}\"",
        azure_emulator::FHIR_AUDIENCE
    )
}

#[tokio::test]
async fn a_service_that_refuses_or_fails() {
    let scene = Scene::start(&[]).await;
    client::until(scene.admin, "/readyz", |answer| answer.status == 200).await;
    let faults = scene.emulator.fhir().faults();
    let html = |status| Fault::Respond {
        status,
        headers: vec![("content-type".into(), "text/html".into())],
        body: "<html>".into(),
    };
    for (fault, status, log) in [
        // Row 33.
        (
            Fault::Unauthorized,
            401,
            &["WARN", "the service refuses the token", "check --online"][..],
        ),
        // Row 34.
        (
            Fault::Forbidden,
            403,
            &[
                "WARN",
                "refuses this identity or this network",
                "check --online",
            ],
        ),
        // Row 36.
        (
            html(502),
            502,
            &["WARN", "a server error", "check --online"],
        ),
        (
            html(200),
            200,
            &["WARN", "another server may respond", "captive portal"],
        ),
    ] {
        faults.clear();
        faults.always(fault);
        assert_eq!(
            client::get(scene.address, PATIENTS).await.status,
            status,
            "{log:?}"
        );
        scene.logs(log).await;
    }
    faults.clear();
    faults.next(1, Fault::Throttle(Duration::from_secs(7)));
    let answer = client::get(scene.address, PATIENTS).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("7")),
        "35"
    );
}

/// An address on which nobody listens any more.
async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address")
}

/// Calls a route whose service gives no response.
async fn check_unreached(name: &str, lines: String, status: u16, parts: &[&str]) {
    let lines = [
        ("routes.plain", lines),
        (
            "security",
            "trusted_upstreams = [\"nothing.invalid\"]".to_owned(),
        ),
        ("network", "connect_timeout = \"300ms\"".to_owned()),
    ];
    let scene = Scene::start(&lines).await;
    client::until(scene.admin, "/readyz", |answer| answer.status == 200).await;
    let answer = client::get(scene.address, PLAIN).await;
    expect(name, &answer, status, parts);
    scene
        .logs(&[
            "WARN",
            "a request got no response from the service",
            "route=plain",
        ])
        .await;
}

#[tokio::test]
async fn a_service_that_cannot_be_reached() {
    let closing = Scripted::start(|_, mut conversation| async move {
        conversation.request().await;
    })
    .await;
    let no_http = Scripted::answering("SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    for (name, lines, status, parts) in [
        (
            "37: no such name",
            https("nothing.invalid"),
            502,
            &["does not resolve", "private DNS zone"][..],
        ),
        (
            "38: refused",
            route_to(closed_port().await),
            502,
            &[
                "does not accept connections",
                "start the service on this machine, or correct its port",
            ],
        ),
        (
            "38: closed",
            route_to(closing.address()),
            502,
            &[
                "closed before a response came",
                "whether a write took effect",
                "check --online",
            ],
        ),
        (
            "38: no HTTP",
            route_to(no_http.address()),
            502,
            &[
                "was not valid HTTP",
                "host and port are those of an HTTP service",
            ],
        ),
    ] {
        check_unreached(name, lines, status, parts).await;
    }
}

#[tokio::test]
async fn a_service_whose_handshake_fails() {
    let no_tls = Scripted::start(|_, mut conversation| async move {
        let hello = conversation.stream.read(&mut [0; 4096]).await;
        assert!(hello.is_ok_and(|length| length > 0), "a hello");
        conversation
            .send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            .await;
    })
    .await;
    let silent = Scripted::start(|_, conversation| async move {
        std::future::pending::<()>().await;
        drop(conversation);
    })
    .await;
    for (name, lines, status, parts) in [
        (
            "39: no connection",
            https(&format!("localhost:{}", silent.address().port())),
            504,
            &[
                "within 0.3 s (network.connect_timeout)",
                "a firewall or a missing VPN",
                "raise network.connect_timeout",
            ][..],
        ),
        (
            "41: another name",
            https(MISNAMED_HOST),
            502,
            &[
                "is for login.microsoftonline.com, ",
                "and not for not.named.",
                "a name that is in the certificate",
                "network.resolve",
            ],
        ),
        (
            "42: a port without TLS",
            https(&format!("localhost:{}", no_tls.address().port())),
            502,
            &["does not speak TLS", "http:// in place of https://"],
        ),
    ] {
        check_unreached(name, lines, status, parts).await;
    }
}

#[tokio::test]
async fn a_response_that_is_late_or_breaks_off() {
    let lines = [("network", "response_timeout = \"300ms\"".to_owned())];
    let scene = Scene::start(&lines).await;
    client::until(scene.admin, "/readyz", |answer| answer.status == 200).await;
    let answer = client::get(scene.address, "/fhir/emulator/hang").await;
    expect(
        "39",
        &answer,
        504,
        &[
            "within 0.3 s (network.response_timeout)",
            "raise that timeout",
        ],
    );

    let request = b"GET /fhir/emulator/reset?after=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let bytes = client::to_the_end(scene.address, request).await;
    assert!(!bytes.ends_with(b"0\r\n\r\n"), "38: cut off as if whole");
    scene
        .logs(&[
            "WARN",
            "only a part of a response",
            "upstream broke off",
            "remedy=\"Send the request again",
        ])
        .await;
}

/// A server with a certificate that it has signed itself, as `openssl req -x509` makes it, or without
/// the extension by which it is a CA's.
async fn self_signed(is_ca: IsCa) -> (SocketAddr, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    params.is_ca = is_ca;
    let certificate = params.self_signed(&key).expect("a certificate");
    let pem = certificate.pem();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 4096]).await;
                let response =
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
                let _ = stream.write_all(response).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    (address, pem)
}

#[tokio::test]
async fn a_certificate_that_the_server_has_signed_itself() {
    let ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for (is_ca, status, parts) in [
        (
            ca,
            502,
            &[
                "is that of a CA, not of a server",
                "Run `openssl req -x509",
                "subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE",
            ][..],
        ),
        // The remedy works.
        (IsCa::ExplicitNoCa, 200, &["{}"]),
    ] {
        let (address, pem) = self_signed(is_ca).await;
        let emulator = super::emulator().await;
        let files = tempfile::tempdir().expect("a folder");
        let lines = [(
            "routes.plain",
            https(&format!("localhost:{}", address.port())),
        )];
        let config = write_config(&emulator, &files, &lines);
        let trusted = emulator.ca_pem().to_owned() + &pem;
        std::fs::write(files.path().join("ca.pem"), trusted).expect("written");
        let process = Process::start(process::run(&config));
        let (proxy, admin) = process.addresses().await;
        client::until(admin, "/readyz", |answer| answer.status == 200).await;
        let answer = client::get(proxy, PLAIN).await;
        expect("40", &answer, status, parts);

        let mut command = process::run(&config);
        command.args(["check", "--online"]);
        let output = process::output(command).await;
        let printed = process::text(&output.stdout);
        assert_eq!(printed.contains("CA:FALSE"), status == 502, "40: {printed}");
    }
}
