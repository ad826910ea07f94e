//! Addresses to listen on.

use std::{fmt, net::SocketAddr, path::PathBuf};

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address; port 0 takes any free port.
    Tcp {
        /// The address to bind.
        address: SocketAddr,
        /// Whether to skip it without an error on a machine without its address family, such as the
        /// default `[::1]:8080` on a machine without IPv6.
        optional: bool,
    },
    /// A Unix socket, written `unix:/path.sock`.
    Unix(PathBuf),
}

/// As written in the configuration.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, .. } => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
