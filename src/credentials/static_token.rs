//! `static`: a token that the user provides. The file is read again at each renewal, so another
//! program can keep it fresh.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::ExposeSecret as _;

use super::{
    AccessToken, Claims, CredentialError, Renewal, access_token::is_b64token, context::Context,
    error::unread,
};
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
        check_text(secret.expose_secret(), &self.token)?;
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

/// Checks that the token's place has a token now.
pub(super) async fn check(keys: &config::Static) -> Result<(), CredentialError> {
    let secret = keys.token.read().await;
    let secret = secret.map_err(unread("Put a token there, or name another credential."))?;
    check_text(secret.expose_secret(), &keys.token)
}

/// Refuses a text that is not a token alone.
fn check_text(text: &str, place: &SecretRef) -> Result<(), CredentialError> {
    if is_b64token(text) {
        return Ok(());
    }
    let word = text.split_ascii_whitespace().next().unwrap_or_default();
    let header = ["Bearer", "Authorization:"];
    let is_header = header.iter().any(|name| word.eq_ignore_ascii_case(name));
    Err(if is_header && word.len() < text.len() {
        CredentialError::needs_action(
            format!("{place} contains the word {word} before the token"),
            "Write the token alone there.",
        )
    } else {
        CredentialError::needs_action(
            format!("{place} contains characters that a bearer token cannot have"),
            "Write the token alone there, without quotation marks, such as the output of: az account \
             get-access-token --query accessToken --output tsv",
        )
    })
}

fn expired(token: &SecretRef) -> CredentialError {
    CredentialError::needs_action(
        format!("the token in {token} has expired"),
        "Put a new token there, or use a credential that renews itself, such as azure-cli.",
    )
}
