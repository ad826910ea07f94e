//! Opens one connection to another host: resolves the name, connects and performs the TLS
//! handshake, all within one timeout.

use std::{
    collections::HashMap,
    error::Error as _,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{
    Uri,
    uri::{PathAndQuery, Scheme},
};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, pki_types::ServerName};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::{
    error::{ConnectError, StartError},
    origin::Origin,
    socket::Socket,
    stream::Stream,
    tls::{self, Witness},
};
use crate::config::{HttpVersion, Network};

const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);

/// The addresses of a host.
#[derive(Debug)]
pub struct Resolved {
    /// Never empty.
    pub addresses: Vec<SocketAddr>,
    /// Whether the address comes from `network.resolve`, not from a name server.
    pub is_override: bool,
}

/// Makes connections for a pool.
#[derive(Debug, Clone)]
pub struct Connector {
    shared: Arc<Shared>,
    tls: Arc<ClientConfig>,
}

#[derive(Debug)]
struct Shared {
    tcp: HttpConnector,
    base_tls: ClientConfig,
    verifier: Arc<Verifier>,
    resolve: HashMap<(String, u16), SocketAddr>,
    timeout: Duration,
    idle_timeout: Duration,
}

impl Connector {
    pub(super) fn new(network: &Network) -> Result<Self, StartError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEP_ALIVE));
        let verifier = tls::verifier(network)?;
        let base_tls = tls::client_config(verifier.clone())?;
        let resolve = network
            .resolve
            .iter()
            .map(|entry| ((entry.host.clone(), entry.port), entry.address))
            .collect();
        let tls = tls::offering(&base_tls, HttpVersion::Auto);
        Ok(Self {
            shared: Arc::new(Shared {
                tcp,
                base_tls,
                verifier,
                resolve,
                timeout: network.connect_timeout,
                idle_timeout: network.idle_timeout,
            }),
            tls,
        })
    }

    /// A connector that offers `version` by ALPN, and shares everything else.
    pub(super) fn speaking(&self, version: HttpVersion) -> Self {
        Self {
            shared: self.shared.clone(),
            tls: tls::offering(&self.shared.base_tls, version),
        }
    }

    /// A connector that records the server's certificate, and the record.
    pub(super) fn witnessed(&self) -> (Self, Arc<Witness>) {
        let (tls, witness) = tls::witnessed(&self.tls, self.shared.verifier.clone());
        let connector = Self {
            shared: self.shared.clone(),
            tls,
        };
        (connector, witness)
    }

    /// Opens a connection that is ready for HTTP.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Stream, ConnectError> {
        self.in_time(origin, self.connect_to(origin)).await
    }

    /// The addresses to which connections to `origin` go.
    pub(super) async fn resolve(&self, origin: &Origin) -> Result<Resolved, ConnectError> {
        let (host, port) = (origin.host(), origin.port());
        if let Some(address) = self.shared.resolve.get(&(host.to_owned(), port)) {
            return Ok(Resolved {
                addresses: vec![*address],
                is_override: true,
            });
        }
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Resolved {
                addresses: vec![(ip, port).into()],
                is_override: false,
            });
        }
        let found = self.in_time(origin, async {
            let found = tokio::net::lookup_host((host, port)).await;
            found.map_err(|_| ConnectError::Dns(host.to_owned()))
        });
        let addresses: Vec<SocketAddr> = found.await?.collect();
        if addresses.is_empty() {
            return Err(ConnectError::Dns(host.to_owned()));
        }
        Ok(Resolved {
            addresses,
            is_override: false,
        })
    }

    async fn in_time<T>(
        &self,
        origin: &Origin,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        match tokio::time::timeout(self.shared.timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout {
                host: origin.to_string(),
                after: self.shared.timeout,
            }),
        }
    }

    async fn connect_to(&self, origin: &Origin) -> Result<Stream, ConnectError> {
        let tcp = self.tcp(origin).await?;
        if !origin.is_tls() {
            return Ok(Stream::plain(tcp, self.shared.idle_timeout));
        }
        let failed = |reason| tls_failure(origin, reason);
        let name = ServerName::try_from(origin.host().to_owned())
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let stream = TlsConnector::from(self.tls.clone())
            .connect(name, tcp)
            .await
            .map_err(failed)?;
        Ok(Stream::tls(stream, self.shared.idle_timeout))
    }

    async fn tcp(&self, origin: &Origin) -> Result<Socket, ConnectError> {
        let key = (origin.host().to_owned(), origin.port());
        let destination = match self.shared.resolve.get(&key) {
            // Plain http leads to another machine. A platform or another server named this
            // endpoint, so no check of the configuration has seen it.
            Some(address) if !origin.is_tls() && !Network::is_near(*address) => {
                let host = origin.to_string();
                return Err(ConnectError::Exposed { host });
            }
            Some(address) => Uri::builder()
                .scheme(Scheme::HTTP)
                .authority(address.to_string())
                .path_and_query("/")
                .build()
                .expect("a socket address is an authority"),
            None => origin.uri(&PathAndQuery::from_static("/")),
        };
        let mut tcp = self.shared.tcp.clone();
        let connected = tcp.call(destination).await;
        connected
            .map(|io| Socket::new(io.into_inner()))
            .map_err(|error| {
                let mut cause = error.source();
                while let Some(inner) = cause {
                    if let Some(reason) = inner.downcast_ref::<io::Error>() {
                        // A failed connection has an errno, a failure of getaddrinfo has none.
                        if reason.raw_os_error().is_some() {
                            return ConnectError::Tcp {
                                host: origin.to_string(),
                                reason: io::Error::new(reason.kind(), reason.kind().to_string()),
                            };
                        }
                    }
                    cause = inner.source();
                }
                ConnectError::Dns(origin.host().to_owned())
            })
    }
}

fn tls_failure(origin: &Origin, reason: io::Error) -> ConnectError {
    let host = origin.to_string();
    match reason
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(rustls::Error::InvalidCertificate(certificate)) => ConnectError::Certificate {
            host,
            reason: certificate.clone(),
        },
        _ => ConnectError::Tls { host, reason },
    }
}
