//! Clients that take their time over TLS, against the server alone.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use ahds_proxy::server::{self, Connections, Handler, Limits, Listener, RequestBody, Tls};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{io::AsyncWriteExt as _, sync::watch, task::JoinSet, time::timeout};

use crate::support::{PATIENCE, client, tls::Authority};

const HEAD: Duration = Duration::from_millis(400);
/// More than the sockets and TLS take at once.
const LARGE: usize = 16 << 20;

#[derive(Clone)]
struct Large;

impl Handler for Large {
    type Body = Full<Bytes>;

    async fn handle(self, _: Request<RequestBody>) -> Response<Full<Bytes>> {
        Response::new(Full::new(vec![b'x'; LARGE].into()))
    }
}

struct Server {
    authority: Authority,
    address: SocketAddr,
    _stop: watch::Sender<bool>,
    _serving: JoinSet<()>,
}

async fn start() -> Server {
    let authority = Authority::new();
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
    let listener = Listener::tls(([127, 0, 0, 1], 0).into(), Tls::new(Arc::new(config))).await;
    let listener = listener.expect("a free port");
    let address = listener.socket_address().expect("a TCP address");
    let (stop, stopped) = watch::channel(false);
    let limits = Limits {
        head_timeout: HEAD,
        keep_alive: PATIENCE,
        write_timeout: PATIENCE,
        max_head: 16 << 10,
    };
    let mut serving = JoinSet::new();
    // One connection at a time: a place that is not given back would be missed.
    let connections = Connections::new(1, "None: this is a test.");
    serving.spawn(server::serve(
        listener,
        Large,
        limits,
        connections,
        stopped,
        PATIENCE,
    ));
    Server {
        authority,
        address,
        _stop: stop,
        _serving: serving,
    }
}

/// Nothing, a part of a handshake, and a head that never comes after one.
#[tokio::test]
async fn a_client_that_says_nothing_is_cut_off() {
    let server = start().await;
    for said in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let start = Instant::now();
        client::to_the_end(server.address, said).await;
        assert!(start.elapsed() >= HEAD, "{:?}", start.elapsed());
        assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    }
    let start = Instant::now();
    let mut stream = server.authority.connect(server.address).await;
    let mut rest = Vec::new();
    let ended = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest);
    let _ = timeout(PATIENCE, ended).await.expect("an end in time");
    assert!(rest.is_empty());
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
}

/// Bytes that TLS holds back while the socket is full arrive too.
#[tokio::test]
async fn a_large_answer_comes_whole() {
    let server = start().await;
    let mut stream = server.authority.connect(server.address).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("sent");
    let answer = timeout(PATIENCE, client::read_response(&mut stream, false)).await;
    assert_eq!(answer.expect("in time").body.len(), LARGE);
}
