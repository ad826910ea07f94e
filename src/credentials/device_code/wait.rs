//! Waits in the background for the sign-in (RFC 8628, sections 3.4 and 3.5).

use std::{sync::Weak, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::sleep;

use super::{
    prompt::Prompt,
    session::{SIGN_IN_AGAIN, Session, SignedIn, refresh_token_in},
};
use crate::{
    config::Audience,
    credentials::{AccessToken, CredentialError, Reason, entra},
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest interval, however slow the issuer or the network is.
const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// The result of one poll.
enum Poll {
    SignedIn(AccessToken, Option<SecretString>),
    Pending,
    SlowDown,
    Unreachable,
    /// The code has expired.
    Expired,
    Failed(CredentialError),
}

/// Polls until the person has signed in or the prompt has ended. Stops soon after the session is
/// dropped.
pub(super) async fn for_sign_in(session: Weak<Session>, prompt: Prompt, audience: Audience) {
    let mut interval = prompt.interval;
    loop {
        sleep(interval).await;
        let Some(session) = session.upgrade() else {
            return;
        };
        match session.poll(&prompt, &audience).await {
            Poll::SignedIn(token, refresh_token) => {
                tracing::info!("somebody has signed in");
                return session.sign_in((audience, token), refresh_token);
            }
            Poll::Expired => return session.give_up(&prompt, None),
            Poll::Failed(error) => {
                tracing::warn!("the sign-in failed: {error}");
                return session.give_up(&prompt, Some(error));
            }
            Poll::Pending => {}
            Poll::SlowDown => interval = MAX_INTERVAL.min(interval + SLOW_DOWN),
            Poll::Unreachable => interval = MAX_INTERVAL.min(interval * 2),
        }
        if prompt.is_over() {
            return session.give_up(&prompt, None);
        }
    }
}

impl Session {
    async fn poll(&self, prompt: &Prompt, audience: &Audience) -> Poll {
        let form = [
            ("grant_type", GRANT),
            ("client_id", self.keys.client_id.as_str()),
            ("device_code", prompt.device_code.expose_secret()),
        ];
        let url = entra::token_url(&self.keys.authority, &self.keys.tenant);
        let start = self.context.clock.now();
        let Ok(response) = self.context.endpoints.post_form(&url, &form).await else {
            return Poll::Unreachable;
        };
        if response.status.is_success() {
            return match entra::read_token(&response, &self.requester(audience), start) {
                Ok(token) => Poll::SignedIn(token, refresh_token_in(&response)),
                Err(error) => Poll::Failed(error),
            };
        }
        // Entra has its own names for `access_denied` and `expired_token` of RFC 8628.
        match entra::error_of(&response).as_str() {
            "authorization_pending" => Poll::Pending,
            "slow_down" => Poll::SlowDown,
            "expired_token" | "code_expired" => Poll::Expired,
            "access_denied" | "authorization_declined" => Poll::Failed(
                CredentialError::needs_action("the sign-in was declined", SIGN_IN_AGAIN),
            ),
            _ => {
                let error = self.denied(&response, audience);
                match error.reason {
                    Reason::Transient => Poll::Unreachable,
                    _ => Poll::Failed(error),
                }
            }
        }
    }

    fn sign_in(&self, first: (Audience, AccessToken), refresh_token: Option<SecretString>) {
        let mut state = self.state.lock();
        state.sign_ins += 1;
        state.prompt = None;
        state.failed = None;
        state.signed_in = Some(SignedIn {
            refresh_token,
            first: Some(first),
            refused: std::collections::HashSet::new(),
        });
    }

    /// Ends the prompt. The next caller that needs a token gets the reason, or another code.
    fn give_up(&self, prompt: &Prompt, failed: Option<CredentialError>) {
        let mut state = self.state.lock();
        let ended = state
            .prompt
            .take_if(|known| known.user_code == prompt.user_code);
        if ended.is_some() {
            state.failed = failed;
        }
    }
}
