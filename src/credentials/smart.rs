//! `smart-backend-services`: being built.

use super::{AccessToken, CredentialError, Reason, http::IdentityEndpoints};
use crate::{
    clock::Clock,
    config::{self, Audience},
};

pub(super) const KIND: &str = "smart-backend-services";

/// Being built.
#[derive(Debug)]
pub struct SmartBackendServices {
    _keys: config::SmartBackendServices,
    _endpoints: IdentityEndpoints,
    _clock: Clock,
}

impl SmartBackendServices {
    pub(super) fn new(
        keys: config::SmartBackendServices,
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
