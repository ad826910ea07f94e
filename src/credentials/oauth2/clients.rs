//! The client that requests tokens: the configured one, or the last one that was registered.
//!
//! Each client has a generation, as each token in the cache has. All callers that need the next
//! generation share one registration, also if it fails. The configured client, if there is one, has
//! generation 0.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use moka::future::Cache;
use parking_lot::Mutex;
use secrecy::SecretString;

use crate::{
    config::{self, OAuth2Client, SecretRef},
    credentials::{CredentialError, error::unread},
};

/// The time before a registered client that is refused, too, is replaced by another. Each
/// registration leaves a client at the server.
const REGISTRATION_PAUSE: Duration = Duration::from_secs(600);

/// The registered clients, by the parameters of their registration. They outlive a reload of the
/// configuration.
static REGISTERED: LazyLock<Mutex<HashMap<String, Arc<Registered>>>> =
    LazyLock::new(Mutex::default);

/// The id and the secret of a client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: SecretString,
    since: Instant,
    has_worked: AtomicBool,
    is_replacement: AtomicBool,
}

impl Client {
    pub(super) fn new(id: String, secret: SecretString) -> Self {
        Self {
            id,
            secret,
            since: Instant::now(),
            has_worked: AtomicBool::new(false),
            is_replacement: AtomicBool::new(false),
        }
    }

    /// Notes that the token endpoint has accepted the client.
    pub(super) fn set_worked(&self) {
        self.has_worked.store(true, Ordering::Relaxed);
    }

    /// Whether to register another client, now that the token endpoint refuses this one.
    fn is_worth_replacing(&self) -> bool {
        self.has_worked.load(Ordering::Relaxed)
            || !self.is_replacement.load(Ordering::Relaxed)
            || self.since.elapsed() >= REGISTRATION_PAUSE
    }
}

/// A secret of the configuration, read at each use.
pub(super) async fn read(reference: &SecretRef) -> Result<SecretString, CredentialError> {
    let secret = reference.read().await;
    secret.map_err(unread("Store the secret there."))
}

/// The clients of one credential. A registered one is kept for as long as the process runs.
#[derive(Debug)]
pub(super) struct Clients {
    configured: Option<OAuth2Client>,
    registered: Arc<Registered>,
}

#[derive(Debug)]
struct Registered {
    clients: Cache<u64, Arc<Client>>,
    generation: AtomicU64,
}

impl Registered {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            clients: Cache::builder().build(),
            generation: AtomicU64::new(0),
        })
    }
}

impl Clients {
    pub(super) fn new(keys: &config::OAuth2) -> Self {
        let registered = match &keys.registration {
            None => Registered::new(),
            Some(registration) => {
                let configured = keys.client.as_ref().map(|client| &client.client_id);
                let key = format!(
                    "{} {} {configured:?}",
                    registration.url.uri(),
                    registration.software_statement
                );
                let mut known = REGISTERED.lock();
                known.entry(key).or_insert_with(Registered::new).clone()
            }
        };
        Self {
            configured: keys.client.clone(),
            registered,
        }
    }

    /// The generation of the client in use.
    pub(super) fn generation(&self) -> u64 {
        self.registered.generation.load(Ordering::Acquire)
    }

    /// The client of a generation. Registers it if necessary.
    pub(super) async fn get<F>(
        &self,
        generation: u64,
        register: impl FnOnce() -> F,
    ) -> Result<Arc<Client>, CredentialError>
    where
        F: Future<Output = Result<Client, CredentialError>>,
    {
        if let (0, Some(configured)) = (generation, &self.configured) {
            let secret = read(&configured.client_secret).await?;
            return Ok(Arc::new(Client::new(configured.client_id.clone(), secret)));
        }
        let register = async { register().await.map(Arc::new) };
        let clients = &self.registered.clients;
        let client = clients.try_get_with(generation, register).await;
        client.map_err(|error| CredentialError::clone(&error))
    }

    /// The client after the one of `generation`, which the server refuses. If the registration
    /// fails, the refused client stays, since its secret may be corrected. `None` if it is too soon
    /// for another.
    pub(super) async fn replace<F>(
        &self,
        generation: u64,
        refused: &Client,
        register: impl FnOnce() -> F,
    ) -> Result<Option<Arc<Client>>, CredentialError>
    where
        F: Future<Output = Result<Client, CredentialError>>,
    {
        if !refused.is_worth_replacing() {
            return Ok(None);
        }
        let next = generation + 1;
        let client = self.get(next, register).await?;
        client.is_replacement.store(true, Ordering::Relaxed);
        let replaced = self.registered.generation.compare_exchange(
            generation,
            next,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if let (Ok(_), Some(old)) = (replaced, generation.checked_sub(1)) {
            // Without this, a caller that has just looked up `generation` would register it once
            // more.
            self.registered.clients.invalidate(&old).await;
        }
        Ok(Some(client))
    }
}
