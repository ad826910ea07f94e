//! `workload-identity`: a pod's own token in exchange for one of Entra's.

use std::path::PathBuf;

use super::{
    keys::{Keys, argument, tenant},
    kind::{Kind, SignIn},
};
use crate::config::{ServiceUrl, Tenant, secrets::path};

pub(in crate::config) const KIND: Kind = Kind {
    name: "workload-identity",
    required: None,
    needs_audience: true,
    harmless: &["tenant", "client_id", "token_file", "authority"],
    sign_in: SignIn::Application,
};

/// Keys of `workload-identity`. Each is taken from its variable when absent.
#[derive(Debug, Clone)]
pub struct WorkloadIdentity {
    /// Tenant id or domain; `AZURE_TENANT_ID`.
    pub tenant: Option<Tenant>,
    /// The application's id; `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// The projected service account token; `AZURE_FEDERATED_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// The Entra authority; https, or http on loopback.
    pub authority: ServiceUrl,
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> WorkloadIdentity {
    WorkloadIdentity {
        tenant: keys.read("tenant", tenant),
        client_id: keys.read("client_id", argument),
        token_file: keys.read("token_file", path),
        authority: keys.authority(),
    }
}
