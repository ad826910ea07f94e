//! The identity of this machine or app. Most machines have none, and a probe for it takes a second.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::super::{
    AccessToken, CredentialError, context::Context, managed_identity::ManagedIdentity,
};
use crate::config::{self, Audience, UserAssigned};

/// A service that starts up together with this process is there by then.
const REMEMBERED: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Machine {
    identity: ManagedIdentity,
    /// When there was none, and why. Held while it is looked for, so that the other audiences, which
    /// want to know at the same moment, do not look too.
    missed: Mutex<Option<(Instant, CredentialError)>>,
}

impl Machine {
    pub(super) fn new(env: &dyn Fn(&str) -> Option<String>, context: &Context) -> Self {
        let user_assigned = env("AZURE_CLIENT_ID")
            .filter(|id| !id.is_empty())
            .map(UserAssigned::ClientId);
        let keys = config::ManagedIdentity {
            identity: user_assigned,
            endpoint: None,
        };
        Self {
            identity: ManagedIdentity::new(keys, context),
            missed: Mutex::new(None),
        }
    }

    /// Why this machine has no identity, as far as can be said without asking for a token.
    pub(super) async fn probe(&self) -> Result<(), CredentialError> {
        let mut missed = self.missed.lock().await;
        if let Some((when, error)) = &*missed
            && when.elapsed() < REMEMBERED
        {
            return Err(error.clone());
        }
        let probed = self.identity.probe().await;
        *missed = probed
            .as_ref()
            .err()
            .map(|error| (Instant::now(), error.clone()));
        probed
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        self.identity.token(audience).await
    }
}
