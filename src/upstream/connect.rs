//! Opens one connection to another host: directly or through an HTTP proxy, with the TLS handshake,
//! all within one timeout.

use std::{
    error::Error as _,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;

use super::{
    distrust::Distrust,
    error::{ConnectError, StartError},
    origin::Origin,
    proxy_error::{ProxyError, ProxyFailure},
    socket::Socket,
    stream::Stream,
    tls, tunnel,
    via::Via,
};
use crate::{
    config::{ForwardProxy, HttpVersion, Network},
    x509::Certificate,
};

const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);

/// The addresses to which connections for a host go.
#[derive(Debug)]
pub struct Resolved {
    /// Never empty.
    pub addresses: Vec<SocketAddr>,
    /// Whether the address comes from `network.resolve`, not from a name server.
    pub is_override: bool,
    /// The HTTP proxy whose addresses they are, if it makes the connections. It resolves the host.
    pub proxy: Option<ForwardProxy>,
}

/// Makes connections for a pool.
#[derive(Debug, Clone)]
pub struct Connector {
    shared: Arc<Shared>,
    tls: Arc<ClientConfig>,
    /// Whether the HTTP proxy is left out.
    is_direct: bool,
}

#[derive(Debug)]
struct Shared {
    tcp: HttpConnector,
    base_tls: ClientConfig,
    network: Network,
}

/// The reason why there is no TCP connection.
enum NoTcp {
    Dns,
    Refused(io::Error),
}

