//! `device-code`: somebody signs in with a code in a browser (RFC 8628;
//! learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code).
//!
//! Whoever asks for a token meanwhile is told at once where to sign in and with which code, while a
//! task in the background waits for it to happen. From then on a refresh token gives tokens for every
//! audience. It is kept in memory only.

mod prompt;
mod wait;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use self::prompt::Prompt;
use super::{
    AccessToken, CredentialError,
    entra::{self, Asker},
    http::{Answer, IdentityEndpoints},
};
use crate::{
    clock::Clock,
    config::{self, Audience},
};

pub(super) const KIND: &str = "device-code";

const SIGN_IN_AGAIN: &str = "Sign in with the next code that ahds-proxy shows.";

/// Errors of a refresh that only a new sign-in can mend (RFC 6749, section 5.2; the others are from
/// openid.net/specs/openid-connect-core-1_0.html#AuthError).
const SIGN_IN_ERRORS: [&str; 4] = [
    "invalid_grant",
    "interaction_required",
    "consent_required",
    "login_required",
];

/// Somebody who signs in, or has done so.
#[derive(Debug)]
pub struct DeviceCode {
    session: Arc<Session>,
}

#[derive(Debug)]
struct Session {
    keys: config::DeviceCode,
    endpoints: IdentityEndpoints,
    clock: Clock,
    state: Mutex<State>,
    /// Held while a code is asked for, so that nobody is shown two.
    prompting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    signed_in: Option<SignedIn>,
    sign_ins: u64,
    prompt: Option<Prompt>,
    /// Why the last prompt came to nothing, until somebody has been told.
    failed: Option<CredentialError>,
}

#[derive(Debug)]
struct SignedIn {
    refresh_token: Option<SecretString>,
    /// What came with the sign-in, until it is asked for.
    first: Option<(Audience, AccessToken)>,
    /// For these the refresh token will not do, though it may for others.
    refused: HashSet<Audience>,
}

#[derive(Deserialize)]
struct WithRefreshToken {
    refresh_token: Option<SecretString>,
}

impl DeviceCode {
    pub(super) fn new(
        keys: config::DeviceCode,
        endpoints: IdentityEndpoints,
        clock: Clock,
    ) -> Self {
        Self {
            session: Arc::new(Session {
                keys,
                endpoints,
                clock,
                state: Mutex::default(),
                prompting: tokio::sync::Mutex::default(),
            }),
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let session = &self.session;
        if let Some(token) = session.renew(audience).await? {
            return Ok(token);
        }
        let _turn = session.prompting.lock().await;
        // Somebody may have signed in while others had the turn.
        match session.renew(audience).await? {
            Some(token) => Ok(token),
            None => Err(session.prompt(audience).await),
        }
    }
}

impl Session {
    /// A token without anybody's doing; `None` where somebody has to sign in first.
    async fn renew(&self, audience: &Audience) -> Result<Option<AccessToken>, CredentialError> {
        let (sign_in, refresh_token) = {
            let mut state = self.state();
            let sign_in = state.sign_ins;
            let Some(signed_in) = &mut state.signed_in else {
                return Ok(None);
            };
            let first = signed_in.first.take_if(|(known, _)| known == audience);
            if let Some((_, token)) = first
                && token.expires_on > self.clock.now()
            {
                return Ok(Some(token));
            }
            match &signed_in.refresh_token {
                Some(token) if !signed_in.refused.contains(audience) => (sign_in, token.clone()),
                _ => return Ok(None),
            }
        };
        let start = self.clock.now();
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", self.keys.client_id.as_str()),
            ("refresh_token", refresh_token.expose_secret()),
            ("scope", &scope(audience)),
        ];
        let url = entra::token_url(&self.keys.authority, &self.keys.tenant);
        let answer = self.endpoints.post_form(&url, &form).await?;
        let needs_sign_in = SIGN_IN_ERRORS.contains(&entra::error_of(&answer).as_str());

        // Nobody waits for the network with this held, so another sign-in may have come first.
        let mut state = self.state();
        let is_current = state.sign_ins == sign_in;
        let signed_in = state.signed_in.as_mut().filter(|_| is_current);
        if needs_sign_in {
            if let Some(signed_in) = signed_in {
                signed_in.refused.insert(audience.clone());
            }
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(self.denied(&answer, audience));
        }
        let token = entra::read_token(&answer, &self.asker(audience), start)?;
        if let (Some(signed_in), Some(next)) = (signed_in, refresh_token_in(&answer)) {
            signed_in.refresh_token = Some(next);
        }
        Ok(Some(token))
    }

    /// What to tell those who need a token: where to sign in, or why there is no such place.
    async fn prompt(self: &Arc<Self>, audience: &Audience) -> CredentialError {
        {
            let mut state = self.state();
            state.prompt.take_if(|prompt| prompt.is_over());
            if let Some(prompt) = &state.prompt {
                return prompt.error();
            }
            if let Some(failed) = state.failed.take() {
                return failed;
            }
        }
        let prompt = match Prompt::request(self, audience).await {
            Ok(prompt) => prompt,
            Err(error) => return error,
        };
        let error = prompt.error();
        tracing::warn!(valid_s = prompt.remaining().as_secs(), "{error}");
        self.state().prompt = Some(prompt.clone());
        let session = Arc::downgrade(self);
        tokio::spawn(wait::for_sign_in(session, prompt, audience.clone()));
        error
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asker<'a>(&'a self, audience: &'a Audience) -> Asker<'a> {
        Asker {
            tenant: Some(self.keys.tenant.as_str()),
            client_id: Some(&self.keys.client_id),
            audience,
        }
    }

    fn denied(&self, answer: &Answer, audience: &Audience) -> CredentialError {
        entra::denied(answer, &self.asker(audience), SIGN_IN_AGAIN)
    }
}

/// `offline_access` asks for a refresh token.
fn scope(audience: &Audience) -> String {
    format!("{} offline_access", entra::default_scope(audience))
}

fn refresh_token_in(answer: &Answer) -> Option<SecretString> {
    let read: WithRefreshToken = serde_json::from_slice(&answer.body).ok()?;
    read.refresh_token
}
