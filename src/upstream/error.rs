//! What can go wrong on the way to another host. No text holds a URL's path or query.

use std::{io, time::Duration};

/// Why connections cannot be made at all; found at start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No trusted root certificate was found.
    #[error(
        "no trusted root certificates: {0}; install the system's CA certificates \
         (package ca-certificates) or set network.ca_file or SSL_CERT_FILE"
    )]
    Roots(rustls::Error),
}

/// Why no connection could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name did not resolve.
    #[error("the host name {0} does not resolve; check it, the network and any private DNS zone")]
    Dns(String),
    /// Nothing accepted the connection.
    #[error("{host} does not accept connections: {reason}")]
    Tcp {
        /// Host and port.
        host: String,
        /// What the system said.
        reason: io::Error,
    },
    /// The server's certificate is not trusted.
    #[error(
        "the certificate of {host} is not trusted: {reason}; behind a TLS-inspecting proxy, or with \
         a private CA, name its certificate in network.ca_file"
    )]
    Certificate {
        /// Host and port.
        host: String,
        /// What rustls said.
        reason: rustls::CertificateError,
    },
    /// TLS failed otherwise.
    #[error("TLS with {host} failed: {reason}")]
    Tls {
        /// Host and port.
        host: String,
        /// What rustls or the system said.
        reason: io::Error,
    },
    /// Not done within `network.connect_timeout`.
    #[error("{host} did not accept a connection within {}s", .after.as_secs_f32())]
    Timeout {
        /// Host and port.
        host: String,
        /// The limit that passed.
        after: Duration,
    },
}

/// Why a request got no response head.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended before a response head.
    #[error("the connection was closed before an answer came")]
    Closed,
    /// What came was not HTTP.
    #[error("the answer was not valid HTTP")]
    Protocol,
    /// The request's own body failed, most often since the client went away.
    #[error("the request's body ended early")]
    RequestBody,
}

impl From<hyper::Error> for SendError {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse() {
            Self::Protocol
        } else if error.is_user() {
            Self::RequestBody
        } else {
            Self::Closed
        }
    }
}

/// Whether the connection ended before a single byte of an answer: what an idle connection that
/// the server closed at that moment looks like. The server may have acted on the request.
pub(super) fn never_answered(error: &hyper::Error) -> bool {
    error.is_incomplete_message() || error.is_canceled() || error.is_closed()
}
