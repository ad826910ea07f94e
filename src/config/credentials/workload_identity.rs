//! `workload-identity`: exchanges the token of a pod for one of Entra's.

use std::path::PathBuf;

use super::kind::{Kind, SignIn};
use crate::config::{
    ServiceUrl, Tenant,
    keys::{Keys, argument, keys, secure_url},
};

pub(in crate::config) const KIND: Kind = Kind {
    name: "workload-identity",
    required: None,
    needs_audience: true,
    harmless: &["tenant", "client_id", "token_file", "authority"],
    sign_in: SignIn::Application,
};

keys! {
    /// Keys of `workload-identity`. An absent key is taken from its variable.
    #[derive(Debug, Clone)]
    pub struct WorkloadIdentity {
        /// Tenant id or domain; `AZURE_TENANT_ID`.
        pub tenant: Option<Tenant>,
        /// The application's id; `AZURE_CLIENT_ID`.
        pub client_id: Option<String> as argument,
        /// The projected service account token; `AZURE_FEDERATED_TOKEN_FILE`.
        pub token_file: Option<PathBuf>,
        /// The Entra authority; https, or http on loopback.
        pub authority: ServiceUrl as secure_url = ServiceUrl::public_authority(),
    }
}

/// The values of a table without keys.
impl Default for WorkloadIdentity {
    fn default() -> Self {
        Keys::defaults()
    }
}
