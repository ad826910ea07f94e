//! The grants of the token endpoint, and the claims of what they issue.

use std::sync::atomic::Ordering;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header;
use serde_json::{Value, json};

use super::{
    super::{
        TENANT, USER, clock, form,
        jwt::{self, SigningKey, Unverified},
        random,
    },
    DeviceCode, Entra, EntraError, RefreshToken, TokenRequest, check_tenant,
};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The object id of [`USER`].
const USER_ID: &str = "0b1ec700-0000-4000-8000-00000000d3a0";
/// What `az` calls itself; like all public clients it has no secret.
const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
/// Scopes that ask for something else than an access token.
const OPENID_SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// The audience a token request names, and whether it is one of the version 1 endpoint.
pub(super) fn audience_of(path: &str, form: &[(String, String)]) -> (Option<String>, bool) {
    let v1 = !path.ends_with("/v2.0/token");
    let audience = if v1 {
        form::get(form, "resource").map(ToOwned::to_owned)
    } else {
        form::get(form, "scope").and_then(audience_of_scope)
    };
    (audience, v1)
}

/// `A/.default` is for `A` to the byte: a slash at A's end makes two in the scope, and stays.
fn audience_of_scope(scope: &str) -> Option<String> {
    let scope = scope
        .split_ascii_whitespace()
        .find(|scope| !OPENID_SCOPES.contains(scope))?;
    scope
        .rsplit_once('/')
        .map(|(audience, _)| audience.to_owned())
}

