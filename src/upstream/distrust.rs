//! A certificate that is not trusted, and the CA that issued it.

use rustls::CertificateError;

use super::via::Via;
use crate::x509::Certificate;

/// A CA's name comes from outside, and may be of any length.
const LONGEST_NAME: usize = 100;

/// A server's certificate that is not trusted.
#[derive(Debug)]
pub struct Distrust {
    /// Host and port.
    pub(super) host: String,
    pub(super) via: Via,
    /// The error of rustls.
    pub reason: CertificateError,
    /// The certificate, if it can be read. It is not trusted, so anyone may have made it.
    pub certificate: Option<Certificate>,
}

impl Distrust {
    /// The issuer that the certificate names.
    pub fn issuer(&self) -> Option<String> {
        let issuer = self.certificate.as_ref()?.issuer();
        let name: String = issuer
            .chars()
            .filter(|c| !c.is_control())
            .take(LONGEST_NAME)
            .collect();
        (!name.is_empty()).then_some(name)
    }

    /// The problem, as a clause without a full stop.
    pub fn problem(&self) -> String {
        let Self {
            host, via, reason, ..
        } = self;
        match self.issuer() {
            Some(issuer) => format!(
                "the certificate of {host}{via}, issued by {issuer}, is not trusted: {reason}"
            ),
            None => format!("the certificate of {host}{via} is not trusted: {reason}"),
        }
    }

    /// The remedy, as a sentence.
    pub fn remedy(&self) -> String {
        let inspector = match self.via.proxy() {
            Some(proxy) => format!("If the proxy {proxy} inspects TLS"),
            None => "Behind a TLS-inspecting proxy".to_owned(),
        };
        let ca = self.issuer().unwrap_or_else(|| "that CA".to_owned());
        format!(
            "{inspector}, or with a private CA, add the certificate (PEM) of {ca} to \
             network.ca_file."
        )
    }
}
