//! The client that requests a token. Error messages name its parts.

use crate::config::Audience;

/// The client, and the audience of the token that it requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requester<'a> {
    pub(super) tenant: Option<&'a str>,
    pub(super) client_id: Option<&'a str>,
    pub(super) audience: &'a Audience,
    pub(super) names: &'static Names,
}

/// The names of a client's parts in a remedy: the keys or variables by which a user sets them.
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
    /// The names for kinds that have no key for the authority.
    pub(super) const KEYS_AND_AUTHORITY_VARIABLE: Self = Self {
        authority: Self::VARIABLES.authority,
        ..Self::KEYS
    };
    /// The names for tools and managed identities, whose client is not configured here.
    pub(super) const ELSEWHERE: Self = Self {
        tenant: "the tenant",
        client_id: "the application",
        authority: "the cloud",
    };

    /// The remedy if something other than Entra has responded.
    pub(super) fn check_authority(&self) -> String {
        format!(
            "Check that {} names Microsoft Entra ID and that no captive portal responds in its place.",
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
