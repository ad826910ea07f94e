//! The configuration, valid by construction: a [`Config`] need not be checked again.
//!
//! [`load`] turns flags, environment and file into a [`Config`] and reports every problem at once.
//! `file/` knows the keys, `grammar.rs` and `values/` how single values are written, `resolve/`
//! what they mean together; `walk.rs` and `report.rs` carry problems to their place in the file.

mod certificates;
mod credentials;
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

use http::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;

pub use credentials::*;
pub use error::{ConfigErrors, Location, Problem, SourceLine};
pub use exposure::{Bound, Unfit};
pub use file::{Limits, Log};
pub use resolve::{DICOM_AUDIENCE, Env, Overrides, load, load_admin, parse, reload};
pub use values::{
    Audience, AutoSource, ByteSize, EndpointUrl, GivenSecret, HttpVersion, LinkMode, Listen,
    LogFormat, Prefix, ResolveOverride, RouteKind, SecretRef, SecretRefError, ServiceUrl, Tenant,
    ValueError, Word, parse_duration,
};

/// Everything a running proxy needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The addresses to listen on. Never empty.
    pub listen: Vec<Listen>,
    /// Health and status; `None` when switched off.
    pub admin: Option<SocketAddr>,
    /// Never empty; prefixes are unique.
    pub routes: Vec<Route>,
    /// Every credential a route names is here.
    pub credentials: BTreeMap<Arc<str>, Credential>,
    /// Environment variables that hold secrets, those of credentials no route names included.
    pub secret_variables: BTreeSet<String>,
    /// Files that hold secrets, among them those of credentials no route names.
    pub secret_files: BTreeSet<PathBuf>,
    /// Outgoing connections.
    pub network: Network,
    /// Bounds on what clients may use.
    pub limits: Limits,
    /// The callers that are let in.
    pub security: Security,
    /// The log's level and format.
    pub log: Log,
    /// How long running requests may take to finish after a stop signal.
    pub drain: Duration,
}

/// One prefix, one upstream, one audience.
#[derive(Debug, Clone)]
pub struct Route {
    /// The table's name: `fhir` in `[routes.fhir]`.
    pub name: Arc<str>,
    /// Decides the audience's default and the format of error responses.
    pub kind: RouteKind,
    /// The prefix that clients call.
    pub prefix: Prefix,
    /// The service that requests go to.
    pub upstream: ServiceUrl,
    /// The audience of tokens. `None` only on routes of kind `http`.
    pub audience: Option<Audience>,
    /// A key of [`Config::credentials`].
    pub credential: Arc<str>,
    /// The protocol spoken towards the upstream.
    pub http: HttpVersion,
    /// Only requests that change nothing, by method and by operation.
    pub read_only: bool,
    /// Set on every request to the upstream.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether links in responses point to the proxy, and those in requests to the upstream.
    pub links: LinkMode,
    /// The base URL by which clients call this route. `None` takes the name that each request uses.
    pub public_url: Option<ServiceUrl>,
    /// An address that serves this route alone, at its root.
    pub listen: Option<Listen>,
    /// GET and HEAD requests that the upstream throttles are sent again after the wait that it asks for.
    pub retry_throttled: bool,
    /// The upstream is a web application, whose scripts may run and read this route.
    /// Only on routes of kind `http`.
    pub pages: bool,
}

/// Outgoing connections.
#[derive(Debug, Clone)]
pub struct Network {
    /// The certificates of `network.ca_file`, trusted beside the system's roots.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Fixed addresses, as `curl --resolve`.
    pub resolve: Vec<ResolveOverride>,
    /// DNS, TCP and TLS together. Default 10 s.
    pub connect_timeout: Duration,
    /// From the request's end to the response's head. Default 120 s.
    pub response_timeout: Duration,
    /// Without a byte in either direction. Default 60 s.
    pub idle_timeout: Duration,
}

impl Network {
    /// Whether an address belongs to this machine, so that nobody listens on the way there.
    pub fn is_near(address: SocketAddr) -> bool {
        address.ip().to_canonical().is_loopback()
    }
}

/// The callers that are let in.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Listeners beyond loopback are wanted.
    pub allow_remote: bool,
    /// Host names accepted beside loopback names; lower case, without port.
    pub allowed_hosts: Vec<String>,
    /// Browser origins that may call, `scheme://host[:port]` in lower case.
    pub allowed_origins: Vec<String>,
    /// The certificate that TCP listeners present, and the CA whose certificates they demand. `None` is plain HTTP. The
    /// files were read with the configuration, so that none can fail later.
    pub tls: Option<ServerTls>,
}

/// `security.tls`, its files read.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// The parameters of a handshake.
    pub config: Arc<rustls::ServerConfig>,
    /// Clients have to show a certificate: there is a `client_ca`.
    pub demands_certificates: bool,
    /// Where the certificate is from.
    pub file: PathBuf,
    /// The server's own, without those between it and the root.
    pub certificate: CertificateDer<'static>,
}
