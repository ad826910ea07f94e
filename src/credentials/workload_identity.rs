//! `workload-identity`: being built.

use super::{AccessToken, CredentialError, Reason, http::IdentityEndpoints};
use crate::{
    clock::Clock,
    config::{self, Audience},
};

pub(super) const KIND: &str = "workload-identity";

/// Being built.
#[derive(Debug)]
pub struct WorkloadIdentity {
    _keys: config::WorkloadIdentity,
    _endpoints: IdentityEndpoints,
    _clock: Clock,
}

impl WorkloadIdentity {
    pub(super) fn new(
        keys: config::WorkloadIdentity,
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
    pub(super) async fn token(&self, _audience: &Audience) -> Result<AccessToken, CredentialError> {
        Err(CredentialError::new(
            Reason::NeedsAction,
            format!("{KIND} is not available yet"),
            "Use another credential.",
        ))
    }
}
