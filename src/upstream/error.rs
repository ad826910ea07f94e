//! The errors of requests to other hosts. No text contains a URL's path or query.

use std::{error::Error as _, io, time::Duration};

use super::{
    distrust::Distrust, proxy_error::ProxyError, request_body::SourceError, tls_failure, via::Via,
};

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
#[error("{}", with_remedy(&self.problem(), &self.remedy()))]
pub enum ConnectError {
    /// The name did not resolve.
    Dns(String),
    /// No address accepted the connection.
    Tcp {
        /// Host and port.
        host: String,
        /// The error of the system.
        reason: io::Error,
    },
    /// The server's certificate is not trusted.
    Certificate(Box<Distrust>),
    /// The HTTP proxy on the way made no connection.
    Proxy(Box<ProxyError>),
    /// TLS failed for another reason.
    Tls {
        /// Host and port.
        host: String,
        /// The way.
        via: Via,
        /// The error of rustls or of the system.
        reason: io::Error,
    },
    /// `network.resolve` leads plain http to another machine.
    Exposed {
        /// Host and port.
        host: String,
    },
    /// The connection was not ready within `network.connect_timeout`.
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
    /// The problem, as a clause without a full stop.
    pub fn problem(&self) -> String {
        match self {
            Self::Dns(host) => format!("the host name {host} does not resolve"),
            Self::Tcp { host, reason } => format!("{host} does not accept connections: {reason}"),
            Self::Certificate(distrust) => distrust.problem(),
            Self::Proxy(error) => error.problem(),
            Self::Tls { host, via, reason } => {
                tls_failure::explain(&format!("{host}{via}"), reason).0
            }
            Self::Exposed { host } => format!(
                "network.resolve leads {host} to another machine, and plain http would show tokens \
                 and secrets on the way"
            ),
            Self::Timeout { host, via, after } => format!(
                "{host} did not accept a connection{via} within {} s (network.connect_timeout)",
                after.as_secs_f32()
            ),
        }
    }

    /// The remedy, as one or more sentences.
    pub fn remedy(&self) -> String {
        match self {
            Self::Dns(_) => "Check the name, the network and any private DNS zone.".to_owned(),
            Self::Tcp { host, .. } if is_of_this_machine(host) => {
                "Start the service on this machine, or correct its port.".to_owned()
            }
            Self::Tcp { .. } => {
                "Check host and port, and whether a firewall or a missing VPN keeps this machine from \
                 it."
                    .to_owned()
            }
            Self::Certificate(distrust) => distrust.remedy(),
            Self::Proxy(error) => error.remedy(),
            Self::Tls { host, reason, .. } => tls_failure::explain(host, reason).1.to_owned(),
            Self::Exposed { .. } => {
                "Use https, or a loopback address in network.resolve.".to_owned()
            }
            Self::Timeout { .. } => {
                "Check whether a firewall or a missing VPN keeps this machine from it. If the service \
                 is only slow, raise network.connect_timeout."
                    .to_owned()
            }
        }
    }
}

/// Whether a host and port are written as loopback.
fn is_of_this_machine(host: &str) -> bool {
    ["localhost:", "127.", "[::1]:"]
        .iter()
        .any(|start| host.starts_with(start))
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
    #[error("the server did not process the request; it is safe to send it again")]
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
