//! What a token says of its holder, for people to read. Decisions never depend on it: tokens are
//! opaque to clients, and nothing here verifies a signature.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// The tenant and identity named in a token, where it is a JWT that names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `tid`.
    pub tenant: Option<String>,
    /// `upn` or its older names for a user, else `appid` or `azp`, else `oid`.
    pub identity: Option<String>,
    /// `exp`, in seconds since the epoch.
    pub expires_on: Option<u64>,
}

#[derive(Deserialize)]
struct Payload {
    tid: Option<String>,
    upn: Option<String>,
    unique_name: Option<String>,
    preferred_username: Option<String>,
    appid: Option<String>,
    azp: Option<String>,
    oid: Option<String>,
    exp: Option<u64>,
}

impl Claims {
    /// Reads the payload of a JWT (RFC 7519, section 3); of anything else, nothing.
    pub fn of(token: &str) -> Self {
        let payload = token
            .split('.')
            .nth(1)
            .and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok())
            .and_then(|json| serde_json::from_slice::<Payload>(&json).ok());
        let Some(payload) = payload else {
            return Self::default();
        };
        Self {
            tenant: payload.tid,
            identity: payload
                .upn
                .or(payload.preferred_username)
                .or(payload.unique_name)
                .or(payload.appid)
                .or(payload.azp)
                .or(payload.oid),
            expires_on: payload.exp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_holder_of_a_jwt() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"tid":"t1","appid":"app","oid":"o","exp":17}"#);
        let claims = Claims::of(&format!("e30.{payload}.c2ln"));
        assert_eq!(claims.tenant.as_deref(), Some("t1"));
        assert_eq!(claims.identity.as_deref(), Some("app"));
        assert_eq!(claims.expires_on, Some(17));
    }

    #[test]
    fn says_nothing_of_an_opaque_token() {
        for token in ["", "opaque", "a.b.c", "..", "e30.e30.e30"] {
            assert_eq!(Claims::of(token), Claims::default(), "{token}");
        }
    }
}
