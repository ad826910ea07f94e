//! The token check of the FHIR and the DICOM service, as ASP.NET's bearer handler does it.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderMap, header};

use super::{
    clock,
    jwt::{SigningKey, Unverified},
};

/// How many good tokens are remembered.
const REMEMBERED: usize = 64;

/// Why a request is turned away with 401.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// No bearer token at all.
    Missing,
    /// A token, but none for here and now.
    Invalid(String),
}

impl Denied {
    /// The value of `WWW-Authenticate`.
    pub(super) fn challenge(&self) -> String {
        match self {
            Self::Missing => "Bearer".to_owned(),
            Self::Invalid(why) => format!(
                "Bearer authorization_uri=\"{}/{}\", error=\"invalid_token\", \
                 error_description=\"{why}\"",
                super::AUTHORITY,
                super::TENANT,
            ),
        }
    }
}

/// Accepts tokens for some audiences.
#[derive(Debug)]
pub(super) struct TokenCheck {
    audiences: Mutex<Vec<String>>,
    lacks_role: AtomicBool,
    /// The times (not before, expires) of verified tokens. Verifying a signature costs more than
    /// all the rest of a small response.
    verified: Mutex<HashMap<String, (i64, i64)>>,
}

impl TokenCheck {
    pub(super) fn new(audiences: &[&str]) -> Self {
        Self {
            audiences: Mutex::new(audiences.iter().map(|&name| name.to_owned()).collect()),
            lacks_role: AtomicBool::new(false),
            verified: Mutex::default(),
        }
    }

    /// Whether all who have a good token lack a role, from now on.
    pub(super) fn set_lacks_role(&self, lacks_role: bool) {
        self.lacks_role.store(lacks_role, Ordering::Relaxed);
    }

    /// Whether a caller with a valid token gets 403.
    pub(super) fn lacks_role(&self) -> bool {
        self.lacks_role.load(Ordering::Relaxed)
    }

    /// Replaces the audiences; all remembered tokens are forgotten.
    pub(super) fn set_audiences(&self, audiences: Vec<String>) {
        *lock(&self.audiences) = audiences;
        lock(&self.verified).clear();
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then_some(token)
            })
            .ok_or(Denied::Missing)?;

        let known = lock(&self.verified).get(token).copied();
        let (not_before, expires) = match known {
            Some(times) => times,
            None => self.verify(token)?,
        };
        let now = clock::unix();
        if now < not_before {
            return Err(Denied::Invalid(format!(
                "The token is not valid before '{}'",
                clock::dotnet(not_before)
            )));
        }
        if now >= expires {
            return Err(Denied::Invalid(format!(
                "The token expired at '{}'",
                clock::dotnet(expires)
            )));
        }
        Ok(())
    }

    fn verify(&self, token: &str) -> Result<(i64, i64), Denied> {
        let invalid = |why: &str| Denied::Invalid(why.to_owned());
        let parsed = Unverified::parse(token).ok_or_else(|| invalid("The token is malformed"))?;
        if !parsed.verify(SigningKey::shared().public_key()) {
            return Err(invalid("The signature is invalid"));
        }
        let audience = parsed.claims["aud"].as_str().unwrap_or_default();
        if !lock(&self.audiences).iter().any(|known| known == audience) {
            return Err(invalid("The audience is invalid"));
        }
        let issuer = parsed.claims["iss"].as_str();
        if issuer.is_some_and(|issuer| !issuer.contains(super::TENANT)) {
            return Err(invalid("The issuer is invalid"));
        }
        let time = |name: &str| parsed.claims[name].as_i64();
        let times = (
            time("nbf").unwrap_or(i64::MIN),
            time("exp").ok_or_else(|| invalid("The token has no expiration"))?,
        );
        let mut verified = lock(&self.verified);
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(token.to_owned(), times);
        Ok(times)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(claims: &serde_json::Value) -> Result<(), Denied> {
        let check = TokenCheck::new(&["https://a"]);
        let token = SigningKey::shared().sign(claims);
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            format!("Bearer {token}").parse().expect("a header"),
        );
        check.check(&headers)?;
        // The second time the token is a remembered one.
        check.check(&headers)
    }

    #[test]
    fn audience_and_lifetime_decide() {
        let now = clock::unix();
        assert_eq!(
            outcome(&json!({"aud": "https://a", "exp": now + 60})),
            Ok(())
        );
        assert_eq!(
            outcome(&json!({"aud": "https://a/", "exp": now + 60})),
            Err(Denied::Invalid("The audience is invalid".into()))
        );
        let elsewhere = "https://sts.windows.net/elsewhere/";
        assert_eq!(
            outcome(&json!({"aud": "https://a", "exp": now + 60, "iss": elsewhere})),
            Err(Denied::Invalid("The issuer is invalid".into()))
        );
        assert!(matches!(
            outcome(&json!({"aud": "https://a", "exp": now})),
            Err(Denied::Invalid(why)) if why.starts_with("The token expired at")
        ));
        assert!(matches!(
            outcome(&json!({"aud": "https://a", "nbf": now + 60, "exp": now + 90})),
            Err(Denied::Invalid(why)) if why.starts_with("The token is not valid before")
        ));
        assert_eq!(
            TokenCheck::new(&[]).check(&HeaderMap::new()),
            Err(Denied::Missing)
        );
    }
}
