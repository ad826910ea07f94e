//! App Service, Functions, Container Apps and Automation (learn.microsoft.com/azure/app-service/overview-managed-identity).

use http::{HeaderName, HeaderValue, StatusCode};

use super::{
    super::{AccessToken, CredentialError, context::Context},
    endpoint, reply,
};
use crate::config::{Audience, UserAssigned};

const API_VERSION: &str = "2019-08-01";

/// The token endpoint of an app.
#[derive(Debug)]
pub(super) struct AppService {
    address: String,
    /// The value of `IDENTITY_HEADER`.
    secret: HeaderValue,
    identity: Option<UserAssigned>,
}

impl AppService {
    pub(super) fn new(
        address: &str,
        secret: &str,
        identity: Option<UserAssigned>,
    ) -> Result<Self, CredentialError> {
        let mut secret = HeaderValue::from_str(secret).map_err(|_| refused_header())?;
        secret.set_sensitive(true);
        Ok(Self {
            address: endpoint::exact(endpoint::IDENTITY, address)?,
            secret,
            identity,
        })
    }

    pub(super) async fn token(
        &self,
        context: &Context,
        audience: &Audience,
    ) -> Result<AccessToken, CredentialError> {
        let identity = endpoint::parameter(self.identity.as_ref(), "mi_res_id");
        let url = endpoint::request(&self.address, API_VERSION, audience, identity)?;
        // Azure Automation, which has the same variables, needs the header `Metadata`, too.
        let mut headers = endpoint::metadata_header();
        headers.insert(
            HeaderName::from_static("x-identity-header"),
            self.secret.clone(),
        );
        let start = context.clock.now();
        let response = context
            .endpoints
            .get(&url, headers)
            .await
            .map_err(|error| {
                error
                    .with_remedy("Run ahds-proxy inside the app that IDENTITY_ENDPOINT belongs to.")
            })?;
        let platform = "the app's identity endpoint";
        reply::read(&response, start, platform, audience, || {
            match response.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => refused_header(),
                StatusCode::BAD_REQUEST => self.not_assigned(),
                status => CredentialError::needs_action(
                    format!("{platform} responded with {}", status.as_u16()),
                    "Check that IDENTITY_ENDPOINT is the one that the platform set.",
                ),
            }
        })
    }

    fn not_assigned(&self) -> CredentialError {
        let more = if self.identity.is_some() {
            " --identities RESOURCE_ID"
        } else {
            ""
        };
        CredentialError::needs_action(
            "the app does not have this managed identity",
            format!(
                "Assign it with `az webapp identity assign --resource-group GROUP --name APP{more}`. \
                 For Container Apps, the command is `az containerapp identity assign`."
            ),
        )
    }
}

fn refused_header() -> CredentialError {
    CredentialError::needs_action(
        "the app's identity endpoint does not accept this process's IDENTITY_HEADER",
        "Leave IDENTITY_HEADER as the platform sets it, and start ahds-proxy again: the value changes \
         with each start of the app.",
    )
}
