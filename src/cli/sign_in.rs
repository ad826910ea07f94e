//! A token for a command that needs one before it can go on.

use std::time::Duration;

use super::output::complain;
use crate::{
    config::Audience,
    credentials::{AccessToken, Credential, CredentialError, Reason},
};

/// Requests a token. If a person has to sign in first, shows the prompt and waits.
pub(super) async fn token(
    credential: &Credential,
    audience: Option<&Audience>,
) -> Result<AccessToken, CredentialError> {
    let mut shown = None;
    loop {
        match credential.token(audience).await {
            // The process waits, since the sign-in would be lost with it.
            Err(error) if error.reason == Reason::Waiting => {
                let pause = error.retry_after.unwrap_or(Duration::from_secs(1));
                if shown.as_ref() != Some(&error) {
                    complain(&error);
                    shown = Some(error);
                }
                tokio::time::sleep(pause).await;
            }
            result => return result,
        }
    }
}