/// The claims of a token for an application.
pub(super) fn application_claims(audience: &str, client_id: &str, lifetime: i64) -> Value {
    let now = clock::unix();
    json!({
        "aud": audience,
        "iss": format!("https://sts.windows.net/{TENANT}/"),
        "iat": now,
        "nbf": now.min(now + lifetime) - 300,
        "exp": now + lifetime,
        "appid": client_id,
        "appidacr": "1",
        "idp": format!("https://sts.windows.net/{TENANT}/"),
        "idtyp": "app",
        // One service principal for each application, always the same.
        "oid": format!("5e77ab1e-{}", client_id.get(9..).unwrap_or("0000-4000-8000-00000000d3a0")),
        "sub": format!("5e77ab1e-{}", client_id.get(9..).unwrap_or("0000-4000-8000-00000000d3a0")),
        "tid": TENANT,
        "uti": random::hex::<8>(),
        "ver": "1.0",
    })
}

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
    /// Dispatches a token request to its grant.
    pub(super) fn grant(
        &self,
        base: &str,
        request: &TokenRequest,
        v1: bool,
    ) -> Result<Value, EntraError> {
        let tenant = request.path.split('/').nth(1).unwrap_or_default();
        check_tenant(tenant)?;
        match request.field("grant_type") {
            Some("client_credentials") if tenant != TENANT => Err(EntraError::no_tenant()),
            Some("client_credentials") => self.client_credentials(base, request, v1),
            Some("refresh_token") => self.refresh(base, request),
            Some(DEVICE_CODE_GRANT | "device_code") => self.redeem_device_code(base, request),
            Some(other) => Err(EntraError::unsupported_grant(other)),
            None => Err(EntraError::missing("grant_type")),
        }
    }

    fn client_credentials(
        &self,
        base: &str,
        request: &TokenRequest,
        v1: bool,
    ) -> Result<Value, EntraError> {
        let client_id = self.authenticate(base, request)?;
        if !v1 {
            let scope = request
                .field("scope")
                .ok_or_else(|| EntraError::missing("scope"))?;
            if !scope.ends_with("/.default") {
                return Err(EntraError::bad_scope(scope));
            }
        }
        let audience = request
            .audience
            .as_deref()
            .ok_or_else(|| EntraError::missing(if v1 { "resource" } else { "scope" }))?;
        self.check_audience(base, audience)?;

        let lifetime = self.lifetime();
        let claims = application_claims(audience, &client_id, lifetime);
        let token = SigningKey::shared().sign(&claims);
        if v1 {
            // Version 1 writes numbers as strings.
            return Ok(json!({
                "token_type": "Bearer",
                "expires_in": lifetime.to_string(),
                "ext_expires_in": lifetime.to_string(),
                "expires_on": claims["exp"].to_string(),
                "not_before": claims["nbf"].to_string(),
                "resource": audience,
                "access_token": token,
            }));
        }
        let mut reply = json!({
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
        });
        if let Some(refresh_in) = self.state().refresh_in {
            reply["refresh_in"] = refresh_in.into();
        }
        reply["access_token"] = token.into();
        Ok(reply)
    }

    /// Who the client is, by its secret or its assertion.
    fn authenticate(&self, base: &str, request: &TokenRequest) -> Result<String, EntraError> {
        if let Some(assertion) = request.field("client_assertion") {
            return self.check_assertion(base, request, assertion);
        }
        let (client_id, secret) = match basic(request) {
            Some(both) => both,
            None => (
                request
                    .field("client_id")
                    .ok_or_else(|| EntraError::missing("client_id"))?
                    .to_owned(),
                request
                    .field("client_secret")
                    .unwrap_or_default()
                    .to_owned(),
            ),
        };
        match self.state().clients.get(&client_id) {
            None => Err(EntraError::unknown_client(&client_id)),
            Some(_) if secret.is_empty() => Err(EntraError::no_secret()),
            Some(known) if *known != secret => Err(EntraError::wrong_secret(&client_id)),
            Some(_) => Ok(client_id),
        }
    }

    /// RFC 7523. A federated token comes from elsewhere: its issuer and subject are not the
    /// client, and its audience is `api://AzureADTokenExchange`.
    fn check_assertion(
        &self,
        base: &str,
        request: &TokenRequest,
        assertion: &str,
    ) -> Result<String, EntraError> {
        if request.field("client_assertion_type") != Some(ASSERTION_TYPE) {
            return Err(EntraError::missing("client_assertion_type"));
        }
        let parsed = Unverified::parse(assertion)
            .ok_or_else(|| EntraError::bad_assertion("The JWT could not be parsed"))?;
        let claim = |name: &str| parsed.claims[name].as_str().unwrap_or_default();
        let federated = claim("aud") == "api://AzureADTokenExchange";
        let client_id = request
            .field("client_id")
            .unwrap_or_else(|| claim("sub"))
            .to_owned();
        if !self.state().clients.contains_key(&client_id) {
            return Err(EntraError::unknown_client(&client_id));
        }
        if !federated {
            if claim("iss") != client_id || claim("sub") != client_id {
                return Err(EntraError::bad_assertion(
                    "iss and sub must be the client id",
                ));
            }
            let tenant = format!("{base}/{TENANT}/");
            let public = format!("{}/{TENANT}/", super::super::AUTHORITY);
            if !claim("aud").starts_with(&tenant) && !claim("aud").starts_with(&public) {
                return Err(EntraError::bad_assertion("aud must be the token endpoint"));
            }
        }
        let now = clock::unix();
        let expires = parsed.claims["exp"].as_i64().unwrap_or(0);
        let not_before = parsed.claims["nbf"].as_i64().unwrap_or(0);
        if now >= expires || now + 300 < not_before {
            return Err(EntraError::expired_assertion());
        }
        match self.state().client_keys.get(&client_id) {
            Some(key) if !parsed.verify(key) => Err(EntraError::bad_signature()),
            _ => Ok(client_id),
        }
    }

    fn refresh(&self, base: &str, request: &TokenRequest) -> Result<Value, EntraError> {
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

    fn redeem_device_code(&self, base: &str, request: &TokenRequest) -> Result<Value, EntraError> {
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

    /// The emulator's own origin counts as Resource Manager's, for `az cloud register`.
    fn check_audience(&self, base: &str, audience: &str) -> Result<(), EntraError> {
        let known =
            audience.trim_end_matches('/') == base || self.state().audiences.contains(audience);
        if known {
            Ok(())
        } else {
            Err(EntraError::unknown_audience(audience))
        }
    }

    fn lifetime(&self) -> i64 {
        i64::try_from(self.token_lifetime.load(Ordering::Relaxed)).unwrap_or(i64::from(u32::MAX))
    }
}

/// `Authorization: Basic`, its parts form-encoded (RFC 6749, section 2.3.1).
fn basic(request: &TokenRequest) -> Option<(String, String)> {
    let value = request.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (client_id, secret) = decoded.split_once(':')?;
    Some((form::decode(client_id), form::decode(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audience_of_a_scope_keeps_its_own_slash() {
        let audience = |scope| audience_of_scope(scope).unwrap_or_default();
        assert_eq!(audience("https://a/.default"), "https://a");
        assert_eq!(audience("https://a//.default"), "https://a/");
        assert_eq!(
            audience("openid offline_access https://a/user_impersonation"),
            "https://a"
        );
        assert_eq!(audience_of_scope("openid profile"), None);
    }
}
