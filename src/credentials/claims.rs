//! The claims of a token about its holder, for display. No decision depends on them, since tokens
//! are opaque to clients and no signature is verified here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

/// The claims of a token. All are empty if the token is not a JWT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `tid`.
    pub tenant: Option<String>,
    /// `upn` or its older names for a user, else `appid` or `azp`, else `oid`.
    pub identity: Option<String>,
    /// `exp`, in seconds since the epoch.
    pub expires_on: Option<u64>,
    /// `aud`.
    pub audiences: Vec<String>,
    /// `oid`, the id to which roles are assigned.
    pub object_id: Option<String>,
    /// `roles`, of an application.
    pub roles: Vec<String>,
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
    #[serde(default)]
    aud: OneOrMany,
    #[serde(default)]
    roles: OneOrMany,
}

/// A list, or one value without brackets (RFC 7519, section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
    Other(IgnoredAny),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl From<OneOrMany> for Vec<String> {
    fn from(values: OneOrMany) -> Self {
        match values {
            OneOrMany::One(value) => vec![value],
            OneOrMany::Many(values) => values,
            OneOrMany::Other(_) => Vec::new(),
        }
    }
}

impl Claims {
    /// Reads the payload of a JWT (RFC 7519, section 3). Other text has no claims.
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
                .or_else(|| payload.oid.clone()),
            expires_on: payload.exp,
            audiences: payload.aud.into(),
            object_id: payload.oid,
            roles: payload.roles.into(),
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
        assert_eq!(claims.object_id.as_deref(), Some("o"));
    }

    #[test]
    fn takes_one_audience_and_many() {
        for (aud, expected) in [
            (r#""a""#, &["a"][..]),
            (r#"["a","b"]"#, &["a", "b"]),
            ("7", &[]),
        ] {
            let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"aud":{aud},"tid":"t"}}"#));
            let claims = Claims::of(&format!("e30.{payload}.c2ln"));
            assert_eq!(claims.audiences, expected, "{aud}");
            assert_eq!(claims.tenant.as_deref(), Some("t"), "{aud}");
        }
    }

    #[test]
    fn says_nothing_of_an_opaque_token() {
        for token in ["", "opaque", "a.b.c", "..", "e30.e30.e30"] {
            assert_eq!(Claims::of(token), Claims::default(), "{token}");
        }
    }
}
