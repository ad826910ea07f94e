//! `static`: a token that the user provides. The file is read again at each renewal, so another
//! program can keep it fresh.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::ExposeSecret as _;

use super::{AccessToken, Claims, CredentialError, Renewal, context::Context, error::unread};
use crate::{
    clock::Clock,
    config::{self, SecretRef},
};

/// The interval at which a token without a readable expiry is read again.
const REREAD: Duration = Duration::from_secs(60);

/// A token read from a file or the environment.
#[derive(Debug)]
pub(super) struct StaticToken {
    token: SecretRef,
    clock: Clock,
}

impl StaticToken {
    pub(super) fn new(keys: config::Static, context: &Context) -> Self {
        Self {
            token: keys.token,
            clock: context.clock.clone(),
        }
    }

    pub(super) async fn token(&self) -> Result<AccessToken, CredentialError> {
        let secret = self.token.read().await;
        let secret = secret.map_err(unread("Put a token there, or name another credential."))?;
        let now = self.clock.now();
        let expiry = Claims::of(secret.expose_secret()).expires_on;
        let (expires_on, renewal) = match expiry {
            Some(seconds) => (
                UNIX_EPOCH
                    .checked_add(Duration::from_secs(seconds))
                    .filter(|expires_on| *expires_on > now)
                    .ok_or_else(|| expired(&self.token))?,
                self.renewal(now),
            ),
            None => (now + REREAD, Renewal::Assumed(now + REREAD / 2)),
        };
        Ok(AccessToken {
            secret,
            expires_on,
            renewal,
        })
    }

    fn renewal(&self, now: SystemTime) -> Renewal {
        match self.token {
            SecretRef::File(_) => Renewal::At(now + REREAD / 2),
            SecretRef::Env(_) | SecretRef::Given(_) => Renewal::Never,
        }
    }
}

fn expired(token: &SecretRef) -> CredentialError {
    CredentialError::needs_action(
        format!("the token in {token} has expired"),
        "Put a new token there, or use a credential that renews itself, such as azure-cli.",
    )
}
