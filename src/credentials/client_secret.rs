//! `client-secret`: the client credentials grant of Microsoft Entra ID with an application's secret
//! (RFC 6749, section 4.4; learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).

use secrecy::ExposeSecret as _;

use super::{AccessToken, CredentialError, context::Context, entra::Application, error::unread};
use crate::config::{self, Audience};

/// An application that signs in with a secret.
#[derive(Debug)]
pub(super) struct ClientSecret {
    keys: config::ClientSecret,
    context: Context,
}

impl ClientSecret {
    pub(super) fn new(keys: config::ClientSecret, context: &Context) -> Self {
        Self {
            keys,
            context: context.clone(),
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let secret = self.keys.secret.read().await;
        let secret = secret.map_err(unread("Store the application's secret there."))?;
        let proof = [("client_secret", secret.expose_secret())];
        let application = Application {
            tenant: &self.keys.tenant,
            client_id: &self.keys.client_id,
            authority: &self.keys.authority,
        };
        application.token(audience, &proof, &self.context).await
    }
}
