//! Verifies servers by the system's roots and `network.ca_file`. No setting switches this off.

use std::{cell::RefCell, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::Verifier;

use super::StartError;
use crate::config::{HttpVersion, Network};

tokio::task_local! {
    /// The certificate that the verifier refused in this handshake.
    static REFUSED: RefCell<Option<CertificateDer<'static>>>;
}

/// The client side of TLS 1.2 and 1.3, without ALPN.
pub(super) fn client_config(network: &Network) -> Result<ClientConfig, StartError> {
    let roots = network.extra_roots.iter().cloned();
    let verifier = Verifier::new_with_extra_roots(roots, provider()).map_err(StartError::Roots)?;
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(StartError::Roots)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(NotingVerifier(verifier)))
        .with_no_client_auth())
}

/// Runs a handshake, and returns the certificate that was refused in it.
pub(super) async fn noting_refused<T>(
    handshake: impl Future<Output = T>,
) -> (T, Option<CertificateDer<'static>>) {
    let noting = async {
        let result = handshake.await;
        (result, REFUSED.with(RefCell::take))
    };
    REFUSED.scope(RefCell::default(), noting).await
}

/// Leaves the decision to the real verifier, and notes the server's own certificate if it is refused,
/// since the error of rustls does not contain it.
#[derive(Debug)]
struct NotingVerifier(Verifier);

impl ServerCertVerifier for NotingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.0
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if verified.is_err() {
            let certificate = end_entity.clone().into_owned();
            let _ = REFUSED.try_with(|refused| refused.replace(Some(certificate)));
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
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
