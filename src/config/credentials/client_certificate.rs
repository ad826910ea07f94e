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
        /// PEM: the certificate, with its chain and its key where they are kept together. Read at each
        /// token request.
        pub certificate: SecretRef as pem,
        /// PEM: the private key, where `certificate` does not hold it.
        pub key: Option<SecretRef> as pem,
        /// Send the chain too, for applications that trust a subject name and issuer. `None`: as
        /// `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN` says.
        pub send_chain: Option<bool>,
        /// The Entra authority; https, or http on loopback.
        pub authority: ServiceUrl as secure_url = ServiceUrl::public_authority(),
    }
}
