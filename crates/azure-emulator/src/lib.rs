//! A loopback Azure for tests: Entra, a FHIR service and a DICOM service, behind TLS of their own
//! CA, and the endpoints of managed identities, which are plain HTTP. It also has an OAuth 2.0
//! server of another vendor, with an API of its own.
//!
//! `ahds-proxy demo` and the proxy's tests start the emulator and lead the proxy to it with
//! `network.resolve` and `ca_file`. This crate uses nothing of the proxy, so that the same mistake
//! in both cannot stay hidden.
//!
//! Every service responds as the documentation of the real one says, and fails on request: see
//! [`Faults`], [`Traffic`] and the `/emulator/…` endpoints in `probe`.

mod body;
mod clock;
mod dicom;
mod entra;
mod faults;
mod fhir;
mod form;
mod identity;
mod jwt;
mod oauth;
mod probe;
mod random;
mod resource_manager;
mod samples;
mod serve;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;
mod traffic;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

pub use dicom::Dicom;
pub use entra::{Entra, TokenRequest};
pub use faults::{Fault, Faults};
pub use fhir::Fhir;
pub use identity::ManagedIdentity;
pub use jwt::SigningKey;
pub use oauth::OAuth;
pub use probe::pattern_byte;
pub use resource_manager::{Inventory, ResourceManager, Service, Subscription, Workspace};
pub use traffic::{Counters, RecordedRequest, Traffic};

/// The authority the emulated Entra plays: give it to a credential, and resolve it to
/// [`Emulator::entra_address`].
pub const AUTHORITY: &str = "https://login.microsoftonline.com";
/// The host of [`AUTHORITY`].
pub const ENTRA_HOST: &str = "login.microsoftonline.com";
/// The host the emulated FHIR service plays.
pub const FHIR_HOST: &str = "demo-fhir.fhir.azurehealthcareapis.com";
/// The host the emulated DICOM service plays.
pub const DICOM_HOST: &str = "demo-dicom.dicom.azurehealthcareapis.com";
/// The origin of the FHIR service: the upstream to configure, and its audience.
pub const FHIR_AUDIENCE: &str = "https://demo-fhir.fhir.azurehealthcareapis.com";
/// The origin of the DICOM service: the upstream to configure. It is not the audience.
pub const DICOM_ORIGIN: &str = "https://demo-dicom.dicom.azurehealthcareapis.com";
/// The audience all DICOM services share. The form with a slash at the end is accepted too.
pub const DICOM_AUDIENCE: &str = "https://dicom.healthcareapis.azure.com";
/// The host the emulated Resource Manager plays.
pub const RESOURCE_MANAGER_HOST: &str = "management.azure.com";
/// The host the other authorization server plays.
pub const OAUTH_HOST: &str = "oauth.demo.example";
/// The origin of the other authorization server, and of the API that takes its tokens.
pub const OAUTH_ORIGIN: &str = "https://oauth.demo.example";
/// A client that the other authorization server knows. The colon keeps `Basic` honest.
pub const OAUTH_CLIENT_ID: &str = "demo:client";
/// The secret of [`OAUTH_CLIENT_ID`]; opens nothing outside this process.
pub const OAUTH_CLIENT_SECRET: &str = "demo+secret% not for use";
/// The software statement with which clients register at the other authorization server.
pub const SOFTWARE_STATEMENT: &str = "e30.e30.demo-software-statement";
/// The only tenant.
pub const TENANT: &str = "c0ffee00-0000-4000-8000-00000000d3a0";
/// The application that may log in with [`CLIENT_SECRET`].
pub const CLIENT_ID: &str = "ca11ab1e-0000-4000-8000-00000000d3a0";
/// The secret of [`CLIENT_ID`]; a made-up value that opens nothing outside this process.
pub const CLIENT_SECRET: &str = "demo-secret-not-for-use";
/// The subscription `az` sees after a login.
pub const SUBSCRIPTION: &str = "5ca1ab1e-0000-4000-8000-00000000d3a0";
/// The user behind device code logins.
pub const USER: &str = "demo.user@demo.example";

