//! The errors of requests to other hosts. No text contains a URL's path or query.

use std::{error::Error as _, io, time::Duration};

use super::{distrust::Distrust, proxy_error::ProxyError, request_body::SourceError, via::Via};

/// The reason why no connection can be made at all. It shows at start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No trusted root certificate was found.
    #[error(
        "no trusted root certificates: {0}; install the system's CA certificates \
         (package ca-certificates) or set network.ca_file or SSL_CERT_FILE"
    )]
    Roots(rustls::Error),
}

/// The reason why no connection was made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name did not resolve.
    #[error("the host name {0} does not resolve; check it, the network and any private DNS zone")]
    Dns(String),
    /// No address accepted the connection.
    #[error("{host} does not accept connections: {reason}")]
    Tcp {
        /// Host and port.
        host: String,
        /// The error of the system.
        reason: io::Error,
    },
    /// The server's certificate is not trusted.
    #[error("{}", with_remedy(&.0.problem(), &.0.remedy()))]
    Certificate(Box<Distrust>),
    /// The HTTP proxy on the way made no connection.
    #[error("{}", with_remedy(&.0.problem(), &.0.remedy()))]
    Proxy(Box<ProxyError>),
    /// TLS failed for another reason.
    #[error("TLS with {host}{via} failed: {reason}")]
    Tls {
        /// Host and port.
        host: String,
        /// The way.
        via: Via,
        /// The error of rustls or of the system.
        reason: io::Error,
    },
    /// `network.resolve` leads plain http to another machine.
    #[error(
        "network.resolve leads {host} to another machine, and plain http would show tokens and \
         secrets on the way; use https, or a loopback address in network.resolve"
    )]
    Exposed {
        /// Host and port.
        host: String,
    },
    /// The connection was not ready within `network.connect_timeout`.
    #[error("{host} did not accept a connection{via} within {}s", .after.as_secs_f32())]
    Timeout {
        /// Host and port.
        host: String,
        /// The way.
        via: Via,
        /// The limit that passed.
        after: Duration,
    },
}

impl ConnectError {
    /// The problem as a clause, and its remedy as a sentence, of an error that has a remedy apart.
    pub fn in_parts(&self) -> Option<(String, String)> {
        match self {
            Self::Certificate(distrust) => Some((distrust.problem(), distrust.remedy())),
            Self::Proxy(error) => Some((error.problem(), error.remedy())),
            _ => None,
        }
    }
}

impl From<ProxyError> for ConnectError {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(Box::new(error))
    }
}

/// A problem with its remedy, as clauses without a full stop.
fn with_remedy(problem: &str, remedy: &str) -> String {
    let mut rest = remedy.trim_end_matches('.').chars();
    let first = rest.next().map(|first| first.to_ascii_lowercase());
    format!(
        "{problem}; {}{}",
        first.map_or_else(String::new, String::from),
        rest.as_str()
    )
}

/// The reason why a request got no response head.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection was made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended before a response head.
    #[error("the connection was closed before a response came")]
    Closed,
    /// The server says that it did not process the request, and the request could not be sent
    /// again.
    #[error("the server turned the request away unprocessed; it is safe to send it again")]
    Unprocessed,
    /// The response was not valid HTTP.
    #[error("its response was not valid HTTP")]
    Protocol,
    /// The request's own body broke off, for the reason that its producer gives.
    #[error("the request's body ended early")]
    RequestBody(#[source] SourceError),
}

/// The server's verdict on an HTTP/2 request that got no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamError {
    /// The server is going away and did not process the request: its stream is above the last one
    /// that GOAWAY names (RFC 9113, section 6.8).
    GoingAway,
    /// The server reset the stream with `REFUSED_STREAM`, unprocessed (RFC 9113, section 8.7).
    Refused,
    /// The connection ended without a verdict. The request may have been processed.
    Lost,
    /// Any other error. The request may have been processed.
    Failed,
}

impl StreamError {
    pub(super) fn of(error: &hyper::Error) -> Self {
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(error) = inner.downcast_ref::<h2::Error>() {
                // h2 reports the server's own GOAWAY only on streams above the last one that it
                // names.
                return if error.is_go_away() && error.is_remote() {
                    Self::GoingAway
                } else if error.is_reset()
                    && error.is_remote()
                    && error.reason() == Some(h2::Reason::REFUSED_STREAM)
                {
                    Self::Refused
                } else {
                    Self::Failed
                };
            }
            if inner.is::<io::Error>() {
                return Self::Lost;
            }
            cause = inner.source();
        }
        // A user error comes from one of hyper's own tasks, which ended with the connection.
        if error.is_canceled() || error.is_closed() || error.is_user() {
            Self::Lost
        } else {
            Self::Failed
        }
    }
}
