//! `device-code`: a person signs in with a code in a browser (RFC 8628;
//! learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code).
//!
//! Before the sign-in, each caller that needs a token gets an error with the address and the code,
//! while a background task waits for the sign-in. After it, a refresh token gives tokens for every
//! audience. The refresh token is kept in memory only.

mod prompt;
mod session;
mod wait;

use std::sync::Arc;

use super::{AccessToken, CredentialError, context::Context};
use crate::config::{self, Audience};
use session::Session;

/// The sign-in of a person.
#[derive(Debug)]
pub(super) struct DeviceCode {
    session: Arc<Session>,
}

impl DeviceCode {
    pub(super) fn new(keys: config::DeviceCode, context: &Context) -> Self {
        Self {
            session: Arc::new(Session::new(keys, context)),
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let session = &self.session;
        if let Some(token) = session.renew(audience).await? {
            return Ok(token);
        }
        let _turn = session.prompting.lock().await;
        // The person may have signed in while another caller had the lock.
        match session.renew(audience).await? {
            Some(token) => Ok(token),
            None => Err(self.prompt(audience).await),
        }
    }

    /// The error for a caller that needs a token: the prompt, or the reason why there is none.
    async fn prompt(&self, audience: &Audience) -> CredentialError {
        let session = &self.session;
        {
            let mut state = session.state.lock();
            state.prompt.take_if(|prompt| prompt.is_over());
            if let Some(prompt) = &state.prompt {
                return prompt.error();
            }
            if let Some(failed) = state.failed.take() {
                return failed;
            }
        }
        let prompt = match session.request_prompt(audience).await {
            Ok(prompt) => prompt,
            Err(error) => return error,
        };
        let error = prompt.error();
        tracing::warn!(valid_s = prompt.remaining().as_secs(), "{error}");
        session.state.lock().prompt = Some(prompt.clone());
        let session = Arc::downgrade(session);
        tokio::spawn(wait::for_sign_in(session, prompt, audience.clone()));
        error
    }
}
