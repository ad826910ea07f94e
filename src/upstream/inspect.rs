//! Inspects a server without a request: the addresses of its name, and its certificate.

use rustls::ProtocolVersion;

use super::{Connections, Resolved, error::ConnectError, origin::Origin};
use crate::{config::HttpVersion, x509::Certificate};

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

/// A failed handshake, and the certificate if the server presented one.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Rejected {
    /// The reason of the failure.
    pub error: ConnectError,
    /// The certificate. It is not trusted, so anyone may have made it.
    pub certificate: Option<Certificate>,
}

impl Connections {
    /// The addresses to which connections to `origin` go.
    pub async fn resolve(&self, origin: &Origin) -> Result<Resolved, ConnectError> {
        self.connector.resolve(origin).await
    }

    /// Connects as a pool does, and closes the connection. `None` without TLS.
    pub async fn inspect(
        &self,
        origin: &Origin,
        version: HttpVersion,
    ) -> Result<Option<Session>, Rejected> {
        let (connector, witness) = self.connector.speaking(version).witnessed();
        let connected = connector.connect(origin).await;
        let certificate = witness.seen().and_then(Certificate::from_der);
        match connected {
            Ok(stream) => Ok(stream.tls_version().map(|version| Session {
                version: name(version),
                is_http2: stream.is_http2(),
                certificate,
            })),
            Err(error) => Err(Rejected { error, certificate }),
        }
    }
}

fn name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        _ => "TLS 1.3",
    }
}
