//! Azure Cloud Shell, whose identity is the user's own.

use http::Uri;

use super::{
    super::{AccessToken, CredentialError, context::Context},
    endpoint, reply,
};
use crate::config::Audience;

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
        context: &Context,
        audience: &Audience,
    ) -> Result<AccessToken, CredentialError> {
        let resource = audience.to_string();
        let form = [("resource", resource.as_str())];
        let start = context.clock.now();
        let response = context
            .endpoints
            .post_form_with(&self.address, &form, endpoint::metadata_header())
            .await
            .map_err(|error| {
                error.with_remedy(
                    "Run ahds-proxy inside Cloud Shell, or unset MSI_ENDPOINT and start it again.",
                )
            })?;
        let platform = "Cloud Shell";
        reply::read(&response, start, platform, audience, || {
            CredentialError::needs_action(
                format!("{platform} responded with {}", response.status.as_u16()),
                "Check the route's audience, or restart the shell.",
            )
        })
    }
}
