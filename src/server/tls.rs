//! TLS on accepted connections.

use std::{io, sync::Arc, time::Duration};

use parking_lot::RwLock;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncWriteExt as _, copy, sink},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{broken_handshake::HandshakeLog, refused_head, target::HANDSHAKE};

/// The longest time for which a refused client may go on sending.
const LINGER: Duration = Duration::from_secs(1);

/// The TLS configuration of listeners. Clones share it.
#[derive(Debug, Clone)]
pub struct Tls(Arc<State>);

#[derive(Debug)]
struct State {
    config: RwLock<Arc<ServerConfig>>,
    handshake_log: HandshakeLog,
}

impl Tls {
    /// Creates the configuration with its first certificate.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(State {
            config: RwLock::new(config),
            handshake_log: HandshakeLog::default(),
        }))
    }

    /// Replaces the configuration for connections opened from now on.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        *self.0.config.write() = config;
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.config.read().clone())
    }

    /// Performs the handshake. Waits for the client without a timeout.
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
        // A client that only left was not refused.
        if let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            self.0.handshake_log.refused(reason);
            linger(&mut stream).await?;
        }
        Err(error)
    }
}

/// Responds to a client that speaks plain HTTP that it has to use TLS. Without this, the client
/// would only see a broken connection.
async fn refuse(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&refused_head::not_tls()).await?;
    linger(stream).await
}

/// Waits until the client has the response. An earlier close, with bytes of the client unread,
/// would make the system discard the response (RFC 9112, section 9.6).
async fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let _ = timeout(LINGER, copy(stream, &mut sink())).await;
    Ok(())
}
