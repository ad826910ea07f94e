//! `client-certificate`: an application that signs with its key.

use super::{
    keys::{Keys, argument, tenant},
    kind::{Kind, SignIn},
};
use crate::config::{SecretRef, ServiceUrl, Tenant, walk::Item};

pub(in crate::config) const KIND: Kind = Kind {
    name: "client-certificate",
    required: Some("tenant, client_id and certificate"),
    needs_audience: true,
    harmless: &["tenant", "client_id", "authority"],
    sign_in: SignIn::Application,
};

/// Keys of `client-certificate`.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// Tenant id or domain.
    pub tenant: Tenant,
    /// The application's id.
    pub client_id: String,
    /// PEM: the certificate, with its chain and its key where they are kept together. Read at each
    /// token request.
    pub certificate: SecretRef,
    /// PEM: the private key, where `certificate` does not hold it.
    pub key: Option<SecretRef>,
    /// Send the chain too, for applications that trust a subject name and issuer. `None`: as
    /// `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN` says.
    pub send_chain: Option<bool>,
    /// The Entra authority; https, or http on loopback.
    pub authority: ServiceUrl,
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<ClientCertificate> {
    let tenant = keys.need("tenant", tenant);
    let client_id = keys.need("client_id", argument);
    let certificate = keys.need_pem("certificate");
    let key = keys.pem("key");
    let send_chain = keys.read("send_chain", Item::boolean);
    let authority = keys.authority();
    Some(ClientCertificate {
        tenant: tenant?,
        client_id: client_id?,
        certificate: certificate?,
        key,
        send_chain,
        authority,
    })
}
