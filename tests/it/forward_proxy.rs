//! Connections through the HTTP proxy of a network, and the message for each way it can fail.

#[cfg(unix)]
mod program;

use std::{net::SocketAddr, sync::Arc};

use azure_emulator::{ENTRA_HOST, Emulator, FHIR_HOST, Options};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::support::{
    Setup, Stage, client,
    forward_proxy::{self, NAME},
    scripted::{Scripted, route_to},
    tls::Authority,
};

/// `Basic` of `user:p@ss`.
const AUTHORIZATION: &str = "Basic dXNlcjpwQHNz";
const PATIENTS: &str = "/fhir/Patient?name=Smith";

async fn emulator() -> Emulator {
    let options = Options {
        samples: true,
        ..Options::default()
    };
    Emulator::start(options).await.expect("the emulator starts")
}

/// A token that needs no request.
fn with_a_token(setup: Setup) -> Setup {
    setup
        .file("token", "a-static-token")
        .with("routes.fhir", "credential = \"fixed\"")
        .with("routes.dicom", "credential = \"fixed\"")
        .with("credentials.fixed.static", "token = { file = \"token\" }")
}

fn named(url: &str) -> String {
    format!("proxy = \"{url}\"")
}

/// The first lines of the requests that a proxy got, each once.
fn targets(proxy: &Scripted) -> Vec<String> {
    let heads = proxy.heads();
    let mut lines: Vec<String> = heads
        .iter()
        .map(|head| head.lines().next().unwrap_or_default().to_owned())
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

fn connect(host: &str) -> String {
    format!("CONNECT {host}:443 HTTP/1.1")
}

#[tokio::test]
async fn requests_and_tokens_go_through_the_proxy() {
    let emulator = emulator().await;
    let proxy = forward_proxy::start(&emulator, None).await;
    let stage = Setup::new().behind(proxy.address());
    let stage = stage.start_before(emulator).await;
    stage.ready().await;
    for path in [PATIENTS, "/dicom/v2/changefeed"] {
        let answer = client::get(stage.address(), path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(
        targets(&proxy),
        [
            connect(azure_emulator::DICOM_HOST),
            connect(FHIR_HOST),
            connect(ENTRA_HOST)
        ]
    );
    for head in proxy.heads() {
        let head = head.to_lowercase();
        let host = head.split(' ').nth(1).expect("a target").to_owned();
        assert!(head.contains(&format!("\r\nhost: {host}\r\n")), "{head}");
        for secret in ["authorization", "bearer", "smith", "patient"] {
            assert!(!head.contains(secret), "{head}");
        }
    }
    // TLS goes to the service itself, and so does the choice of HTTP/2.
    assert_eq!(stage.forwarded().version, http::Version::HTTP_2);
}

#[tokio::test]
async fn user_name_and_password_go_to_the_proxy_alone() {
    let emulator = emulator().await;
    let proxy = forward_proxy::start(&emulator, Some(AUTHORIZATION)).await;
    let stage = Setup::new()
        .behind(proxy.address())
        .with("network", named(&format!("http://user:p%40ss@{NAME}")))
        .start_before(emulator)
        .await;
    stage.ready().await;
    let answer = client::get(stage.address(), PATIENTS).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let headers = stage.forwarded().headers;
    assert!(!headers.contains_key("proxy-authorization"), "{headers:?}");
}

#[tokio::test]
async fn loopback_and_fixed_addresses_are_reached_directly() {
    let proxy = Scripted::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let near = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    let stage = Setup::new()
        .with("network", named(&format!("http://{}", proxy.address())))
        .with("routes.plain", route_to(near.address()))
        .start()
        .await;
    for path in [PATIENTS, "/dicom/v2/changefeed", "/plain/Patient"] {
        assert_eq!(client::get(stage.address(), path).await.status, 200);
    }
    assert_eq!(targets(&proxy), [""; 0]);
}

/// The platform's endpoint is on this machine or its link, and no proxy may see the request.
#[tokio::test]
async fn endpoints_of_managed_identities_are_reached_directly() {
    let emulator = emulator().await;
    let proxy = forward_proxy::start(&emulator, None).await;
    let stage = Setup::new()
        .behind(proxy.address())
        .with("routes.fhir", "credential = \"machine\"")
        .with(
            "credentials.machine.managed-identity",
            "endpoint = \"https://identity.invalid\"",
        )
        .without_waiting()
        .start_before(emulator)
        .await;
    let answer = client::get(stage.address(), PATIENTS).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("identity.invalid does not resolve"),
        "{}",
        answer.text()
    );
    let asked = targets(&proxy);
    assert!(!asked.contains(&connect("identity.invalid")), "{asked:?}");
}

/// The FHIR route's response, and the text in it.
async fn failure(stage: &Stage, status: u16, error: &str) -> String {
    let answer = client::get(stage.address(), PATIENTS).await;
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(
        answer.header("proxy-status"),
        Some(&*format!("ahds-proxy; error={error}")),
        "{}",
        answer.text()
    );
    let text = answer.json()["issue"][0]["diagnostics"].clone();
    let text = text.as_str().expect("a text").to_owned();
    for secret in ["p@ss", "p%40ss", "hunter2", "Smith", "a-static-token"] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

#[tokio::test]
async fn a_refusal_of_the_proxy_is_explained() {
    let plain = format!("http://{NAME}");
    let signed_in = format!("http://user:hunter2@{NAME}");
    for (url, answer, error, phrases) in [
        (
            &plain,
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n",
            "proxy_configuration_error",
            &[
                "the proxy proxy.corp.example:3128 requires a user name and a password (status 407)",
                "; write them in network.proxy, as http://USER:PASSWORD@proxy.corp.example:3128",
                "(@ as %40)",
            ][..],
        ),
        (
            &signed_in,
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n",
            "proxy_configuration_error",
            &["does not accept the user name and the password in network.proxy (status 407)"],
        ),
        (
            &signed_in,
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n\r\n",
            "proxy_configuration_error",
            &["requires a sign-in by Negotiate", "such as Px or Cntlm"],
        ),
        (
            &plain,
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n<html>blocked",
            "destination_unavailable",
            &[
                "the proxy proxy.corp.example:3128 refuses to connect to demo-fhir.fhir.azurehealthcareapis.com \
                 (status 403)",
                "; ask the proxy's administrator to allow demo-fhir",
                "NO_PROXY",
            ],
        ),
        (
            &plain,
            "HTTP/1.1 503 Service Unavailable\r\n\r\n",
            "destination_unavailable",
            &[
                "cannot connect to demo-fhir.fhir.azurehealthcareapis.com (status 503)",
                "whether the proxy can reach it",
            ],
        ),
        (
            &plain,
            "HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.example/\r\n\r\n",
            "destination_unavailable",
            &["(status 301)", "those of an HTTP proxy"],
        ),
        (
            &plain,
            "SSH-2.0-OpenSSH_9.6\r\n\r\n",
            "http_protocol_error",
            &["the response of the proxy proxy.corp.example:3128 is not HTTP"],
        ),
        (
            &plain,
            "HTTP/1.1 200 OK\r\n\r\nmore than the head",
            "http_protocol_error",
            &["is not HTTP"],
        ),
        (
            &plain,
            "",
            "connection_terminated",
            &[
                "closed the connection without a response; check that host and port in network.proxy",
            ],
        ),
        (
            &plain,
            "HTTP/1.1 20",
            "connection_terminated",
            &["closed the connection without a response"],
        ),
    ] {
        let proxy = Scripted::start(move |_, mut conversation| async move {
            conversation.request().await;
            conversation.send(answer.as_bytes()).await;
        })
        .await;
        let stage = with_a_token(Setup::new())
            .behind(proxy.address())
            .with("network", named(url))
            .start_before(emulator().await)
            .await;
        let text = failure(&stage, 502, error).await;
        for phrase in phrases {
            assert!(text.contains(phrase), "{phrase} in: {text}");
        }
    }
}

/// An address on which nobody listens any more.
async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound address")
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_explained() {
    let silent = Scripted::start(|_, conversation| async move {
        std::future::pending::<()>().await;
        drop(conversation);
    })
    .await;
    let closed = closed_port().await;
    for (url, status, error, phrases) in [
        (
            "http://proxy.invalid:8080".to_owned(),
            502,
            "dns_error",
            &[
                "the name of the proxy proxy.invalid:8080 does not resolve",
                "; check host and port in network.proxy, the network and the VPN",
            ][..],
        ),
        (
            format!("http://{closed}"),
            502,
            "connection_refused",
            &["does not accept connections: connection refused"],
        ),
        (
            format!("http://user:hunter2@{}", silent.address()),
            504,
            "connection_timeout",
            &[
                "opened no connection to demo-fhir.fhir.azurehealthcareapis.com within 0.3s",
                "raise network.connect_timeout",
            ],
        ),
    ] {
        let stage = with_a_token(Setup::new())
            .behind(silent.address())
            .with("network", named(&url))
            .with("network", "connect_timeout = \"300ms\"")
            .start_before(emulator().await)
            .await;
        let text = failure(&stage, status, error).await;
        for phrase in phrases {
            assert!(text.contains(phrase), "{phrase} in: {text}");
        }
    }
}

/// A proxy that responds to CONNECT, and then to nothing more.
#[tokio::test]
async fn a_handshake_through_the_proxy_that_never_ends() {
    let proxy = Scripted::start(|_, mut conversation| async move {
        conversation.request().await;
        conversation.send(b"HTTP/1.1 200 OK\r\n\r\n").await;
        std::future::pending::<()>().await;
    })
    .await;
    let stage = with_a_token(Setup::new())
        .behind(proxy.address())
        .with("network", "connect_timeout = \"300ms\"")
        .start_before(emulator().await)
        .await;
    let text = failure(&stage, 504, "connection_timeout").await;
    assert!(
        text.contains(&format!("through the proxy {NAME}")),
        "{text}"
    );
}

/// The proxy terminates TLS itself, with certificates of its own CA.
async fn inspecting_proxy(authority: &Authority) -> (SocketAddr, JoinSet<()>) {
    let leaf = authority.leaf();
    let certificate = CertificateDer::from_pem_slice(leaf.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.expect("a certificate")], key)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (stream, _): (TcpStream, _) = listener.accept().await.expect("a connection");
            // The client ends it.
            let _ = acceptor.accept(stream).await;
        }
    });
    (address, serving)
}

