//! The certificates: a CA that is made at start, and one certificate for the host names of all
//! services.

use std::{io, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::Http;

/// The names the leaf certificate is valid for.
const NAMES: [&str; 10] = [
    super::ENTRA_HOST,
    super::OAUTH_HOST,
    super::RESOURCE_MANAGER_HOST,
    // Entra of the clouds for the US Government and for China.
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "*.fhir.azurehealthcareapis.com",
    "*.dicom.azurehealthcareapis.com",
    "localhost",
    "127.0.0.1",
    "::1",
];

/// A CA, and a leaf it signed.
pub(super) struct Identity {
    pub(super) ca_pem: String,
    chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Identity {
    pub(super) fn generate() -> io::Result<Self> {
        Self::try_generate().map_err(io::Error::other)
    }

    fn try_generate() -> Result<Self, rcgen::Error> {
        let ca_key = KeyPair::generate()?;
        let mut ca = params(Vec::new(), "ahds-proxy emulator CA")?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_certificate = ca.self_signed(&ca_key)?;
        let issuer = Issuer::new(ca, ca_key);

        let leaf_key = KeyPair::generate()?;
        let names = NAMES.map(String::from).to_vec();
        let mut leaf = params(names, "ahds-proxy emulator")?;
        // Python's ssl, and so az, refuses a server certificate without these.
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let leaf_certificate = leaf.signed_by(&leaf_key, &issuer)?;

        Ok(Self {
            ca_pem: ca_certificate.pem(),
            chain: vec![leaf_certificate.der().clone()],
            key: leaf_key.serialize_der(),
        })
    }

    pub(super) fn server_config(&self, http: Http) -> io::Result<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(self.chain.clone(), key)
            })
            .map_err(io::Error::other)?;
        config.alpn_protocols = match http {
            Http::Any => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Http::Http1 => vec![b"http/1.1".to_vec()],
            Http::Http2 => vec![b"h2".to_vec()],
        };
        Ok(config)
    }
}

fn params(names: Vec<String>, common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    params.distinguished_name = subject;
    // Some platforms refuse server certificates that are valid for longer than 825 days.
    let year = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .year();
    params.not_before = rcgen::date_time_ymd(i32::from(year) - 1, 12, 1);
    params.not_after = rcgen::date_time_ymd(i32::from(year) + 1, 2, 1);
    Ok(params)
}
