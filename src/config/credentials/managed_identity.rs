//! `managed-identity`: the identity of this machine or app.

use super::kind::{Kind, SignIn};
use crate::config::{
    ServiceUrl,
    keys::{Keys, argument, metadata_url},
    report::Report,
    walk::Table,
};

pub(in crate::config) const KIND: Kind = Kind {
    name: "managed-identity",
    required: None,
    needs_audience: true,
    harmless: &["client_id", "object_id", "resource_id", "endpoint"],
    sign_in: SignIn::Machine,
};

/// Keys of `managed-identity`.
#[derive(Debug, Clone, Default)]
pub struct ManagedIdentity {
    /// The user-assigned identity. Without it, the system-assigned one.
    pub identity: Option<UserAssigned>,
    /// The base of IMDS, which then takes precedence over the variables of other platforms. Default:
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`, else `http://169.254.169.254`.
    pub endpoint: Option<ServiceUrl>,
}

/// The name of a user-assigned managed identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserAssigned {
    /// The client id of its application.
    ClientId(String),
    /// The object id of its service principal.
    ObjectId(String),
    /// Its id in Azure Resource Manager.
    ResourceId(String),
}

impl Keys for ManagedIdentity {
    fn read_from(table: &mut Table<'_>, report: &mut Report) -> Option<Self> {
        let mut id = |key| table.read(report, key, argument).into_value();
        let client_id = id("client_id").map(UserAssigned::ClientId);
        let object_id = id("object_id").map(UserAssigned::ObjectId);
        let resource_id = id("resource_id").map(UserAssigned::ResourceId);
        table.only_one(report, &["client_id", "object_id", "resource_id"]);
        let endpoint = table.read(report, "endpoint", metadata_url);
        Some(Self {
            identity: client_id.or(object_id).or(resource_id),
            endpoint: endpoint.into_value(),
        })
    }
}