#[tokio::test]
#[cfg_attr(
    windows,
    ignore = "Wine 8 takes a missing issuer for an unknown revocation"
)]
async fn the_ca_of_a_proxy_that_inspects_tls_is_named() {
    let (server, _serving) = inspecting_proxy(&Authority::new()).await;
    let proxy = Scripted::start(move |_, mut conversation| async move {
        conversation.request().await;
        forward_proxy::pass_on(conversation, server).await;
    })
    .await;
    let stage = with_a_token(Setup::new())
        .behind(proxy.address())
        .start_before(emulator().await)
        .await;
    let text = failure(&stage, 502, "tls_certificate_error").await;
    assert_eq!(
        text,
        format!(
            "The request to the upstream failed: the certificate of {FHIR_HOST}:443 through the proxy {NAME}, \
             issued by CA of a test, is not trusted: no trusted CA has signed it; if the proxy {NAME} \
             inspects TLS, or with a private CA, add the certificate (PEM) of CA of a test to network.ca_file."
        )
    );
}

/// Without a token there is no request, so the message about the token names the proxy.
#[tokio::test]
async fn a_token_that_the_proxy_prevents_is_explained() {
    let emulator = emulator().await;
    let proxy = forward_proxy::start(&emulator, Some(AUTHORIZATION)).await;
    let stage = Setup::new()
        .behind(proxy.address())
        .without_waiting()
        .start_before(emulator)
        .await;
    let text = failure(&stage, 503, "proxy_internal_response").await;
    assert_eq!(
        text,
        format!(
            "No token for the upstream: no token from {ENTRA_HOST}: the proxy {NAME} requires a user name and a \
             password (status 407). Write them in network.proxy, as http://USER:PASSWORD@{NAME}, with special \
             characters percent-encoded (@ as %40)."
        )
    );
}
