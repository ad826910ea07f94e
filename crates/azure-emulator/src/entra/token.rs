//! The token endpoint: dispatches to the grants, and does the one for applications. The ones for
//! users are in `user.rs`.

use std::sync::atomic::Ordering;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header;
use serde_json::{Value, json};

use super::{
    super::{
        TENANT, clock, form,
        jwt::{SigningKey, Unverified},
        random,
    },
    Entra, EntraError, TokenRequest, check_tenant,
};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
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
pub(super) fn audience_of_scope(scope: &str) -> Option<String> {
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

    /// Identifies the client by its secret or its assertion.
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
        let not_before = numeric_date(&parsed.claims["nbf"]).unwrap_or(0);
        let expires = numeric_date(&parsed.claims["exp"]).unwrap_or(0);
        if now >= expires || now + 300 < not_before {
            return Err(EntraError::expired_assertion());
        }
        match self.state().client_keys.get(&client_id) {
            Some(key) if !parsed.verify(key) => Err(EntraError::bad_signature()),
            _ => Ok(client_id),
        }
    }

    /// The emulator's own origin counts as Resource Manager's, for `az cloud register`.
    pub(super) fn check_audience(&self, base: &str, audience: &str) -> Result<(), EntraError> {
        let known =
            audience.trim_end_matches('/') == base || self.state().audiences.contains(audience);
        if known {
            Ok(())
        } else {
            Err(EntraError::unknown_audience(audience))
        }
    }

    pub(super) fn lifetime(&self) -> i64 {
        i64::try_from(self.token_lifetime.load(Ordering::Relaxed)).unwrap_or(i64::from(u32::MAX))
    }
}

/// RFC 7519, section 2: fractions are allowed, and MSAL for Python writes them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "casts saturate, and no date is that far away"
)]
fn numeric_date(claim: &Value) -> Option<i64> {
    claim.as_i64().or_else(|| Some(claim.as_f64()? as i64))
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
