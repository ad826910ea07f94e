//! Certificates from the PEM files that a configuration names. Both `check` and the start read them
//! here, so that they accept the same files.

use std::{fmt, path::Path};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{
    encoding,
    files::{self, Links},
};

pub(super) const READABLE: &str = "write the path of a PEM file that this process may read; a relative one starts at the \
                        configuration file's folder";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The object identifiers of PKCS #7 data and signed data (RFC 2315, section 14), in DER.
const DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";

/// Why a file's certificates cannot be used.
#[derive(Debug)]
pub(super) struct Unusable {
    /// The problem, with the name of the file.
    pub(super) message: String,
    pub(super) remedy: String,
}

/// Reads the certificates of a PEM file: at least one, and each can be decoded.
pub(super) fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let shown = path.display();
    let unusable = |problem: &dyn fmt::Display, remedy: String| Unusable {
        message: format!("{shown} {problem}"),
        remedy,
    };
    let bytes = files::read(path, Links::Follow).map_err(|reason| {
        unusable(
            &format_args!("cannot be read: {reason}"),
            READABLE.to_owned(),
        )
    })?;
    if cfg!(windows) && encoding::is_utf16(&bytes) {
        let remedy = encoding::TO_UTF_8.to_owned();
        return Err(unusable(&"is text in UTF-16, not PEM", remedy));
    }
    if let Some((format, command)) = other_format(&bytes, path) {
        return Err(unusable(
            &format_args!("is {format}, not PEM"),
            format!("convert it and write the new file's path here: {command}"),
        ));
    }
    // An older name of the same block (RFC 7468, section 5.3).
    let text =
        String::from_utf8_lossy(&bytes).replace(" X509 CERTIFICATE-----", " CERTIFICATE-----");
    let mut certificates = Vec::new();
    let mut broken = Vec::new();
    for (line, block) in blocks(&text) {
        match block.and_then(decode) {
            Some(certificate) => certificates.push(certificate),
            None => broken.push(line.to_string()),
        }
    }
    if !broken.is_empty() {
        return Err(unusable(
            &format_args!(
                "contains a broken certificate on line {}",
                broken.join(" and line ")
            ),
            "replace it with the certificate as its issuer provided it, or remove its lines"
                .to_owned(),
        ));
    }
    if certificates.is_empty() {
        let problem = if bytes.trim_ascii().is_empty() {
            "is empty"
        } else if text.contains("PRIVATE KEY-----") {
            "contains a private key, but no certificate"
        } else {
            "contains no certificate in PEM"
        };
        let remedy = format!("write the path of a file with a part that begins with {BEGIN}");
        return Err(unusable(&problem, remedy));
    }
    Ok(certificates)
}

/// The name of another format of certificates, and the command that converts it to PEM.
fn other_format(bytes: &[u8], path: &Path) -> Option<(&'static str, String)> {
    let path = path.to_string_lossy();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let quote = if path.bytes().all(is_plain) {
        ""
    } else if cfg!(windows) {
        "\""
    } else {
        "'"
    };
    let openssl = |arguments| {
        format!("openssl {arguments} -in {quote}{path}{quote} -out {quote}{path}.pem{quote}")
    };
    let holds = |part: &[u8]| memchr::memmem::find(bytes, part).is_some();
    if encoding::is_utf16(bytes) {
        let command =
            format!("iconv -f UTF-16 -t UTF-8 -o {quote}{path}.pem{quote} {quote}{path}{quote}");
        return Some(("text in UTF-16", command));
    }
    if holds(b"-----BEGIN PKCS7-----") {
        return Some(("PKCS #7", openssl("pkcs7 -print_certs")));
    }
    if holds(b"-----BEGIN TRUSTED CERTIFICATE-----") {
        return Some(("in OpenSSL's own format", openssl("x509")));
    }
    // A sequence (ITU-T X.690, section 8.9) whose length takes more than one byte.
    if !bytes.starts_with(b"\x30\x82") && !bytes.starts_with(b"\x30\x81") {
        return None;
    }
    let start = &bytes[..bytes.len().min(40)];
    let begins_with = |part: &[u8]| memchr::memmem::find(start, part).is_some();
    Some(if begins_with(SIGNED_DATA) {
        ("PKCS #7 in DER", openssl("pkcs7 -inform DER -print_certs"))
    } else if begins_with(DATA) {
        ("PKCS #12", openssl("pkcs12 -nokeys"))
    } else {
        ("DER", openssl("x509 -inform DER"))
    })
}

/// The PEM of each certificate, with the number of its first line. A block without an end line has
/// no PEM.
fn blocks(text: &str) -> impl Iterator<Item = (usize, Option<&str>)> {
    text.match_indices(BEGIN).map(move |(start, _)| {
        let line = text[..start].matches('\n').count() + 1;
        let rest = &text[start + BEGIN.len()..];
        let end = rest.find(END).filter(|end| !rest[..*end].contains("-----"));
        let block = end.map(|end| &text[start..start + BEGIN.len() + end + END.len()]);
        (line, block)
    })
}

fn decode(pem: &str) -> Option<CertificateDer<'static>> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    // The certificate only has to be decodable; nothing here decides trust.
    RootCertStore::empty().add(certificate.clone()).ok()?;
    Some(certificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_told_by_its_first_line_and_needs_an_end() {
        let text = format!("a\n{BEGIN}\nMII\n{END}\nb\n{BEGIN}\nMII\n{BEGIN}\nMII\n{END}\n");
        let found: Vec<_> = blocks(&text)
            .map(|(line, block)| (line, block.is_some()))
            .collect();
        assert_eq!(found, [(2, true), (6, false), (8, true)]);
    }
}
