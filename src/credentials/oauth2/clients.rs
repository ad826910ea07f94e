//! Who asks for tokens: the configured client, or the last one that was registered.
//!
//! Clients are counted in generations, as the token cache counts tokens: whoever needs the next
//! one joins the registration that is under way, and shares its failure. The configured client,
//! where there is one, is the first.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use moka::future::Cache;
use secrecy::SecretString;

use super::read;
use crate::{
    config::{self, OAuth2Client},
    credentials::CredentialError,
};

/// An id and a secret that the token endpoint may know.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: SecretString,
}

/// The clients of one credential. A registered one is kept for as long as the process runs.
#[derive(Debug)]
pub(super) struct Clients {
    configured: Option<OAuth2Client>,
    registered: Cache<u64, Arc<Client>>,
    generation: AtomicU64,
}

impl Clients {
    pub(super) fn new(keys: &config::OAuth2) -> Self {
        Self {
            configured: keys.client.clone(),
            registered: Cache::builder().build(),
            generation: AtomicU64::new(0),
        }
    }

    /// Which client is in use.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The client of a generation, registered where it has to be.
    pub(super) async fn get<F>(
        &self,
        generation: u64,
        register: impl FnOnce() -> F,
    ) -> Result<Arc<Client>, CredentialError>
    where
        F: Future<Output = Result<Client, CredentialError>>,
    {
        if let (0, Some(configured)) = (generation, &self.configured) {
            return Ok(Arc::new(Client {
                id: configured.id.clone(),
                secret: read(&configured.secret)?,
            }));
        }
        let register = async { register().await.map(Arc::new) };
        let client = self.registered.try_get_with(generation, register).await;
        client.map_err(|error| CredentialError::clone(&error))
    }

    /// The client after the one of `generation`, which the server refuses. Should there be none,
    /// the refused one stays: its secret may be corrected.
    pub(super) async fn replace<F>(
        &self,
        generation: u64,
        register: impl FnOnce() -> F,
    ) -> Result<Arc<Client>, CredentialError>
    where
        F: Future<Output = Result<Client, CredentialError>>,
    {
        let next = generation + 1;
        let client = self.get(next, register).await?;
        let replaced =
            self.generation
                .compare_exchange(generation, next, Ordering::AcqRel, Ordering::Relaxed);
        if let (Ok(_), Some(old)) = (replaced, generation.checked_sub(1)) {
            // Somebody may have looked up `generation` just now, and would register it once more.
            self.registered.invalidate(&old).await;
        }
        Ok(client)
    }
}
