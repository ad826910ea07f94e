//! `azure-developer-cli`: being built.

use super::{AccessToken, CredentialError, Reason, http::IdentityEndpoints};
use crate::{
    clock::Clock,
    config::{self, Audience},
};

pub(super) const KIND: &str = "azure-developer-cli";

/// Being built.
#[derive(Debug)]
pub struct AzureDeveloperCli {
    _keys: config::Tool,
    _endpoints: IdentityEndpoints,
    _clock: Clock,
}

impl AzureDeveloperCli {
    pub(super) fn new(keys: config::Tool, endpoints: IdentityEndpoints, clock: Clock) -> Self {
        Self {
            _keys: keys,
            _endpoints: endpoints,
            _clock: clock,
        }
    }

    #[expect(clippy::unused_async)]
    pub(super) async fn token(&self, _audience: &Audience) -> Result<AccessToken, CredentialError> {
        Err(CredentialError::new(
            Reason::NeedsAction,
            format!("{KIND} is not available yet"),
            "Use another credential.",
        ))
    }
}
