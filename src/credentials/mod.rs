//! One file for each way to get an access token, and what they share.
//!
//! [`crate::token`] is the only caller: it asks one at a time for each audience, keeps what it
//! gets, and decides when to ask again. Nothing here caches a token.

mod azure_cli;
mod chain;
mod claims;
mod client_secret;
mod entra;
mod http;
mod static_token;
mod subprocess;

use std::time::{Duration, SystemTime};

use secrecy::SecretString;

use crate::{
    clock::Clock,
    config::{self, Audience},
};

pub use claims::Claims;
pub use http::IdentityEndpoints;

/// A token as its issuer gave it.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// What goes behind `Bearer `.
    pub secret: SecretString,
    /// When it ends, by the wall clock.
    pub expires_on: SystemTime,
    /// When a new one is to be asked for.
    pub renewal: Renewal,
}

/// When to renew a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// With a fifth of its life left, as seen from the moment it was received.
    Proportional,
    /// Likewise, but never with more than this left, since the source would only hand out the
    /// same token again.
    NotBefore(Duration),
    /// At the time the issuer named (`refresh_in`).
    At(SystemTime),
    /// It is all there is.
    Never,
}

/// Why a credential gave no token, and what its owner can do about it. Safe to show to anyone who
/// may call the proxy: never holds a secret, a token or another program's raw output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}. {remedy}")]
pub struct CredentialError {
    /// What happened, without a full stop.
    pub message: String,
    /// What to do, as one or more sentences.
    pub remedy: String,
    /// What kind of trouble it is.
    pub reason: Reason,
    /// Not to be tried again before this has passed, as the issuer asked.
    pub retry_after: Option<Duration>,
}

/// What kind of trouble kept a credential from giving a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// This source does not exist on this machine: no such program, no such variables.
    Absent,
    /// A person has to act: sign in, correct a secret, register an application.
    NeedsAction,
    /// It may work the next time: a network failure, a busy issuer, a time-out.
    Transient,
}

impl CredentialError {
    fn new(reason: Reason, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: remedy.into(),
            reason,
            retry_after: None,
        }
    }
}

/// A way to get tokens, ready to use.
#[derive(Debug)]
pub enum Credential {
    /// See [`chain::Chain`].
    Auto(Box<chain::Chain>),
    /// See [`azure_cli::AzureCli`].
    AzureCli(azure_cli::AzureCli),
    /// See [`client_secret::ClientSecret`].
    ClientSecret(client_secret::ClientSecret),
    /// See [`static_token::StaticToken`].
    Static(static_token::StaticToken),
}

impl Credential {
    /// Makes the credential that the configuration describes.
    pub fn new(config: &config::Credential, endpoints: &IdentityEndpoints, clock: &Clock) -> Self {
        match config {
            config::Credential::Auto => Self::Auto(Box::new(chain::Chain::new(endpoints, clock))),
            config::Credential::AzureCli(keys) => {
                Self::AzureCli(azure_cli::AzureCli::new(keys.clone()))
            }
            config::Credential::ClientSecret(keys) => Self::ClientSecret(
                client_secret::ClientSecret::new(keys.clone(), endpoints.clone(), clock.clone()),
            ),
            config::Credential::Static { token } => {
                Self::Static(static_token::StaticToken::new(token.clone(), clock.clone()))
            }
        }
    }

    /// Asks for a new token. `audience` is `None` for routes whose service has none.
    pub async fn token(&self, audience: Option<&Audience>) -> Result<AccessToken, CredentialError> {
        match self {
            Self::Auto(chain) => chain.token(required(audience)?).await,
            Self::AzureCli(cli) => cli.token(required(audience)?).await,
            Self::ClientSecret(secret) => secret.token(required(audience)?).await,
            Self::Static(token) => token.token(),
        }
    }

    /// The kind that serves: of `auto`, the one that it settled on.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Auto(chain) => chain.kind(),
            Self::AzureCli(_) => azure_cli::KIND,
            Self::ClientSecret(_) => client_secret::KIND,
            Self::Static(_) => static_token::KIND,
        }
    }
}

fn required(audience: Option<&Audience>) -> Result<&Audience, CredentialError> {
    audience.ok_or_else(|| {
        CredentialError::new(
            Reason::NeedsAction,
            "the route has no audience to ask a token for",
            "Set `audience` on the route.",
        )
    })
}
