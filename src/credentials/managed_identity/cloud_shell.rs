//! Azure Cloud Shell, where the identity is the user's own.

use http::Uri;

use super::{
    super::{AccessToken, CredentialError, Reason, http::IdentityEndpoints},
    endpoint, reply,
};
use crate::{clock::Clock, config::Audience};

/// The token endpoint of a shell.
#[derive(Debug)]
pub(super) struct CloudShell {
    address: Uri,
}

impl CloudShell {
    pub(super) fn new(address: &str) -> Result<Self, CredentialError> {
        let address = endpoint::exact(endpoint::MSI, address)?;
        let address = address.parse().expect("it was read as a URL already");
        Ok(Self { address })
    }

    pub(super) async fn token(
        &self,
        endpoints: &IdentityEndpoints,
        clock: &Clock,
        audience: &Audience,
    ) -> Result<AccessToken, CredentialError> {
        let resource = audience.to_string();
        let form = [("resource", resource.as_str())];
        let start = clock.now();
        let response = endpoints
            .post_form_with(&self.address, &form, endpoint::metadata_header())
            .await
            .map_err(|error| CredentialError {
                remedy:
                    "Run ahds-proxy inside Cloud Shell, or unset MSI_ENDPOINT and start it again."
                        .to_owned(),
                ..error
            })?;
        if response.status.is_success() {
            return reply::read_token(&response, start);
        }
        let platform = "Cloud Shell";
        Err(reply::denied(&response, platform, audience, || {
            CredentialError::new(
                Reason::NeedsAction,
                format!("{platform} answered {}", response.status.as_u16()),
                "Check the route's audience, or restart the shell.",
            )
        }))
    }
}
