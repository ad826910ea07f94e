//! Binding TCP addresses and Unix sockets.

#[cfg(unix)]
use std::path::Path;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    task::Context,
    task::Poll,
};

#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::server::TlsStream;

use super::tls::Tls;

/// A bound address.
#[derive(Debug)]
pub enum Listener {
    /// A TCP address.
    Tcp(TcpListener),
    /// A TCP address whose connections begin with a TLS handshake.
    Tls(TcpListener, Tls),
    /// A Unix socket; its file is removed when the listener is dropped.
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

/// The reason why an address cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error(
        "{0} is already in use; end the other program, or choose another address with --listen or --admin"
    )]
    InUse(String),
    /// A port that this user may not bind.
    #[error("cannot listen on {0}: {FORBIDDEN_PORT}")]
    Forbidden(SocketAddr),
    /// The file of a Unix socket cannot be made.
    #[error("cannot listen on unix:{}: {problem}; {remedy}", path.display())]
    Path {
        /// The path of the socket.
        path: PathBuf,
        /// The problem, as a clause.
        problem: String,
        /// The remedy.
        remedy: String,
    },
    /// This machine has no such address.
    #[error(
        "cannot listen on {address}: this machine does not have this address ({reason}); choose an \
         address of this machine with --listen or --admin, such as 127.0.0.1:{}", address.port()
    )]
    Missing {
        /// The address as configured.
        address: SocketAddr,
        /// The system's error.
        reason: io::Error,
    },
    /// Any other reason.
    #[error(
        "cannot listen on {address}: {reason}; choose another address with --listen or --admin"
    )]
    Other {
        /// The address as configured.
        address: String,
        /// The system's error.
        reason: io::Error,
    },
}

/// The reason why a user may not use a port, and the remedy.
const FORBIDDEN_PORT: &str = if cfg!(target_os = "linux") {
    "this user may not use ports below 1024; choose another with --port or --listen, or let the program \
     use them: sudo setcap cap_net_bind_service=+ep \"$(command -v ahds-proxy)\""
} else if cfg!(windows) {
    "Windows has reserved this port, or another program uses it alone; choose another with --port or \
     --listen. This lists the reserved ones: netsh interface ipv4 show excludedportrange protocol=tcp"
} else {
    "this user may not use ports below 1024; choose another with --port or --listen"
};

/// Whether the system keeps a port from users. Windows reserves ports of any number, for Hyper-V.
fn can_be_forbidden(port: u16) -> bool {
    cfg!(windows) || port < 1024
}

impl BindError {
    fn tcp(address: SocketAddr, reason: io::Error) -> Self {
        match reason.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address.to_string()),
            io::ErrorKind::PermissionDenied if can_be_forbidden(address.port()) => {
                Self::Forbidden(address)
            }
            io::ErrorKind::AddrNotAvailable => Self::Missing { address, reason },
            _ if is_unsupported_family(&reason) => Self::Missing { address, reason },
            _ => Self::Other {
                address: address.to_string(),
                reason,
            },
        }
    }

    #[cfg(unix)]
    fn unix(path: &Path, reason: &io::Error) -> Self {
        let folder = path.parent().unwrap_or(path).display();
        let other = "choose another path, such as unix:/run/user/UID/ahds-proxy.sock";
        let (problem, remedy) = match reason.kind() {
            io::ErrorKind::AddrInUse => match std::fs::symlink_metadata(path) {
                Ok(file) if file.is_dir() => (
                    "this is a folder".to_owned(),
                    format!(
                        "name a file in it, such as unix:{}/ahds-proxy.sock",
                        path.display()
                    ),
                ),
                Ok(file) if !is_socket(&file) => (
                    "there is a file that is not a socket".to_owned(),
                    format!("remove it if nobody needs it, or {other}"),
                ),
                _ => return Self::InUse(format!("unix:{}", path.display())),
            },
            io::ErrorKind::NotFound => (
                format!("the folder {folder} does not exist"),
                format!("create it (mkdir -p {folder}), or {other}"),
            ),
            io::ErrorKind::NotADirectory => (format!("{folder} is not a folder"), other.to_owned()),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
                format!("this user may not create a file in {folder} ({reason})"),
                other.to_owned(),
            ),
            _ => (reason.to_string(), other.to_owned()),
        };
        Self::Path {
            path: path.to_owned(),
            problem,
            remedy,
        }
    }

    /// Whether this machine has no such address at all, such as `::1` without IPv6.
    pub fn is_missing_address(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

/// Whether the system has no such address family. The standard library has no kind for this error.
#[cfg(unix)]
fn is_unsupported_family(reason: &io::Error) -> bool {
    reason.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(not(unix))]
fn is_unsupported_family(reason: &io::Error) -> bool {
    const WSAEAFNOSUPPORT: i32 = 10_047;
    reason.raw_os_error() == Some(WSAEAFNOSUPPORT)
}

impl Listener {
    /// Binds a TCP address.
    pub async fn tcp(address: SocketAddr) -> Result<Self, BindError> {
        Ok(Self::Tcp(bind(address).await?))
    }

    /// Binds a TCP address that speaks TLS.
    pub async fn tls(address: SocketAddr, tls: Tls) -> Result<Self, BindError> {
        Ok(Self::Tls(bind(address).await?, tls))
    }

    /// Binds a Unix socket that only this user may connect to. It replaces a socket file on which
    /// no process listens.
    #[cfg(unix)]
    pub fn unix(path: PathBuf) -> Result<Self, BindError> {
        let shown = path.clone();
        let failed = |reason| BindError::unix(&shown, &reason);
        drop(SocketFile::abandoned(&path));
        // The umask is that of the whole process, but nothing else creates files while the proxy
        // starts.
        let before = rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o177));
        let bound = UnixListener::bind(&path);
        rustix::process::umask(before);
        let listener = bound.map_err(failed)?;
        let file = SocketFile::at(path).map_err(failed)?;
        Ok(Self::Unix(listener, file))
    }

    /// Fails: this system has no Unix sockets.
    #[cfg(not(unix))]
    pub fn unix(path: PathBuf) -> Result<Self, BindError> {
        Err(BindError::Other {
            address: format!("unix:{}", path.display()),
            reason: io::Error::other("Unix sockets are not supported on this system"),
        })
    }

    /// The bound address, with the real port, as `ip:port`, `https://ip:port` or `unix:/path`.
    pub fn address(&self) -> String {
        let shown = |listener: &TcpListener| {
            let address = listener.local_addr();
            address.map_or_else(|_| "?".to_owned(), |address| address.to_string())
        };
        match self {
            Self::Tcp(listener) => shown(listener),
            Self::Tls(listener, _) => format!("https://{}", shown(listener)),
            #[cfg(unix)]
            Self::Unix(_, file) => format!("unix:{}", file.path.display()),
        }
    }

    /// The bound TCP address.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
        }
    }

    /// Whether clients call it with https.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(..))
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => Ok(Accepted::Plain(Stream::Tcp(accept(listener).await?))),
            Self::Tls(listener, tls) => Ok(Accepted::Tls(accept(listener).await?, tls.clone())),
            #[cfg(unix)]
            Self::Unix(listener, _) => {
                Ok(Accepted::Plain(Stream::Unix(listener.accept().await?.0)))
            }
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|reason| BindError::tcp(address, reason))
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    // This fails if the client has already left, which the connection notices by itself.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// A connection as the system accepted it.
#[derive(Debug)]
pub(super) enum Accepted {
    Plain(Stream),
    /// A TCP connection before its TLS handshake.
    Tls(TcpStream, Tls),
}

