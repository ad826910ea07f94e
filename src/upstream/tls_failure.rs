//! The reasons why a TLS handshake fails for another cause than the certificate.

use std::io;

use rustls::{AlertDescription as Alert, Error};

/// The problem, as a clause without a full stop, and the remedy, as a sentence. `host` is host and
/// port with the way to it.
pub(super) fn explain(host: &str, reason: &io::Error) -> (String, &'static str) {
    const ON_THE_WAY: &str = "Check host and port, and whether a firewall or an HTTP proxy on the way \
                              interrupts TLS connections.";
    let inner = reason.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::InvalidMessage(_)) => (
            format!("{host} does not speak TLS"),
            "Write the port on which it speaks TLS. For a service on this machine without TLS, write \
             http:// in place of https://.",
        ),
        Some(
            Error::AlertReceived(
                Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity,
            )
            | Error::PeerIncompatible(_),
        ) => (
            format!("{host} and the proxy have no TLS version or algorithm in common"),
            "Use a server that speaks TLS 1.2 or 1.3 with current algorithms.",
        ),
        Some(Error::AlertReceived(Alert::UnrecognisedName)) => (
            format!("the server at {host} does not know this host name"),
            "Check the host name and network.resolve.",
        ),
        Some(error) => (format!("TLS with {host} failed: {error}"), ON_THE_WAY),
        None => (
            format!("{host} broke off the TLS handshake ({reason})"),
            ON_THE_WAY,
        ),
    }
}
