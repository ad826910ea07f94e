//! Reads an X.509 certificate (RFC 5280, section 4.1): subject, issuer, thumbprint, public key and
//! validity. Nothing here decides trust.

mod der;
mod name;

use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use self::der::{Element, INTEGER, SEQUENCE};

/// The tag `[0] EXPLICIT`, whose content is the version.
const VERSION: u8 = 0xa0;

/// A certificate. Its signature is not verified here.
#[derive(Debug, Clone)]
pub struct Certificate {
    der: CertificateDer<'static>,
    subject: String,
    issuer: String,
    not_before: Timestamp,
    not_after: Timestamp,
    /// The content of `SubjectPublicKeyInfo`: an algorithm and the bits of the key.
    public_key: Vec<u8>,
}

impl Certificate {
    /// Reads all certificates of a PEM text, in order; `None` if one is damaged.
    pub fn all_from_pem(pem: &str) -> Option<Vec<Self>> {
        CertificateDer::pem_slice_iter(pem.as_bytes())
            .map(|der| Self::from_der(der.ok()?))
            .collect()
    }

    /// Reads a certificate; `None` if it is damaged.
    pub fn from_der(der: CertificateDer<'static>) -> Option<Self> {
        let certificate = Element::first(&der)?.expect(SEQUENCE)?;
        let to_be_signed = Element::first(certificate.content)?.expect(SEQUENCE)?;
        let mut field = Element::first(to_be_signed.content)?;
        if field.tag == VERSION {
            field = field.next()?;
        }
        let serial_number = field.expect(INTEGER)?;
        let algorithm = serial_number.next()?.expect(SEQUENCE)?;
        let issuer = algorithm.next()?.expect(SEQUENCE)?;
        let validity = issuer.next()?.expect(SEQUENCE)?;
        let subject = validity.next()?.expect(SEQUENCE)?;
        let public_key = subject.next()?.expect(SEQUENCE)?;
        let not_before = Element::first(validity.content)?;
        Some(Self {
            subject: name::of(&subject),
            issuer: name::of(&issuer),
            not_before: der::time(&not_before)?,
            not_after: der::time(&not_before.next()?)?,
            public_key: public_key.content.to_vec(),
            der,
        })
    }

    /// The subject; empty if only an extension names it. It may contain any characters.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer. It may contain any characters.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The end of the validity.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The SHA-256 of the certificate, base64url: `x5t#S256` (RFC 7515, section 4.1.8).
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.der))
    }

    /// An element of `x5c` (RFC 7515, section 4.1.6).
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.der)
    }

    /// Whether the certificate is for this public key. The bits of the key are the end of the
    /// field.
    pub fn is_for(&self, public_key: &[u8]) -> bool {
        self.public_key.ends_with(public_key)
    }

    /// The start of the validity, if it is in the future.
    pub fn begins(&self, now: SystemTime) -> Option<Timestamp> {
        (now < SystemTime::from(self.not_before)).then_some(self.not_before)
    }

    /// The end of the validity, if it is in the past.
    pub fn ended(&self, now: SystemTime) -> Option<Timestamp> {
        (SystemTime::from(self.not_after) < now).then_some(self.not_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 1`.
    const PEM: &str = "\
-----BEGIN CERTIFICATE-----
MIIBcTCCARegAwIBAgIUZirWVQgUertuoW77pt54JUmf8/IwCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDYXBwMB4XDTI2MTEyMTA2MzQzOVoXDTI2MTEyMjA2MzQzOVow
DjEMMAoGA1UEAwwDYXBwMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhIGFD7F0
Fq+HGDn+HXnDEXJBJM75QHRlXmimmjSS9jxQ6N0O6Qn7L7snkENNlJOq5ZJqCrwD
abVK1jpvwXlDCKNTMFEwHQYDVR0OBBYEFJBvRWK0GEByffyyCz9xf1JlIFIvMB8G
A1UdIwQYMBaAFJBvRWK0GEByffyyCz9xf1JlIFIvMA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDSAAwRQIhAOhgtYfsjmT1DfIEQ/Cn3bWwKhxMKywgSoiP+lx8
8paDAiAloxhD9hPdA7Z/BKo34LunLhTqtiLB5RScHnsz+/sgvQ==
-----END CERTIFICATE-----
";

    fn der() -> Vec<u8> {
        let der = CertificateDer::from_pem_slice(PEM.as_bytes()).expect("PEM");
        der.to_vec()
    }

    #[test]
    fn reads_a_certificate_of_openssl() {
        let all = Certificate::all_from_pem(&format!("{PEM}{PEM}")).expect("certificates");
        assert_eq!(all.len(), 2);
        let certificate = &all[0];
        assert_eq!(certificate.subject(), "app");
        assert_eq!(certificate.issuer(), "app");
        assert_eq!(
            certificate.thumbprint(),
            "2CIUc8BZieSNmR6LVxtoy30vaWoLbrKodAmqeq2rCD8"
        );
        assert_eq!(certificate.not_after.to_string(), "2026-11-22T06:34:39Z");
        assert_eq!(certificate.not_before.to_string(), "2026-11-21T06:34:39Z");
        let start = SystemTime::from(certificate.not_before);
        assert_eq!(certificate.begins(start), None);
        let earlier = start - std::time::Duration::from_secs(1);
        assert_eq!(certificate.begins(earlier), Some(certificate.not_before));
        let end = SystemTime::from(certificate.not_after);
        assert_eq!(certificate.ended(end), None);
        let later = end + std::time::Duration::from_secs(1);
        assert_eq!(certificate.ended(later), Some(certificate.not_after));
        assert!(certificate.is_for(&[0x3a, 0x6f, 0xc1, 0x79, 0x43, 0x8]));
        assert!(!certificate.is_for(b"another"));
    }

    #[test]
    fn a_damaged_certificate_is_refused_without_a_panic() {
        assert!(Certificate::all_from_pem("").is_some_and(|all| all.is_empty()));
        let der = der();
        for end in 0..der.len() {
            let cut = CertificateDer::from(der[..end].to_vec());
            assert!(Certificate::from_der(cut).is_none(), "{end}");
        }
        for at in 0..der.len() {
            for byte in [0x00, 0x7f, 0x80, 0x84, 0xff] {
                let mut changed = der.clone();
                changed[at] = byte;
                // Reading must not panic. Whether the changed certificate is valid does not matter
                // here.
                let _ = Certificate::from_der(CertificateDer::from(changed));
            }
        }
    }
}
