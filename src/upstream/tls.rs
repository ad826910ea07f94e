//! Verifies servers by the system's roots and `network.ca_file`. No setting switches this off.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::Verifier;

use super::StartError;
use crate::config::{HttpVersion, Network};

/// The verifier of all connections.
pub(super) fn verifier(network: &Network) -> Result<Arc<Verifier>, StartError> {
    Verifier::new_with_extra_roots(network.extra_roots.iter().cloned(), provider())
        .map(Arc::new)
        .map_err(StartError::Roots)
}

/// The client side of TLS 1.2 and 1.3, without ALPN.
pub(super) fn client_config(verifier: Arc<Verifier>) -> Result<ClientConfig, StartError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(StartError::Roots)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// Records the certificate that a server presents, and leaves the decision to the real verifier.
#[derive(Debug)]
pub(super) struct Witness {
    verifier: Arc<Verifier>,
    seen: Mutex<Option<CertificateDer<'static>>>,
}

impl Witness {
    /// The server's own certificate, trusted or not.
    pub(super) fn seen(&self) -> Option<CertificateDer<'static>> {
        let seen = self.seen.lock();
        seen.clone()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = end_entity.clone().into_owned();
        *self.seen.lock() = Some(certificate);
        self.verifier
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// A copy of `config` that trusts the same servers as `verifier` and records their certificates. It
/// resumes no session, since a server presents no certificate then.
pub(super) fn witnessed(
    config: &ClientConfig,
    verifier: Arc<Verifier>,
) -> (Arc<ClientConfig>, Arc<Witness>) {
    let witness = Arc::new(Witness {
        verifier,
        seen: Mutex::default(),
    });
    let mut config = config.clone();
    config.resumption = Resumption::disabled();
    config.dangerous().set_certificate_verifier(witness.clone());
    (Arc::new(config), witness)
}

/// A copy of `config` that offers `version`. Copies share their session tickets.
pub(super) fn offering(config: &ClientConfig, version: HttpVersion) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = match version {
        HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
