//! `device-code`: a person who signs in with a code in a browser.

use super::kind::{Kind, SignIn};
use crate::config::{
    ServiceUrl, Tenant,
    keys::{Keys, Value, argument},
    report::Report,
    walk::Table,
};

pub(in crate::config) const KIND: Kind = Kind {
    name: "device-code",
    required: Some("tenant"),
    needs_audience: true,
    harmless: &["tenant", "client_id"],
    sign_in: SignIn::Prompt,
};

/// Azure CLI's own public client, which every tenant knows.
const AZURE_CLI_CLIENT_ID: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// Keys of `device-code`.
#[derive(Debug, Clone)]
pub struct DeviceCode {
    /// Tenant id or domain.
    pub tenant: Tenant,
    /// The public client to sign in with. Default: Azure CLI's.
    pub client_id: String,
    /// The Entra authority; https, or http on loopback.
    pub authority: ServiceUrl,
}

impl Keys for DeviceCode {
    fn read_from(table: &mut Table<'_>, report: &mut Report) -> Option<Self> {
        let tenant = table.key(report, "tenant", Value::read);
        let client_id = table.read(report, "client_id", argument);
        Some(Self {
            tenant: tenant?,
            client_id: client_id.or(AZURE_CLI_CLIENT_ID.to_owned()),
            authority: ServiceUrl::public_authority(),
        })
    }
}