/// The application id of the machine's only managed identity, system- and user-assigned.
pub const IDENTITY_CLIENT_ID: &str = "1de7711e-0000-4000-8000-00000000d3a0";
/// Its object id.
pub const IDENTITY_OBJECT_ID: &str = "0b1ec7ed-0000-4000-8000-00000000d3a0";
/// Its resource id.
pub const IDENTITY_RESOURCE_ID: &str = "/subscriptions/5ca1ab1e-0000-4000-8000-00000000d3a0/\
     resourcegroups/demo/providers/Microsoft.ManagedIdentity/userAssignedIdentities/demo";

/// The protocols that ALPN offers to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Http {
    /// `h2` and `http/1.1`; a client without ALPN gets HTTP/1.1.
    #[default]
    Any,
    /// `http/1.1` only.
    Http1,
    /// `h2` only.
    Http2,
}

/// How to start an [`Emulator`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The port of Entra on 127.0.0.1; 0 takes any free one.
    pub entra_port: u16,
    /// The port of the FHIR service on 127.0.0.1; 0 takes any free one.
    pub fhir_port: u16,
    /// The port of the DICOM service on 127.0.0.1; 0 takes any free one.
    pub dicom_port: u16,
    /// The port of the other authorization server on 127.0.0.1; 0 takes any free one.
    pub oauth_port: u16,
    /// The protocols all of them speak.
    pub http: Http,
    /// Start with a few patients, observations and a study.
    pub samples: bool,
    /// How long access tokens live; [`Entra::set_token_lifetime`] changes it later.
    pub token_lifetime: Duration,
    /// Approve a device code at its n-th poll; without it, only [`Entra::approve_device_codes`] does.
    pub approve_device_code_at_poll: Option<u32>,
    /// The number of polls of an export that get 202 before its manifest is ready.
    pub export_polls: u32,
    /// How many of the latest requests each service remembers. Zero keeps none, for load tests.
    pub remembered_requests: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            entra_port: 0,
            fhir_port: 0,
            dicom_port: 0,
            oauth_port: 0,
            http: Http::Any,
            samples: false,
            token_lifetime: Duration::from_secs(3600),
            approve_device_code_at_poll: None,
            export_polls: 1,
            remembered_requests: 4096,
        }
    }
}

/// A running loopback Azure. Dropping it closes its listeners and every connection.
#[derive(Debug)]
pub struct Emulator {
    ca_pem: String,
    entra: Arc<Entra>,
    fhir: Arc<Fhir>,
    dicom: Arc<Dicom>,
    oauth: Arc<OAuth>,
    resource_manager: Arc<ResourceManager>,
    identity: Arc<ManagedIdentity>,
    entra_address: SocketAddr,
    fhir_address: SocketAddr,
    dicom_address: SocketAddr,
    identity_address: SocketAddr,
    oauth_address: SocketAddr,
    resource_manager_address: SocketAddr,
    _listeners: JoinSet<()>,
}

