//! The configuration, valid by construction: a [`Config`] need not be checked again.
//!
//! [`load`] turns flags, environment and file into a [`Config`] and reports every problem at once.
//! `file/` has the keys, `grammar.rs` and `values/` the syntax of single values, and `resolve/` the
//! checks that need several values. `walk.rs` and `report.rs` locate problems in the file.

mod certificates;
mod credentials;
pub mod encoding;
mod error;
mod exposure;
mod file;
pub mod files;
mod grammar;
mod keys;
mod mask;
mod report;
mod resolve;
mod secrets;
mod values;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use http::{HeaderName, HeaderValue, uri::Scheme};
use rustls::pki_types::CertificateDer;

pub use credentials::*;
pub use error::{ConfigErrors, Location, Problem, SourceLine};
pub use exposure::{Bound, Unfit};
pub use file::{Limits, Log};
pub use resolve::{
    ADMIN_PORT, DICOM_AUDIENCE, Env, FoundService, Overrides, config_file, default_file, load,
    load_admin, load_token_config, parse, reload,
};
pub use values::{
    Audience, AutoSource, ByteSize, EndpointUrl, ForwardProxy, GivenSecret, HttpVersion, LinkMode,
    Listen, LogFormat, Prefix, ResolveOverride, RouteKind, SecretRef, SecretRefError, ServiceUrl,
    Tenant, ValueError, Word, parse_duration,
};

/// The configuration of a running proxy.
#[derive(Debug, Clone)]
pub struct Config {
    /// The addresses to listen on. Never empty.
    pub listen: Vec<Listen>,
    /// The address of health and status. `None` if it is off.
    pub admin: Option<SocketAddr>,
    /// The routes. Never empty; prefixes are unique.
    pub routes: Vec<Route>,
    /// The credentials, by name. Every credential that a route names is here.
    pub credentials: BTreeMap<Arc<str>, Credential>,
    /// Environment variables that contain secrets, including those of unused credentials.
    pub secret_variables: BTreeSet<String>,
    /// Files that contain secrets, including those of unused credentials.
    pub secret_files: BTreeSet<PathBuf>,
    /// Outgoing connections.
    pub network: Network,
    /// The resources that clients may use.
    pub limits: Limits,
    /// The callers that are let in.
    pub security: Security,
    /// The log's level and format.
    pub log: Log,
    /// The time that running requests have to finish after a stop signal.
    pub drain: Duration,
    /// Warnings about values that are valid, and perhaps not meant. Each has its remedy.
    pub notes: Vec<String>,
}

/// One prefix, one upstream, one audience.
#[derive(Debug, Clone)]
pub struct Route {
    /// The table's name: `fhir` in `[routes.fhir]`.
    pub name: Arc<str>,
    /// The kind of service. It decides the default audience and the format of error responses.
    pub kind: RouteKind,
    /// The prefix that clients call.
    pub prefix: Prefix,
    /// The service that requests go to.
    pub upstream: ServiceUrl,
    /// The audience of tokens. `None` only on routes of kind `http`.
    pub audience: Option<Audience>,
    /// The name of its credential, a key of [`Config::credentials`].
    pub credential: Arc<str>,
    /// The protocol spoken towards the upstream.
    pub http: HttpVersion,
    /// Whether requests that change data are refused, by method and by operation.
    pub read_only: bool,
    /// Set on every request to the upstream.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether links in responses point to the proxy, and those in requests to the upstream.
    pub links: LinkMode,
    /// The base URL by which clients call this route. `None` takes the name that each request uses.
    pub public_url: Option<ServiceUrl>,
    /// An address that serves this route alone, at its root.
    pub listen: Option<Listen>,
    /// Whether GET and HEAD requests that the upstream throttles are sent again after the wait that it
    /// asks for.
    pub retry_throttled: bool,
    /// Whether the upstream is a web application, whose scripts may run and read this route. Only on
    /// routes of kind `http`.
    pub pages: bool,
}

/// The part of a configuration with which tokens are requested.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The credentials, by name. Never empty.
    pub credentials: BTreeMap<Arc<str>, Credential>,
    /// Outgoing connections.
    pub network: Network,
    /// See [`Config::secret_variables`].
    pub secret_variables: BTreeSet<String>,
}

/// Outgoing connections.
#[derive(Debug, Clone)]
pub struct Network {
    /// The certificates of `network.ca_file`, trusted beside the system's roots.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Fixed addresses of hosts, like those of `curl --resolve`.
    pub resolve: Vec<ResolveOverride>,
    /// The HTTP proxy of this network. `None` if every connection is direct.
    pub proxy: Option<ForwardProxy>,
    /// The time limit for DNS, TCP and TLS together. Default 10 s.
    pub connect_timeout: Duration,
    /// The time limit from the request's end to the response's head. Default 120 s.
    pub response_timeout: Duration,
    /// The time limit without a byte in either direction. Default 60 s.
    pub idle_timeout: Duration,
}

impl Network {
    /// Whether an address belongs to this machine, so that nobody can read along.
    pub fn is_near(address: SocketAddr) -> bool {
        address.ip().to_canonical().is_loopback()
    }

    /// The fixed address of a host, which is in lower case.
    pub fn pinned(&self, host: &str, port: u16) -> Option<SocketAddr> {
        let mut entries = self.resolve.iter();
        let entry = entries.find(|entry| entry.host == host && entry.port == port)?;
        Some(entry.address)
    }

    /// The HTTP proxy through which connections to a host go. Plain http stays on this machine. A
    /// fixed address is meant for connections from here.
    pub fn proxy_to(&self, is_tls: bool, host: &str, port: u16) -> Option<&ForwardProxy> {
        let is_direct =
            !is_tls || values::is_of_this_machine(host) || self.pinned(host, port).is_some();
        let proxy = self.proxy.as_ref().filter(|_| !is_direct)?;
        proxy.is_for(host).then_some(proxy)
    }

    /// The HTTP proxy through which connections to a service go.
    pub fn proxy_to_service(&self, url: &ServiceUrl) -> Option<&ForwardProxy> {
        self.proxy_to(*url.scheme() == Scheme::HTTPS, &url.host(), url.port())
    }
}

/// The callers that are let in.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Whether listeners other than loopback are allowed.
    pub allow_remote: bool,
    /// The `Host` names that are accepted besides loopback names, in lower case, without a port.
    pub allowed_hosts: Vec<String>,
    /// The browser origins that may call, as `scheme://host[:port]` in lower case.
    pub allowed_origins: Vec<String>,
    /// The certificate of the TCP listeners, and the CA of the certificates that they demand. `None` is
    /// plain HTTP. The files were read with the configuration, so that no read can fail later.
    pub tls: Option<ServerTls>,
}

/// `security.tls`, with the content of its files.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// The parameters of a handshake.
    pub config: Arc<rustls::ServerConfig>,
    /// Whether clients have to present a certificate, because there is a `client_ca`.
    pub demands_certificates: bool,
    /// The file of the certificate.
    pub file: PathBuf,
    /// The server's own certificate, without the intermediate ones.
    pub certificate: CertificateDer<'static>,
}