impl Connector {
    pub(super) fn new(network: &Network) -> Result<Self, StartError> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEP_ALIVE));
        let base_tls = tls::client_config(network)?;
        let tls = tls::offering(&base_tls, HttpVersion::Auto);
        Ok(Self {
            shared: Arc::new(Shared {
                tcp,
                base_tls,
                network: network.clone(),
            }),
            tls,
            is_direct: false,
        })
    }

    /// A connector that offers `version` by ALPN, and shares everything else.
    pub(super) fn speaking(&self, version: HttpVersion) -> Self {
        Self {
            tls: tls::offering(&self.shared.base_tls, version),
            ..self.clone()
        }
    }

    /// A connector that leaves out the HTTP proxy, and shares everything else.
    pub(super) fn direct(&self) -> Self {
        Self {
            is_direct: true,
            ..self.clone()
        }
    }

    /// The HTTP proxy through which connections to `origin` go.
    pub(super) fn proxy_to(&self, origin: &Origin) -> Option<&ForwardProxy> {
        let network = &self.shared.network;
        let proxy = network.proxy_to(origin.is_tls(), origin.host(), origin.port());
        proxy.filter(|_| !self.is_direct)
    }

    /// Opens a connection that is ready for HTTP.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Stream, ConnectError> {
        let deadline = self.deadline();
        let proxy = self.proxy_to(origin);
        let via = Via::new(proxy);
        let late = |_| ConnectError::Timeout {
            host: origin.to_string(),
            via: via.clone(),
            after: self.shared.network.connect_timeout,
        };
        let tcp = match proxy {
            Some(proxy) => self.through(proxy, origin, deadline).await,
            None => timeout_at(deadline, self.directly(origin))
                .await
                .map_err(late)?,
        }?;
        let (socket, idle_timeout) = (Socket::new(tcp), self.shared.network.idle_timeout);
        if !origin.is_tls() {
            return Ok(Stream::plain(socket, idle_timeout));
        }
        let shaken = timeout_at(deadline, self.handshake(origin, &via, socket)).await;
        Ok(Stream::tls(shaken.map_err(late)??, idle_timeout))
    }

    /// The addresses to which connections for `origin` go.
    pub(super) async fn resolve(&self, origin: &Origin) -> Result<Resolved, ConnectError> {
        let proxy = self.proxy_to(origin);
        let (host, port) = match proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (origin.host().to_owned(), origin.port()),
        };
        let unresolved = || match proxy {
            Some(proxy) => ProxyError::new(proxy, origin, ProxyFailure::Dns).into(),
            None => ConnectError::Dns(host.clone()),
        };
        let pinned = self.shared.network.pinned(&host, port);
        let known = pinned.or_else(|| Some((host.parse::<IpAddr>().ok()?, port).into()));
        let addresses: Vec<SocketAddr> = match known {
            Some(address) => vec![address],
            None => timeout_at(self.deadline(), tokio::net::lookup_host((&*host, port)))
                .await
                .map_err(|_| ConnectError::Timeout {
                    host: origin.to_string(),
                    via: Via::new(proxy),
                    after: self.shared.network.connect_timeout,
                })?
                .map_err(|_| unresolved())?
                .collect(),
        };
        if addresses.is_empty() {
            return Err(unresolved());
        }
        Ok(Resolved {
            addresses,
            is_override: pinned.is_some(),
            proxy: proxy.cloned(),
        })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.shared.network.connect_timeout
    }

    async fn directly(&self, origin: &Origin) -> Result<TcpStream, ConnectError> {
        let pinned = self.shared.network.pinned(origin.host(), origin.port());
        if !origin.is_tls() && pinned.is_some_and(|address| !Network::is_near(address)) {
            // Plain http leads to another machine. A platform or another server named this
            // endpoint, so no check of the configuration has seen it.
            let host = origin.to_string();
            return Err(ConnectError::Exposed { host });
        }
        let dialed = self.dial(&origin.to_string(), pinned).await;
        dialed.map_err(|error| match error {
            NoTcp::Dns => ConnectError::Dns(origin.host().to_owned()),
            NoTcp::Refused(reason) => ConnectError::Tcp {
                host: origin.to_string(),
                reason,
            },
        })
    }

    async fn through(
        &self,
        proxy: &ForwardProxy,
        origin: &Origin,
        deadline: Instant,
    ) -> Result<TcpStream, ConnectError> {
        let network = &self.shared.network;
        let after = network.connect_timeout;
        let failed = |failure| ProxyError::new(proxy, origin, failure);
        let pinned = network.pinned(&proxy.host(), proxy.port());
        let dialed = timeout_at(deadline, self.dial(&proxy.to_string(), pinned)).await;
        let tcp = dialed
            .map_err(|_| failed(ProxyFailure::Unreached(after)))?
            .map_err(|error| {
                failed(match error {
                    NoTcp::Dns => ProxyFailure::Dns,
                    NoTcp::Refused(reason) => ProxyFailure::Tcp(reason),
                })
            })?;
        let opened = timeout_at(deadline, tunnel::open(tcp, proxy, origin)).await;
        let opened = opened.map_err(|_| failed(ProxyFailure::Silent(after)))?;
        Ok(opened.map_err(failed)?)
    }

    /// Connects to an address, or to a host and port.
    async fn dial(&self, name: &str, address: Option<SocketAddr>) -> Result<TcpStream, NoTcp> {
        let authority = address.map_or_else(|| name.to_owned(), |address| address.to_string());
        let destination = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(authority)
            .path_and_query("/")
            .build()
            .expect("host and port are an authority");
        let mut tcp = self.shared.tcp.clone();
        let connected = tcp.call(destination).await;
        connected.map(TokioIo::into_inner).map_err(|error| {
            let mut cause = error.source();
            while let Some(inner) = cause {
                if let Some(reason) = inner.downcast_ref::<io::Error>()
                    && reason.raw_os_error().is_some_and(is_of_connect)
                {
                    let kind = reason.kind();
                    return NoTcp::Refused(io::Error::new(kind, kind.to_string()));
                }
                cause = inner.source();
            }
            NoTcp::Dns
        })
    }

    async fn handshake(
        &self,
        origin: &Origin,
        via: &Via,
        socket: Socket,
    ) -> Result<TlsStream<Socket>, ConnectError> {
        let failed = |reason| ConnectError::Tls {
            host: origin.to_string(),
            via: via.clone(),
            reason,
        };
        let name = ServerName::try_from(origin.host().to_owned())
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let handshake = TlsConnector::from(self.tls.clone()).connect(name, socket);
        let (shaken, refused) = tls::noting_refused(handshake).await;
        shaken.map_err(|error| {
            let inner = error.get_ref();
            match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(reason)) => {
                    ConnectError::Certificate(Box::new(Distrust {
                        host: origin.to_string(),
                        via: via.clone(),
                        reason: reason.clone(),
                        certificate: refused.and_then(Certificate::from_der),
                    }))
                }
                _ => failed(error),
            }
        })
    }
}

/// Whether an error number is of a connection, and not of the resolver. The resolver of Unix has no
/// error numbers. That of Windows has four among those of sockets (`WSAHOST_NOT_FOUND`,
/// `WSATRY_AGAIN`, `WSANO_RECOVERY`, `WSANO_DATA`).
fn is_of_connect(number: i32) -> bool {
    !cfg!(windows) || !(11_001..=11_004).contains(&number)
}
