//! Verifies servers by the system's roots and `network.ca_file`. No setting switches this off.

use std::{cell::RefCell, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme,
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
        verified.map_err(|error| {
            let certificate = end_entity.clone().into_owned();
            let _ = REFUSED.try_with(|refused| refused.replace(Some(certificate)));
            named(error)
        })
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

/// Names a fault for which the verifier of Windows gives only a number, as a part of its text.
fn named(error: Error) -> Error {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(fault))) = &error else {
        return error;
    };
    let text = fault.to_string();
    let number = text
        .rsplit_once("(os error ")
        .and_then(|(_, number)| number.strip_suffix(')')?.parse::<i32>().ok());
    let kind = match number.map(i32::cast_unsigned) {
        // CERT_E_CHAINING: the server sends no CA, and none of the system has signed its certificate.
        Some(0x800B_010A) => CertificateError::UnknownIssuer,
        // TRUST_E_CERT_SIGNATURE
        Some(0x8009_6004) => CertificateError::BadSignature,
        _ => return error,
    };
    Error::InvalidCertificate(kind)
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn faults_that_windows_numbers_have_names() {
        let other = |text: &str| {
            let fault = Arc::new(io::Error::other(text.to_owned()));
            Error::InvalidCertificate(CertificateError::Other(OtherError(fault)))
        };
        let named = |text: &str| match named(other(text)) {
            Error::InvalidCertificate(kind) => kind,
            error => panic!("{error}"),
        };
        let chaining = "A certificate chain could not be built. (os error -2146762486)";
        assert_eq!(named(chaining), CertificateError::UnknownIssuer);
        let signature = named("OS Error -2146869244 (FormatMessageW) (os error -2146869244)");
        assert_eq!(signature, CertificateError::BadSignature);
        for unknown in [
            "",
            "(os error )",
            "(os error 5)",
            "-2146762486",
            "(os error -2146762486",
        ] {
            assert!(
                matches!(named(unknown), CertificateError::Other(_)),
                "{unknown}"
            );
        }
    }
}
