//! `client-secret`: the client credentials grant of Microsoft Entra ID with an application's secret
//! (RFC 6749, section 4.4; learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).

use secrecy::ExposeSecret as _;

use super::{
    AccessToken, CredentialError, Reason, context::Context, entra, http::IdentityEndpoints,
    requester::Requester,
};
use crate::{
    clock::Clock,
    config::{self, Audience},
};

/// An application that signs in with a secret.
#[derive(Debug)]
pub(super) struct ClientSecret {
    keys: config::ClientSecret,
    endpoints: IdentityEndpoints,
    clock: Clock,
}

impl ClientSecret {
    pub(super) fn new(keys: config::ClientSecret, context: &Context) -> Self {
        Self {
            keys,
            endpoints: context.endpoints.clone(),
            clock: context.clock.clone(),
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let secret = self.keys.secret.read().await.map_err(|error| {
            CredentialError::new(
                Reason::NeedsAction,
                error.to_string(),
                "Provide the application's secret there.",
            )
        })?;
        let scope = entra::default_scope(audience);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.keys.client_id.as_str()),
            ("client_secret", secret.expose_secret()),
            ("scope", scope.as_str()),
        ];
        let url = entra::token_url(&self.keys.authority, &self.keys.tenant);
        let requester = Requester {
            tenant: Some(self.keys.tenant.as_str()),
            client_id: Some(&self.keys.client_id),
            audience,
        };
        // Taken before the request, since the life of a token starts before its response arrives.
        let start = self.clock.now();
        let response = self.endpoints.post_form(&url, &form).await?;
        entra::read_token(&response, &requester, start)
    }
}
