//! `managed-identity`: the identity of this machine or app.

use super::{
    keys::{Keys, argument},
    kind::{Kind, SignIn},
};
use crate::config::{ServiceUrl, grammar};

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
    /// The user-assigned identity; the system-assigned one when absent.
    pub identity: Option<UserAssigned>,
    /// The base of IMDS, which is then asked whatever the variables of other platforms say. Default:
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`, else `http://169.254.169.254`.
    pub endpoint: Option<ServiceUrl>,
}

/// How a user-assigned managed identity is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserAssigned {
    /// By its application's id.
    ClientId(String),
    /// By its service principal's id.
    ObjectId(String),
    /// By its id in Azure Resource Manager.
    ResourceId(String),
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> ManagedIdentity {
    let client_id = keys.read("client_id", argument);
    let object_id = keys.read("object_id", argument);
    let resource_id = keys.read("resource_id", argument);
    keys.only_one(&["client_id", "object_id", "resource_id"]);
    let endpoint = keys.read("endpoint", |item, report| {
        item.parse(report, grammar::metadata_url)
    });
    ManagedIdentity {
        identity: client_id
            .map(UserAssigned::ClientId)
            .or(object_id.map(UserAssigned::ObjectId))
            .or(resource_id.map(UserAssigned::ResourceId)),
        endpoint,
    }
}
