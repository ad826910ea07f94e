//! Which servers are trusted: the system's roots and `network.ca_file`. It cannot be switched off.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;

use super::StartError;
use crate::config::{HttpVersion, Network};

/// The client side of TLS 1.2 and 1.3, without ALPN.
pub(super) fn client_config(network: &Network) -> Result<ClientConfig, StartError> {
    let provider = provider();
    let mut extra = match &network.ca_file {
        Some(path) => read_certificates(path)?,
        None => Vec::new(),
    };
    if let Some(pem) = &network.ca_pem {
        extra.extend(CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok));
    }
    let verifier =
        Verifier::new_with_extra_roots(extra, provider.clone()).map_err(StartError::Roots)?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(StartError::Roots)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
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

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let failed = |reason: String| StartError::CaFile {
        path: path.to_owned(),
        reason,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed("it holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}
