//! Binding TCP addresses and Unix sockets.

use std::{fmt, io, net::SocketAddr, path::PathBuf, pin::Pin, task::Context, task::Poll};

#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// A bound address.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket; its file is removed when the listener is dropped.
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error(
        "{0} is already in use; end the other program, or choose another address with --listen or --admin"
    )]
    InUse(String),
    /// Anything else.
    #[error("cannot listen on {address}: {reason}")]
    Other {
        /// The address as configured.
        address: String,
        /// What the system said.
        reason: io::Error,
    },
}

impl BindError {
    fn new(address: impl fmt::Display, reason: io::Error) -> Self {
        match reason.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address.to_string()),
            _ => Self::Other {
                address: address.to_string(),
                reason,
            },
        }
    }

    /// Whether this machine has no such address at all, as `::1` without IPv6.
    pub fn is_missing_address(&self) -> bool {
        let Self::Other { reason, .. } = self else {
            return false;
        };
        reason.kind() == io::ErrorKind::AddrNotAvailable || is_unsupported_family(reason)
    }
}

/// The standard library has no kind for this one.
#[cfg(unix)]
fn is_unsupported_family(reason: &io::Error) -> bool {
    reason.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(not(unix))]
fn is_unsupported_family(_: &io::Error) -> bool {
    false
}

impl Listener {
    /// Binds a TCP address.
    pub async fn tcp(address: SocketAddr) -> Result<Self, BindError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(|reason| BindError::new(address, reason))?;
        Ok(Self::Tcp(listener))
    }

    /// Binds a Unix socket that only this user may connect to. A socket file that nobody listens on
    /// any more is replaced.
    #[cfg(unix)]
    pub fn unix(path: PathBuf) -> Result<Self, BindError> {
        let shown = format!("unix:{}", path.display());
        let failed = |reason| BindError::new(&shown, reason);
        if is_abandoned_socket(&path) {
            std::fs::remove_file(&path).map_err(failed)?;
        }
        // The umask is the process's; nothing else creates files while the proxy starts.
        let before = rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(&path);
        rustix::process::umask(before);
        Ok(Self::Unix(bound.map_err(failed)?, SocketFile(path)))
    }

    /// Unix sockets are Unix's.
    #[cfg(not(unix))]
    pub fn unix(path: PathBuf) -> Result<Self, BindError> {
        Err(BindError::new(
            format!("unix:{}", path.display()),
            io::ErrorKind::Unsupported.into(),
        ))
    }

    /// The address bound, with the real port.
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "?".to_owned(), |a| a.to_string()),
            #[cfg(unix)]
            Self::Unix(_, file) => format!("unix:{}", file.0.display()),
        }
    }

    /// The TCP address bound.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// Whether `path` is a socket that nobody listens on. Nothing else is ever replaced.
#[cfg(unix)]
fn is_abandoned_socket(path: &std::path::Path) -> bool {
    use std::os::unix::{fs::FileTypeExt as _, net::UnixStream};
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// A socket's file, removed when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nothing can be done about a file that somebody else removed.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
