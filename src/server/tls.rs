//! TLS on accepted connections.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncWriteExt as _, copy, sink},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{broken_handshake::Complaints, refused_head};

/// The first byte of each TLS record of a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// How long a client that was refused may go on sending.
const LINGER: Duration = Duration::from_secs(1);

/// The TLS configuration of the listeners. Clones share it.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: RwLock<Arc<ServerConfig>>,
    complaints: Complaints,
}

impl Tls {
    /// With a certificate to begin with.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(Shared {
            config: RwLock::new(config),
            complaints: Complaints::default(),
        }))
    }

    /// For connections that are opened from now on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        let current = &self.0.config;
        *current.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    fn acceptor(&self) -> TlsAcceptor {
        let config = self.0.config.read();
        let config = config.unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(config.clone())
    }

    /// Waits for the client as long as it takes.
    pub(super) async fn handshake(
        &self,
        mut stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        let seen = stream.peek(&mut first).await?;
        if seen > 0 && first[0] != HANDSHAKE {
            refuse(&mut stream).await?;
            return Err(io::ErrorKind::InvalidData.into());
        }
        let opened = self.acceptor().accept(stream).into_fallible().await;
        let (error, mut stream) = match opened {
            Ok(opened) => return Ok(opened),
            Err(failed) => failed,
        };
        tracing::debug!("a TLS handshake failed: {error}");
        // Whoever only went away was not refused.
        if let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            self.0.complaints.refused(reason);
            linger(&mut stream).await?;
        }
        Err(error)
    }
}

/// Whoever speaks HTTP here is told so, rather than left with a connection that breaks.
async fn refuse(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&refused_head::not_tls()).await?;
    linger(stream).await
}

/// Has what was sent last arrive: an earlier close, with bytes of the client unread, would make the
/// system throw it away (RFC 9112, section 9.6).
async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let _ = timeout(LINGER, copy(stream, &mut sink())).await;
    Ok(())
}
