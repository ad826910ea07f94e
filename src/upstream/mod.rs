//! Connections to other hosts: the services behind the routes, and the endpoints that issue tokens.
//!
//! [`Connections`] is made once and contains the parts that all pools share. A [`Pool`] keeps
//! connections to one origin and sends requests over them. Redirects are never followed.

mod connect;
mod connection;
mod distrust;
mod error;
pub mod http1;
mod idle;
mod inspect;
mod lease;
mod list_field;
mod origin;
mod pool;
mod pools;
mod proxy_error;
mod request_body;
mod response_body;
mod retry_after;
mod send;
mod socket;
mod stream;
mod tls;
mod tls_failure;
mod tunnel;
mod via;

use crate::config::{HttpVersion, Network};

pub use connect::{Connector, Resolved};
pub use distrust::Distrust;
pub use error::{ConnectError, SendError, StartError};
pub use inspect::Session;
pub use list_field::members;
pub use origin::Origin;
pub use pool::Pool;
pub use pools::Pools;
pub use proxy_error::{ProxyError, ProxyFailure};
pub use request_body::{RequestBody, SourceError};
pub use response_body::{BodyError, ResponseBody};
pub use retry_after::{date, retry_after};
pub use send::RetryReason;
pub use via::Via;

/// The parts that every pool shares: trust roots, TLS session tickets, resolve overrides, the HTTP
/// proxy.
#[derive(Debug, Clone)]
pub struct Connections {
    connector: Connector,
}

impl Connections {
    /// Reads the trust roots. Call once at start.
    pub fn new(network: &Network) -> Result<Self, StartError> {
        Ok(Self {
            connector: Connector::new(network)?,
        })
    }

    /// Connections that leave out the HTTP proxy, and share everything else.
    #[must_use]
    pub fn direct(&self) -> Self {
        Self {
            connector: self.connector.direct(),
        }
    }

    /// A new pool of connections to `origin` that speak `version`.
    pub fn pool(&self, origin: Origin, version: HttpVersion) -> Pool {
        Pool::new(self.connector.speaking(version), origin, version)
    }

    /// Pools for origins that are known only when a request is sent.
    pub fn pools(&self) -> Pools {
        Pools::new(self.connector.speaking(HttpVersion::Auto))
    }
}
