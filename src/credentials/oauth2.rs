//! `oauth2-client-credentials`: being built.

use super::{AccessToken, CredentialError, Reason, http::IdentityEndpoints};
use crate::{
    clock::Clock,
    config::{self, Audience},
};

pub(super) const KIND: &str = "oauth2-client-credentials";

/// Being built.
#[derive(Debug)]
pub struct OAuth2 {
    _keys: Box<config::OAuth2>,
    _endpoints: IdentityEndpoints,
    _clock: Clock,
}

impl OAuth2 {
    pub(super) fn new(
        keys: Box<config::OAuth2>,
        endpoints: IdentityEndpoints,
        clock: Clock,
    ) -> Self {
        Self {
            _keys: keys,
            _endpoints: endpoints,
            _clock: clock,
        }
    }

    #[expect(clippy::unused_async)]
    pub(super) async fn token(
        &self,
        _audience: Option<&Audience>,
    ) -> Result<AccessToken, CredentialError> {
        Err(CredentialError::new(
            Reason::NeedsAction,
            format!("{KIND} is not available yet"),
            "Use another credential.",
        ))
    }
}
