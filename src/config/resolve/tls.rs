//! The TLS configuration of the listeners, from the files that `security.tls` names. An unusable
//! file is a problem of the configuration, at start and at each reload.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    Error, RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use secrecy::ExposeSecret as _;

use crate::config::{
    SecretRef, ServerTls, certificates,
    file::TlsTable,
    report::{At, Report},
};

pub(super) fn resolve(table: &TlsTable, report: &mut Report) -> Option<ServerTls> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = certificates("certificate", &table.certificate, report);
    let key = private_key(&table.key, report);
    let client_ca = table.client_ca.given();
    let verifier = client_ca.map(|place| verifier(place, &provider, report));
    // An unreadable client CA must not lead to listeners that demand no certificate.
    let verifier = verifier.map_or(Some(None), |verifier| Some(Some(verifier?)))?;

    let (chain, key) = (chain?, key?);
    let certificate = chain.first()?.clone();
    match server_config(provider, verifier, chain, key) {
        Ok(config) => Some(ServerTls {
            config: Arc::new(config),
            demands_certificates: client_ca.is_some(),
            file: table.certificate.value.clone(),
            certificate,
        }),
        Err(error) => {
            let (key, certificate) = (&table.key.value, &table.certificate.value);
            let (place, message, remedy) = match error {
                Error::InconsistentKeys(_) => (
                    table.key.place,
                    format!(
                        "`security.tls.key`: {} is not the key of the first certificate in {}",
                        key.display(),
                        certificate.display()
                    ),
                    "write the path of the key that belongs to the certificate; the server's own \
                     certificate comes first in its file",
                ),
                error => (
                    table.certificate.place,
                    format!(
                        "`security.tls`: {} and {} cannot be used: {error}",
                        certificate.display(),
                        key.display()
                    ),
                    "write the paths of an X.509 certificate and of its RSA, ECDSA or Ed25519 key",
                ),
            };
            report.refuse(place, message, remedy);
            None
        }
    }
}

fn server_config(
    provider: Arc<CryptoProvider>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(
    key: &str,
    file: &At<PathBuf>,
    report: &mut Report,
) -> Option<Vec<CertificateDer<'static>>> {
    match certificates::read(&file.value) {
        Ok(certificates) => Some(certificates),
        Err(unusable) => {
            let message = format!("`security.tls.{key}`: {}", unusable.message);
            report.refuse(file.place, message, unusable.remedy);
            None
        }
    }
}

fn private_key(file: &At<PathBuf>, report: &mut Report) -> Option<PrivateKeyDer<'static>> {
    report.secret_files.insert(file.value.clone());
    let (message, remedy) = match SecretRef::File(file.value.clone()).read_text_now(&|_| None) {
        Err(error) => (error.to_string(), certificates::READABLE),
        Ok(text) => match PrivateKeyDer::from_pem_slice(text.expose_secret().as_bytes()) {
            Ok(key) => return Some(key),
            // The details of a broken key are not quoted.
            Err(_) => (
                format!(
                    "{} contains no private key in PEM, or one with a password",
                    file.value.display()
                ),
                "convert it: `openssl pkey -in server.key -out plain.key` removes the password, \
                 `openssl pkcs12 -in server.pfx -nocerts -nodes -out server.key` converts a .pfx or \
                 .p12 file; let only the proxy's user read the result",
            ),
        },
    };
    report.refuse(file.place, format!("`security.tls.key`: {message}"), remedy);
    None
}

/// Demands a certificate that a certificate of the file has signed.
fn verifier(
    file: &At<PathBuf>,
    provider: &Arc<CryptoProvider>,
    report: &mut Report,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    let certificates = certificates("client_ca", file, report)?;
    let added = certificates
        .into_iter()
        .try_for_each(|certificate| roots.add(certificate));
    let verifier = added.map_err(|error| error.to_string()).and_then(|()| {
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| error.to_string())
    });
    match verifier {
        Ok(verifier) => Some(verifier),
        Err(error) => {
            report.refuse(
                file.place,
                format!(
                    "`security.tls.client_ca`: {} cannot be used: {error}",
                    file.value.display()
                ),
                "write the path of the certificates of the CAs that sign your clients' certificates",
            );
            None
        }
    }
}
