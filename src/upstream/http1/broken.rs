//! The reason why a response is incomplete.

use std::io;

/// The reason why a response is incomplete.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The server closed the connection.
    #[error("the connection was closed")]
    Closed,
    /// The response breaks RFC 9112, or exceeds a limit.
    #[error("the received bytes are not HTTP/1.1")]
    Protocol,
    /// The connection failed.
    #[error(transparent)]
    Io(io::Error),
}

impl Broken {
    /// Whether the other side ended the connection, with or without a TLS `close_notify` or a FIN.
    pub(super) fn is_cut(&self) -> bool {
        let kind = match self {
            Self::Closed => return true,
            Self::Protocol => return false,
            Self::Io(error) => error.kind(),
        };
        matches!(
            kind,
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        )
    }
}
