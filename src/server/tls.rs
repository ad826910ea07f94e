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

use super::refused_head;

/// What every TLS record of a handshake begins with (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// How long a client that was told to use https may go on sending.
const LINGER: Duration = Duration::from_secs(1);

/// What listeners present to their clients. Clones share it.
#[derive(Debug, Clone)]
pub struct Tls(Arc<RwLock<Arc<ServerConfig>>>);

impl Tls {
    /// With a certificate to begin with.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(RwLock::new(config)))
    }

    /// For connections that are opened from now on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    fn acceptor(&self) -> TlsAcceptor {
        let config = self.0.read().unwrap_or_else(PoisonError::into_inner);
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
        let opened = self.acceptor().accept(stream).await;
        if let Err(error) = &opened {
            tracing::debug!("a TLS handshake failed: {error}");
        }
        opened
    }
}

/// Whoever speaks HTTP here is told so, rather than left with a connection that breaks.
async fn refuse(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&refused_head::not_tls()).await?;
    stream.shutdown().await?;
    // An earlier close would make the system throw the answer away (RFC 9112, section 9.6).
    let _ = timeout(LINGER, copy(stream, &mut sink())).await;
    Ok(())
}