impl Emulator {
    /// Binds all services on 127.0.0.1 and serves them until the value is dropped.
    ///
    /// # Errors
    /// A port is taken, or a key or certificate cannot be made.
    pub async fn start(options: Options) -> io::Result<Self> {
        let identity = tls::Identity::generate()?;
        let acceptor = TlsAcceptor::from(Arc::new(identity.server_config(options.http)?));

        let entra = Arc::new(Entra::new(&options));
        let fhir = Arc::new(Fhir::new(&options));
        let dicom = Arc::new(Dicom::new(&options));
        let oauth = Arc::new(OAuth::new(&options));
        let resource_manager = Arc::new(ResourceManager::new(&options));
        let managed = Arc::new(ManagedIdentity::new(&options, Arc::clone(&entra)));
        if options.samples {
            samples::load(&fhir, &dicom);
        }

        let entra_listener = bind(options.entra_port).await?;
        let fhir_listener = bind(options.fhir_port).await?;
        let dicom_listener = bind(options.dicom_port).await?;
        let oauth_listener = bind(options.oauth_port).await?;
        let resource_manager_listener = bind(0).await?;
        let resource_manager_address = resource_manager_listener.local_addr()?;
        let entra_address = entra_listener.local_addr()?;
        let fhir_address = fhir_listener.local_addr()?;
        let dicom_address = dicom_listener.local_addr()?;
        let oauth_address = oauth_listener.local_addr()?;
        // The calls of `az login` to Resource Manager are played at the same address, and managed identities ask for it too.
        entra.add_audience(&format!("https://{entra_address}/"));
        let identity_listener = bind(0).await?;
        let identity_address = identity_listener.local_addr()?;

        let mut listeners = JoinSet::new();
        let service = Arc::clone(&entra);
        listeners.spawn(serve::accept(
            entra_listener,
            Some(acceptor.clone()),
            move |request, connection| Arc::clone(&service).handle(request, connection),
        ));
        let service = Arc::clone(&fhir);
        listeners.spawn(serve::accept(
            fhir_listener,
            Some(acceptor.clone()),
            move |request, connection| Arc::clone(&service).handle(request, connection),
        ));
        let service = Arc::clone(&dicom);
        listeners.spawn(serve::accept(
            dicom_listener,
            Some(acceptor.clone()),
            move |request, connection| Arc::clone(&service).handle(request, connection),
        ));
        let service = Arc::clone(&oauth);
        listeners.spawn(serve::accept(
            oauth_listener,
            Some(acceptor.clone()),
            move |request, connection| Arc::clone(&service).handle(request, connection),
        ));
        let service = Arc::clone(&resource_manager);
        listeners.spawn(serve::accept(
            resource_manager_listener,
            Some(acceptor),
            move |request, connection| Arc::clone(&service).handle(request, connection),
        ));

        let service = Arc::clone(&managed);
        listeners.spawn(serve::accept(
            identity_listener,
            None,
            move |request, connection| Arc::clone(&service).handle(request, connection),
        ));

        Ok(Self {
            ca_pem: identity.ca_pem,
            entra,
            fhir,
            dicom,
            oauth,
            resource_manager,
            identity: managed,
            entra_address,
            fhir_address,
            dicom_address,
            identity_address,
            oauth_address,
            resource_manager_address,
            _listeners: listeners,
        })
    }

    /// The certificate that clients must trust, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Where Entra listens.
    pub fn entra_address(&self) -> SocketAddr {
        self.entra_address
    }

    /// Where the FHIR service listens.
    pub fn fhir_address(&self) -> SocketAddr {
        self.fhir_address
    }

    /// Where the DICOM service listens.
    pub fn dicom_address(&self) -> SocketAddr {
        self.dicom_address
    }

    /// Where the other authorization server listens.
    pub fn oauth_address(&self) -> SocketAddr {
        self.oauth_address
    }

    /// Where Resource Manager listens.
    pub fn resource_manager_address(&self) -> SocketAddr {
        self.resource_manager_address
    }

    /// Where the endpoints of managed identities listen, without TLS.
    pub fn identity_address(&self) -> SocketAddr {
        self.identity_address
    }

    /// The switches and the memory of the endpoints of managed identities.
    pub fn identity(&self) -> &ManagedIdentity {
        &self.identity
    }

    /// The switches and the memory of Entra.
    pub fn entra(&self) -> &Entra {
        &self.entra
    }

    /// The switches and the memory of the FHIR service.
    pub fn fhir(&self) -> &Fhir {
        &self.fhir
    }

    /// The switches and the memory of the DICOM service.
    pub fn dicom(&self) -> &Dicom {
        &self.dicom
    }

    /// The switches and the memory of Resource Manager.
    pub fn resource_manager(&self) -> &ResourceManager {
        &self.resource_manager
    }

    /// The switches and the memory of the other authorization server.
    pub fn oauth(&self) -> &OAuth {
        &self.oauth
    }
}

async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}
