//! The log line of a failed TLS handshake: the cause and the remedy, in the proxy's own words, since a client chooses
//! the text in its certificate.

use rustls::{AlertDescription as Alert, CertificateError, Error};

use super::seldom::Seldom;

/// The log lines of failed handshakes, of which a client that tries again and again may cause many.
#[derive(Debug, Default)]
pub(super) struct Complaints(Seldom);

impl Complaints {
    pub(super) fn refused(&self, error: &Error) {
        let Some(untold) = self.0.take_turn() else {
            return;
        };
        let (reason, remedy) = explain(error);
        let untold = (untold > 0).then_some(untold);
        tracing::warn!(
            remedy,
            more_since_last = untold,
            "a TLS handshake failed: {reason}"
        );
    }
}

/// A reason and a remedy.
fn explain(error: &Error) -> (&'static str, &'static str) {
    match error {
        Error::NoCertificatesPresented => (
            "the client showed no certificate",
            "Give the client a certificate that a CA in `security.tls.client_ca` has signed.",
        ),
        Error::InvalidCertificate(problem) => explain_certificate(problem),
        Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown,
        ) => (
            "the client does not accept the proxy's certificate",
            "Have the client trust the CA that signed `security.tls.certificate`, and call the proxy \
             by a name that the certificate holds; see that it has not expired.",
        ),
        Error::AlertReceived(_) => (
            "the client broke it off",
            "The client's own log may say why.",
        ),
        Error::PeerIncompatible(_) => (
            "the client and the proxy have no TLS version or algorithm in common",
            "Use a client that speaks TLS 1.2 or 1.3.",
        ),
        _ => (
            "the client does not keep to the protocol",
            "See that it is a TLS client that calls; `--log debug` shows more.",
        ),
    }
}

fn explain_certificate(problem: &CertificateError) -> (&'static str, &'static str) {
    use CertificateError as Bad;
    match problem {
        // A CA of the same name with another key is known by its signature only.
        Bad::UnknownIssuer | Bad::BadSignature => (
            "no CA in `security.tls.client_ca` has signed the client's certificate",
            "Give the client a certificate that one of them has signed, or add its CA to the file, \
             and intermediate ones to what the client sends.",
        ),
        Bad::Expired | Bad::ExpiredContext { .. } => (
            "the client's certificate has expired",
            "Renew the client's certificate; if it is current, set this machine's clock.",
        ),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => (
            "the client's certificate is not valid yet",
            "Set this machine's clock, or wait until the certificate is valid.",
        ),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => (
            "the client's certificate is not for clients",
            "Issue one whose extended key usage is clientAuth.",
        ),
        _ => (
            "the client's certificate cannot be verified",
            "Issue another X.509 v3 certificate for the client; `--log debug` shows more.",
        ),
    }
}
