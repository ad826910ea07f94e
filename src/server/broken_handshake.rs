//! Logs why TLS handshakes fail, and the remedy. The log contains no text of the client's
//! certificate, since the client chooses it.

use rustls::{AlertDescription as Alert, CertificateError, Error};

use crate::telemetry::LogLimit;

/// Logs failed handshakes. The number of lines is limited, since a client may try repeatedly.
#[derive(Debug, Default)]
pub(super) struct HandshakeLog(LogLimit);

impl HandshakeLog {
    pub(super) fn refused(&self, error: &Error) {
        let Some(suppressed) = self.0.allow() else {
            return;
        };
        let (reason, remedy) = reason_and_remedy(error);
        let suppressed = (suppressed > 0).then_some(suppressed);
        tracing::warn!(
            remedy,
            more_since_last = suppressed,
            "a TLS handshake failed: {reason}"
        );
    }
}

/// Returns the reason of a failure and its remedy.
fn reason_and_remedy(error: &Error) -> (&'static str, &'static str) {
    match error {
        Error::NoCertificatesPresented => (
            "the client sent no certificate",
            "Give the client a certificate that a CA in `security.tls.client_ca` has signed.",
        ),
        Error::InvalidCertificate(problem) => certificate_reason_and_remedy(problem),
        Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown,
        ) => (
            "the client does not accept the proxy's certificate",
            "Let the client trust the CA that signed `security.tls.certificate`, and call the proxy by \
             a name in that certificate. Check that the certificate has not expired.",
        ),
        Error::AlertReceived(_) => ("the client aborted it", "The client's own log may say why."),
        Error::PeerIncompatible(_) => (
            "the client and the proxy have no TLS version or algorithm in common",
            "Use a client that speaks TLS 1.2 or 1.3.",
        ),
        _ => (
            "the client violates the TLS protocol",
            "Check that the caller is a TLS client; `--log debug` shows more.",
        ),
    }
}

fn certificate_reason_and_remedy(problem: &CertificateError) -> (&'static str, &'static str) {
    use CertificateError as Bad;
    match problem {
        // Only the signature distinguishes two CAs of the same name.
        Bad::UnknownIssuer | Bad::BadSignature => (
            "no CA in `security.tls.client_ca` has signed the client's certificate",
            "Give the client a certificate that one of them has signed, or add its CA to the file. The \
             client must send its intermediate certificates as well.",
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
            "the client's certificate is not issued for clients",
            "Issue one whose extended key usage is clientAuth.",
        ),
        _ => (
            "the client's certificate cannot be verified",
            "Issue another X.509 v3 certificate for the client; `--log debug` shows more.",
        ),
    }
}