impl Accepted {
    /// The client's address; `None` if the system knows none.
    pub(super) fn peer(&self) -> Option<IpAddr> {
        let stream = match self {
            Self::Plain(stream) => stream.tcp()?,
            Self::Tls(stream, _) => stream,
        };
        stream.peer_addr().ok().map(|address| address.ip())
    }

    /// Makes the connection ready for reading. Waits for the client without a timeout.
    pub(super) async fn open(self) -> io::Result<Stream> {
        match self {
            Self::Plain(stream) => Ok(stream),
            // Boxed, since plain connections do not need its space.
            Self::Tls(stream, tls) => {
                let stream = Box::pin(tls.handshake(stream)).await?;
                Ok(Stream::Tls(Box::new(stream)))
            }
        }
    }
}

/// The file of a Unix socket. Dropping it removes the file, unless another file has taken its
/// place.
#[cfg(unix)]
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// The device and inode number, which distinguish the file from another of the same name.
    identity: (u64, u64),
}

#[cfg(unix)]
impl SocketFile {
    fn at(path: PathBuf) -> io::Result<Self> {
        let identity = identity(&std::fs::symlink_metadata(&path)?);
        Ok(Self { path, identity })
    }

    /// The file at `path`, if it is a socket on which no process listens. No other file is
    /// replaced.
    fn abandoned(path: &Path) -> Option<Self> {
        use std::os::unix::net::UnixStream;
        let file = std::fs::symlink_metadata(path).ok()?;
        let is_abandoned = is_socket(&file)
            && UnixStream::connect(path)
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        is_abandoned.then(|| Self {
            path: path.to_owned(),
            identity: identity(&file),
        })
    }
}

#[cfg(unix)]
fn is_socket(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    file.file_type().is_socket()
}

#[cfg(unix)]
fn identity(file: &std::fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (file.dev(), file.ino())
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        let found = std::fs::symlink_metadata(&self.path);
        if found.is_ok_and(|file| identity(&file) == self.identity) {
            // This fails if the folder is no longer writable. The file then stays.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A connection from which requests are read.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    /// Takes the pending error of the socket.
    pub(super) fn socket_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Self::Tcp(stream) => stream.take_error(),
            Self::Tls(stream) => stream.get_ref().0.take_error(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.take_error(),
        }
    }

    /// The TCP socket of the connection, if it has one.
    pub(super) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.get_ref().0),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }
}

/// Makes the same call on the stream of each kind.
macro_rules! each {
    ($connection:expr, $stream:ident => $call:expr) => {
        match $connection.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Tls($stream) => $call,
            #[cfg(unix)]
            Stream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Flushes TLS records for which the socket had no room. Plain sockets buffer nothing.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
