//! A CA, its certificates, and clients that trust it.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::PATIENCE;

/// Signs certificates for localhost.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

fn params(name: &str) -> CertificateParams {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
    params
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = params("CA of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn leaf(&self) -> Leaf {
        self.leaf_of(2020, 2100)
    }

    /// Valid from the beginning of one year to that of another.
    pub(crate) fn leaf_of(&self, start: i32, end: i32) -> Leaf {
        let key = KeyPair::generate().expect("a key");
        let mut params = params("a leaf");
        params.not_before = date_time_ymd(start, 1, 1);
        params.not_after = date_time_ymd(end, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer);
        Leaf {
            certificate: certificate.expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client that offers these protocols, and a certificate if it has one.
    pub(crate) fn client(&self, protocols: &[&str], own: Option<&Leaf>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(certificate(&self.pem))
            .expect("a CA's certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("a key");
                builder
                    .with_client_auth_cert(vec![certificate(&leaf.certificate)], key)
                    .expect("a certificate and its key")
            }
        };
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        config
    }

    /// A connection for HTTP/1.1.
    pub(crate) async fn connect(&self, address: SocketAddr) -> TlsStream<TcpStream> {
        let stream = open(address, self.client(&["http/1.1"], None)).await;
        stream.expect("a handshake")
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

/// The handshake, whatever becomes of it.
pub(crate) async fn open(
    address: SocketAddr,
    config: ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address)
        .await
        .expect("the proxy accepts");
    let name = ServerName::try_from("localhost").expect("a name");
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    timeout(PATIENCE, handshake)
        .await
        .expect("a handshake in time")
}
