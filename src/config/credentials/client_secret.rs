//! `client-secret`: an application with a secret.

use super::{
    keys::{Keys, argument, tenant},
    kind::{Kind, SignIn},
};
use crate::config::{SecretRef, ServiceUrl, Tenant};

pub(in crate::config) const KIND: Kind = Kind {
    name: "client-secret",
    required: Some("tenant, client_id and secret"),
    needs_audience: true,
    harmless: &["tenant", "client_id", "authority"],
    sign_in: SignIn::Application,
};

/// Keys of `client-secret`.
#[derive(Debug, Clone)]
pub struct ClientSecret {
    /// Tenant id or domain.
    pub tenant: Tenant,
    /// The application's id.
    pub client_id: String,
    /// The application's secret, read at each token request.
    pub secret: SecretRef,
    /// The Entra authority; https, or http on loopback.
    pub authority: ServiceUrl,
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<ClientSecret> {
    let tenant = keys.need("tenant", tenant);
    let client_id = keys.need("client_id", argument);
    let secret = keys.need_secret("secret");
    let authority = keys.authority();
    Some(ClientSecret {
        tenant: tenant?,
        client_id: client_id?,
        secret: secret?,
        authority,
    })
}
