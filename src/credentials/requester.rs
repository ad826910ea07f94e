//! The client that a token is requested for; error messages name its parts.

use crate::config::Audience;

/// The client, and the audience of the token that it wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requester<'a> {
    pub(super) tenant: Option<&'a str>,
    pub(super) client_id: Option<&'a str>,
    pub(super) audience: &'a Audience,
    pub(super) names: &'static Names,
}

/// The names of a client's parts in a remedy: the keys or variables that the user sets them by.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) tenant: &'static str,
    pub(super) client_id: &'static str,
    pub(super) authority: &'static str,
}

impl Names {
    pub(super) const KEYS: Self = Self {
        tenant: "`tenant`",
        client_id: "`client_id`",
        authority: "`authority`",
    };
    pub(super) const VARIABLES: Self = Self {
        tenant: "AZURE_TENANT_ID",
        client_id: "AZURE_CLIENT_ID",
        authority: "AZURE_AUTHORITY_HOST",
    };
    /// Of kinds without a key for the authority.
    pub(super) const KEYS_AND_AUTHORITY_VARIABLE: Self = Self {
        authority: Self::VARIABLES.authority,
        ..Self::KEYS
    };
    /// Of programs and machines, which have their own.
    pub(super) const ELSEWHERE: Self = Self {
        tenant: "the tenant",
        client_id: "the application",
        authority: "the cloud",
    };

    /// The remedy where something else than Entra has responded.
    pub(super) fn check_authority(&self) -> String {
        format!(
            "Check that {} names Microsoft Entra ID and that no captive portal answers in its place.",
            self.authority
        )
    }

    /// The remedy for a refusal without a reason.
    pub(super) fn check_all(&self) -> String {
        let Self {
            tenant,
            client_id,
            authority,
        } = self;
        format!("Check {tenant}, {client_id} and {authority}.")
    }
}
