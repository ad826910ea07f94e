//! The identity of this machine or app, as a source of `auto`. Most machines have no identity, and
//! a probe for it takes a second.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::super::{
    AccessToken, CredentialError, context::Context, managed_identity::ManagedIdentity,
};
use crate::config::{self, Audience, UserAssigned};

/// The time for which a failed probe is remembered. It is long enough for an identity service that
/// starts together with this process.
const REMEMBERED: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Machine {
    identity: ManagedIdentity,
    /// The time and the error of the last failed probe. Locked during a probe, so that other
    /// audiences at the same moment wait for its result and do not probe, too.
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

    /// Fails if this machine has no identity, as far as that shows without a request for a token.
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
