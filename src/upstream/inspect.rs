//! Inspects a server without a request: the addresses of its name, and its certificate.

use rustls::ProtocolVersion;

use super::{Connections, Resolved, error::ConnectError, origin::Origin};
use crate::{
    config::{ForwardProxy, HttpVersion},
    x509::Certificate,
};

/// The result of a TLS handshake.
#[derive(Debug)]
pub struct Session {
    /// The version as people read it, for example `TLS 1.3`.
    pub version: &'static str,
    /// Whether the server chose HTTP/2 by ALPN.
    pub is_http2: bool,
    /// The server's certificate. `None` if it was trusted, but cannot be read.
    pub certificate: Option<Certificate>,
}

impl Connections {
    /// The addresses to which connections for `origin` go.
    pub async fn resolve(&self, origin: &Origin) -> Result<Resolved, ConnectError> {
        self.connector.resolve(origin).await
    }

    /// The HTTP proxy through which connections to `origin` go.
    pub fn proxy_to(&self, origin: &Origin) -> Option<&ForwardProxy> {
        self.connector.proxy_to(origin)
    }

    /// Connects as a pool does, and closes the connection. `None` without TLS.
    pub async fn inspect(
        &self,
        origin: &Origin,
        version: HttpVersion,
    ) -> Result<Option<Session>, ConnectError> {
        let stream = self.connector.speaking(version).connect(origin).await?;
        Ok(stream.tls_version().map(|version| Session {
            version: name(version),
            is_http2: stream.is_http2(),
            certificate: stream.certificate().and_then(Certificate::from_der),
        }))
    }
}

fn name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        _ => "TLS 1.3",
    }
}
