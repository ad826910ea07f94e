//! The state of a sign-in, and the tokens that a refresh token gives (RFC 6749, section 6).

use std::collections::HashSet;

use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use super::prompt::Prompt;
use crate::{
    config::{self, Audience},
    credentials::{
        AccessToken, CredentialError,
        context::Context,
        entra,
        http::Response,
        requester::{Names, Requester},
    },
};

pub(super) const SIGN_IN_AGAIN: &str = "Sign in with the next code that ahds-proxy shows.";

/// The errors of a refresh that only a new sign-in can correct (RFC 6749, section 5.2;
/// openid.net/specs/openid-connect-core-1_0.html#AuthError).
const SIGN_IN_ERRORS: [&str; 4] = [
    "invalid_grant",
    "interaction_required",
    "consent_required",
    "login_required",
];

/// The sign-in of one credential.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) keys: config::DeviceCode,
    pub(super) context: Context,
    pub(super) state: Mutex<State>,
    /// Locked while a code is requested, so that there is only one code at a time.
    pub(super) prompting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) signed_in: Option<SignedIn>,
    pub(super) sign_ins: u64,
    pub(super) prompt: Option<Prompt>,
    /// The failure of the last prompt, until a caller has seen it.
    pub(super) failed: Option<CredentialError>,
}

#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) refresh_token: Option<SecretString>,
    /// The token that came with the sign-in, until it is used.
    pub(super) first: Option<(Audience, AccessToken)>,
    /// The audiences for which the refresh token gives no token.
    pub(super) refused: HashSet<Audience>,
}

#[derive(Deserialize)]
struct WithRefreshToken {
    refresh_token: Option<SecretString>,
}

impl Session {
    pub(super) fn new(keys: config::DeviceCode, context: &Context) -> Self {
        Self {
            keys,
            context: context.clone(),
            state: Mutex::default(),
            prompting: tokio::sync::Mutex::default(),
        }
    }

    /// Requests a code.
    pub(super) async fn request_prompt(
        &self,
        audience: &Audience,
    ) -> Result<Prompt, CredentialError> {
        let scope = scope(audience);
        let form = [
            ("client_id", self.keys.client_id.as_str()),
            ("scope", scope.as_str()),
        ];
        let url = entra::device_code_url(&self.keys.authority, &self.keys.tenant);
        let start = Instant::now();
        let response = self.context.endpoints.post_form(&url, &form).await?;
        if !response.status.is_success() {
            return Err(self.denied(&response, audience));
        }
        Prompt::read(&response.body, start)
    }

    /// Gets a token without a new sign-in. `None` if a person must sign in first.
    pub(super) async fn renew(
        &self,
        audience: &Audience,
    ) -> Result<Option<AccessToken>, CredentialError> {
        let (sign_in, refresh_token) = {
            let mut state = self.state.lock();
            let sign_in = state.sign_ins;
            let Some(signed_in) = &mut state.signed_in else {
                return Ok(None);
            };
            let first = signed_in.first.take_if(|(known, _)| known == audience);
            if let Some((_, token)) = first
                && token.expires_on > self.context.clock.now()
            {
                return Ok(Some(token));
            }
            match &signed_in.refresh_token {
                Some(token) if !signed_in.refused.contains(audience) => (sign_in, token.clone()),
                _ => return Ok(None),
            }
        };
        let start = self.context.clock.now();
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", self.keys.client_id.as_str()),
            ("refresh_token", refresh_token.expose_secret()),
            ("scope", &scope(audience)),
        ];
        let url = entra::token_url(&self.keys.authority, &self.keys.tenant);
        let response = self.context.endpoints.post_form(&url, &form).await?;
        let needs_sign_in = SIGN_IN_ERRORS.contains(&entra::error_of(&response).as_str());

        // The lock is not held during the request, so another sign-in may have come first.
        let mut state = self.state.lock();
        let is_current = state.sign_ins == sign_in;
        let signed_in = state.signed_in.as_mut().filter(|_| is_current);
        if needs_sign_in {
            if let Some(signed_in) = signed_in {
                signed_in.refused.insert(audience.clone());
            }
            return Ok(None);
        }
        if !response.status.is_success() {
            return Err(self.denied(&response, audience));
        }
        let token = entra::read_token(&response, &self.requester(audience), start)?;
        if let (Some(signed_in), Some(next)) = (signed_in, refresh_token_in(&response)) {
            signed_in.refresh_token = Some(next);
        }
        Ok(Some(token))
    }

    pub(super) fn requester<'a>(&'a self, audience: &'a Audience) -> Requester<'a> {
        Requester {
            tenant: Some(self.keys.tenant.as_str()),
            client_id: Some(&self.keys.client_id),
            audience,
            names: &Names::KEYS_AND_AUTHORITY_VARIABLE,
        }
    }

    pub(super) fn denied(&self, response: &Response, audience: &Audience) -> CredentialError {
        entra::denied(response, &self.requester(audience), SIGN_IN_AGAIN)
    }
}

/// The scope of a request. `offline_access` requests a refresh token.
fn scope(audience: &Audience) -> String {
    format!("{} offline_access", entra::default_scope(audience))
}

pub(super) fn refresh_token_in(response: &Response) -> Option<SecretString> {
    let read: WithRefreshToken = serde_json::from_slice(&response.body).ok()?;
    read.refresh_token
}
