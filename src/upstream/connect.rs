//! One connection to another host: resolve, connect, TLS, all within one time limit.

use std::{
    collections::HashMap,
    error::Error as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::{ConnectError, StartError, socket::Socket, stream::Stream, tls};
use crate::config::{HttpVersion, Network};

const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);

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
        let base_tls = tls::client_config(network)?;
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
                resolve,
                timeout: network.connect_timeout,
                idle_timeout: network.idle_timeout,
            }),
            tls,
        })
    }

    /// The same connector, offering `version` by ALPN.
    pub(super) fn speaking(&self, version: HttpVersion) -> Self {
        Self {
            shared: self.shared.clone(),
            tls: tls::offering(&self.shared.base_tls, version),
        }
    }

    async fn connect(self, uri: Uri) -> Result<Stream, ConnectError> {
        let target = Target::of(&uri);
        match tokio::time::timeout(self.shared.timeout, self.connect_to(uri, &target)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout {
                host: target.to_string(),
                after: self.shared.timeout,
            }),
        }
    }

    async fn connect_to(&self, uri: Uri, target: &Target) -> Result<Stream, ConnectError> {
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let tcp = self.tcp(uri, target).await?;
        if !is_tls {
            return Ok(Stream::plain(TokioIo::new(tcp), self.shared.idle_timeout));
        }
        let failed = |reason| tls_failure(target, reason);
        let name = ServerName::try_from(target.host.clone())
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let stream = TlsConnector::from(self.tls.clone())
            .connect(name, tcp)
            .await
            .map_err(failed)?;
        Ok(Stream::tls(TokioIo::new(stream), self.shared.idle_timeout))
    }

    async fn tcp(&self, uri: Uri, target: &Target) -> Result<Socket, ConnectError> {
        let key = (target.host.clone(), target.port);
        let destination = match self.shared.resolve.get(&key) {
            Some(address) => Uri::builder()
                .scheme(Scheme::HTTP)
                .authority(address.to_string())
                .path_and_query("/")
                .build()
                .expect("a socket address is an authority"),
            None => uri,
        };
        let mut tcp = self.shared.tcp.clone();
        let connected = tcp.call(destination).await;
        connected
            .map(|io| Socket::new(io.into_inner()))
            .map_err(|error| {
                let mut cause = error.source();
                while let Some(inner) = cause {
                    if let Some(reason) = inner.downcast_ref::<io::Error>() {
                        // getaddrinfo's failures carry no errno, a refused connection does.
                        if reason.raw_os_error().is_some() {
                            return ConnectError::Tcp {
                                host: target.to_string(),
                                reason: io::Error::new(reason.kind(), reason.kind().to_string()),
                            };
                        }
                    }
                    cause = inner.source();
                }
                ConnectError::Dns(target.host.clone())
            })
    }
}

fn tls_failure(target: &Target, reason: io::Error) -> ConnectError {
    let host = target.to_string();
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

struct Target {
    /// In lower case, IPv6 without brackets.
    host: String,
    port: u16,
}

impl Target {
    fn of(uri: &Uri) -> Self {
        let host = uri.host().unwrap_or_default();
        let default_port = if uri.scheme() == Some(&Scheme::HTTPS) {
            443
        } else {
            80
        };
        Self {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(default_port),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
