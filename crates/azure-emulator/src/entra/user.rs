//! The grants that act for the demo user: device codes (RFC 8628) and refresh tokens.

use serde_json::{Value, json};

use super::{
    super::{
        TENANT, USER, clock, form,
        jwt::{self, SigningKey},
        random,
    },
    DeviceCode, Entra, EntraError, RefreshToken, TokenRequest,
    token::{application_claims, audience_of_scope},
};

/// The object id of [`USER`].
const USER_ID: &str = "0b1ec700-0000-4000-8000-00000000d3a0";
/// The client id of `az`, which has no secret, like all public clients.
const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// The claims of a token for an application that acts for the user.
fn user_claims(audience: &str, client_id: &str, lifetime: i64) -> Value {
    let mut claims = application_claims(audience, client_id, lifetime);
    for (name, value) in [
        ("appidacr", "0"),
        ("idtyp", "user"),
        ("oid", USER_ID),
        ("sub", USER_ID),
        ("upn", USER),
        ("unique_name", USER),
        ("name", "Demo User"),
        ("scp", "user_impersonation"),
    ] {
        claims[name] = value.into();
    }
    claims
}

impl Entra {
    /// Trades a refresh token for new tokens, of any audience.
    pub(super) fn refresh(&self, base: &str, request: &TokenRequest) -> Result<Value, EntraError> {
        let token = request
            .field("refresh_token")
            .ok_or_else(|| EntraError::missing("refresh_token"))?;
        let known = self.state().refresh_tokens.get(token).cloned();
        match known {
            None => Err(EntraError::unknown_refresh_token()),
            Some(RefreshToken { revoked: true, .. }) => Err(EntraError::revoked()),
            Some(RefreshToken { client_id, .. }) => {
                let scope = request.field("scope").unwrap_or_default();
                self.user_reply(base, request, &client_id, scope)
            }
        }
    }

    /// RFC 8628, section 3.2.
    pub(super) fn device_code(
        &self,
        base: &str,
        form: &[(String, String)],
    ) -> Result<Value, EntraError> {
        let client_id =
            form::get(form, "client_id").ok_or_else(|| EntraError::missing("client_id"))?;
        let scope = form::get(form, "scope").ok_or_else(|| EntraError::missing("scope"))?;
        let mut state = self.state();
        if client_id != AZURE_CLI && !state.clients.contains_key(client_id) {
            return Err(EntraError::unknown_client(client_id));
        }
        let device_code = random::hex::<32>();
        let user_code = random::hex::<4>().to_uppercase();
        let lifetime = 900;
        state.device_codes.insert(
            device_code.clone(),
            DeviceCode {
                user_code: user_code.clone(),
                client_id: client_id.to_owned(),
                scope: scope.to_owned(),
                polls: 0,
                approved: false,
                expires: clock::unix() + lifetime,
            },
        );
        let page = format!("{base}/device");
        Ok(json!({
            "user_code": user_code,
            "device_code": device_code,
            "verification_uri": page,
            "expires_in": lifetime,
            "interval": 1,
            "message": format!(
                "To sign in, use a web browser to open the page {page} and enter the code \
                 {user_code} to authenticate."
            ),
        }))
    }

    /// The polls of a device code carry no scope of their own.
    pub(super) fn device_code_audience(&self, form: &[(String, String)]) -> Option<String> {
        let code = form::get(form, "device_code").or_else(|| form::get(form, "code"))?;
        let state = self.state();
        audience_of_scope(&state.device_codes.get(code)?.scope)
    }

    /// One poll of a device code.
    pub(super) fn redeem_device_code(
        &self,
        base: &str,
        request: &TokenRequest,
    ) -> Result<Value, EntraError> {
        let code = request
            .field("device_code")
            .or_else(|| request.field("code"))
            .ok_or_else(|| EntraError::missing("device_code"))?;
        let redeemed = {
            let mut state = self.state();
            let approve_at = state.approve_at_poll;
            let known = state
                .device_codes
                .get_mut(code)
                .filter(|known| clock::unix() < known.expires)
                .ok_or_else(EntraError::unknown_device_code)?;
            known.polls += 1;
            if !known.approved && approve_at.is_none_or(|poll| known.polls < poll) {
                return Err(EntraError::authorization_pending());
            }
            state.device_codes.remove(code)
        };
        // Nobody can have redeemed it in between: the lock was held.
        let redeemed = redeemed.ok_or_else(EntraError::unknown_device_code)?;
        tracing::debug!(user_code = redeemed.user_code, "device code redeemed");
        self.user_reply(base, request, &redeemed.client_id, &redeemed.scope)
    }

    /// Tokens for the user: access, refresh, id, and MSAL's `client_info`.
    fn user_reply(
        &self,
        base: &str,
        request: &TokenRequest,
        client_id: &str,
        scope: &str,
    ) -> Result<Value, EntraError> {
        let audience = audience_of_scope(scope)
            .or_else(|| request.audience.clone())
            .ok_or_else(|| EntraError::missing("scope"))?;
        self.check_audience(base, &audience)?;
        let lifetime = self.lifetime();
        let access_token = SigningKey::shared().sign(&user_claims(&audience, client_id, lifetime));
        let refresh_token = format!("1.{}", random::hex::<48>());
        let now = clock::unix();
        let id_token = SigningKey::shared().sign(&json!({
            "aud": client_id,
            "iss": format!("{base}/{TENANT}/v2.0"),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime.max(300),
            "name": "Demo User",
            "oid": USER_ID,
            "preferred_username": USER,
            "sub": USER_ID,
            "tid": TENANT,
            "ver": "2.0",
        }));
        let refresh_in = {
            let mut state = self.state();
            state.refresh_tokens.insert(
                refresh_token.clone(),
                RefreshToken {
                    client_id: client_id.to_owned(),
                    revoked: false,
                },
            );
            state.refresh_in
        };
        let mut reply = json!({
            "token_type": "Bearer",
            "scope": format!("{audience}/user_impersonation {audience}/.default"),
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": access_token,
            "refresh_token": refresh_token,
            "id_token": id_token,
        });
        if let Some(refresh_in) = refresh_in {
            reply["refresh_in"] = refresh_in.into();
        }
        if request.field("client_info") == Some("1") {
            let info = jwt::encode_json(&json!({"uid": USER_ID, "utid": TENANT}));
            reply["client_info"] = info.into();
        }
        Ok(reply)
    }
}
