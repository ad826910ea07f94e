//! `client-certificate`: an application that signs with its key.

use super::kind::{Kind, SignIn};
use crate::config::{
    SecretRef, ServiceUrl, Tenant,
    keys::{argument, keys, secure_url},
    secrets::pem,
};

pub(in crate::config) const KIND: Kind = Kind {
    name: "client-certificate",
    required: Some("tenant, client_id and certificate"),
    needs_audience: true,
    harmless: &["tenant", "client_id", "authority"],
    sign_in: SignIn::Application,
};

keys! {
    /// Keys of `client-certificate`.
    #[derive(Debug, Clone)]
    pub struct ClientCertificate {
        /// Tenant id or domain.
        pub tenant: Tenant,
        /// The application's id.
        pub client_id: String as argument,
        /// PEM: the certificate, optionally with its chain and its key. Read at each token request.
        pub certificate: SecretRef as pem,
        /// PEM: the private key, if `certificate` does not contain it.
        pub key: Option<SecretRef> as pem,
        /// Whether to send the chain as well, for applications that trust a subject name and issuer.
        /// `None` follows `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN`.
        pub send_chain: Option<bool>,
        /// The Entra authority; https, or http on loopback.
        pub authority: ServiceUrl as secure_url = ServiceUrl::public_authority(),
    }
}
