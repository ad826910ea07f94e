//! Looks at a server without a request: at the addresses of its name, and at its certificate.

use rustls::ProtocolVersion;

use super::{Connections, Resolved, error::ConnectError, origin::Origin};
use crate::{config::HttpVersion, x509::Certificate};

/// The result of a TLS handshake.
#[derive(Debug)]
pub struct Session {
    /// For people, for example `TLS 1.3`.
    pub version: &'static str,
    /// Whether the server chose HTTP/2 by ALPN.
    pub is_http2: bool,
    /// The server's; `None` if it cannot be read, though it was trusted.
    pub certificate: Option<Certificate>,
}

/// Why there is no session, and what the server presented, if it came to that.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Rejected {
    /// Why.
    pub error: ConnectError,
    /// Not trusted: anyone may have made it.
    pub certificate: Option<Certificate>,
}

impl Connections {
    /// Where connections to `origin` would go.
    pub async fn resolve(&self, origin: &Origin) -> Result<Resolved, ConnectError> {
        self.connector.resolve(origin).await
    }

    /// Connects as a pool would, and hangs up. `None` without TLS.
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
