//! `client-secret`: an application with a secret.

use super::kind::{Kind, SignIn};
use crate::config::{
    SecretRef, ServiceUrl, Tenant,
    keys::{argument, keys, secure_url},
};

pub(in crate::config) const KIND: Kind = Kind {
    name: "client-secret",
    required: Some("tenant, client_id and secret"),
    needs_audience: true,
    harmless: &["tenant", "client_id", "authority"],
    sign_in: SignIn::Application,
};

keys! {
    /// Keys of `client-secret`.
    #[derive(Debug, Clone)]
    pub struct ClientSecret {
        /// Tenant id or domain.
        pub tenant: Tenant,
        /// The application's id.
        pub client_id: String as argument,
        /// The application's secret, read at each token request.
        pub secret: SecretRef,
        /// The Entra authority; https, or http on loopback.
        pub authority: ServiceUrl as secure_url = ServiceUrl::public_authority(),
    }
}
