//! The response of a token endpoint that grants a token (RFC 6749, section 5.1).

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer};

use super::{AccessToken, Renewal, http::Response};

/// The assumed lifetime of a token whose issuer states none: that of SMART's short-lived tokens.
/// The upstream refuses a token that ends sooner. A token that lives longer is renewed more often
/// than necessary.
const ASSUMED_LIFE: Duration = Duration::from_secs(300);

/// The longest lifetime. Issuers use larger numbers for tokens that do not expire.
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A token that was granted.
#[derive(Debug, Deserialize)]
pub(super) struct Granted {
    access_token: SecretString,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default, deserialize_with = "optional_seconds")]
    expires_in: Option<u64>,
    #[serde(default, deserialize_with = "optional_seconds")]
    refresh_in: Option<u64>,
}

/// A number of seconds. Most endpoints send it as a number, Entra's v1 endpoints as text.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Seconds::deserialize(deserializer)?.read()
}

/// An optional number of seconds, as a number or as text.
pub(super) fn optional_seconds<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    let seconds = Option::<Seconds>::deserialize(deserializer)?;
    seconds.map(Seconds::read).transpose()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Fraction(f64),
    Text(String),
}

impl Seconds {
    fn read<E: serde::de::Error>(self) -> Result<u64, E> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Fraction(number) => Duration::try_from_secs_f64(number)
                .map(|duration| duration.as_secs())
                .map_err(E::custom),
            Self::Text(text) => text.parse().map_err(E::custom),
        }
    }
}

impl Granted {
    /// Reads the token in a response of any success status. `None` if there is none.
    pub(super) fn read(response: &Response) -> Option<Self> {
        let granted: Self = response
            .status
            .is_success()
            .then(|| serde_json::from_slice(&response.body).ok())
            .flatten()?;
        (!granted.access_token.expose_secret().is_empty()).then_some(granted)
    }

    /// Whether the token may be sent as `Bearer`. A client must not use a token of an unknown type
    /// (section 7.1).
    pub(super) fn is_bearer(&self) -> bool {
        self.token_type
            .as_deref()
            .is_some_and(|name| name.eq_ignore_ascii_case("bearer"))
    }

    /// The token, whose life began at `start`, when it was requested. Times by the issuer's own
    /// clock (`created_at`, in seconds or milliseconds) are ignored.
    pub(super) fn into_token(self, start: SystemTime) -> AccessToken {
        let after = |seconds| start.checked_add(Duration::from_secs(seconds).min(LONGEST_LIFE));
        let Some(expires_in) = self.expires_in else {
            return AccessToken {
                secret: self.access_token,
                expires_on: start + ASSUMED_LIFE,
                renewal: Renewal::Assumed(start + ASSUMED_LIFE * 4 / 5),
            };
        };
        AccessToken {
            secret: self.access_token,
            expires_on: after(expires_in).unwrap_or(start),
            renewal: self
                .refresh_in
                .filter(|refresh_in| *refresh_in < expires_in)
                .and_then(after)
                .map_or(Renewal::Proportional, Renewal::At),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn read(status: u16, body: &'static str) -> Option<Granted> {
        Granted::read(&Response {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: body.into(),
            received: SystemTime::UNIX_EPOCH,
        })
    }

    fn life_of(body: &'static str) -> u64 {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        let token = read(200, body).expect("a token").into_token(start);
        let life = token.expires_on.duration_since(start);
        life.expect("not before its start").as_secs()
    }

    #[test]
    fn a_life_is_a_number_or_a_string_or_assumed() {
        assert_eq!(life_of(r#"{"access_token":"t","expires_in":3599}"#), 3599);
        assert_eq!(life_of(r#"{"access_token":"t","expires_in":"3599"}"#), 3599);
        assert_eq!(life_of(r#"{"access_token":"t"}"#), 300);
        assert_eq!(life_of(r#"{"access_token":"t","expires_in":null}"#), 300);
    }

    #[test]
    fn the_issuers_clock_decides_nothing() {
        for created_at in ["1723227212", "1752148106221"] {
            let body =
                format!(r#"{{"access_token":"t","expires_in":86400,"created_at":{created_at}}}"#);
            assert_eq!(life_of(body.leak()), 86400);
        }
    }

    #[test]
    fn only_a_bearer_token_is_one() {
        let bearer = |body| read(200, body).expect("a token").is_bearer();
        assert!(bearer(r#"{"access_token":"t","token_type":"bearer"}"#));
        assert!(bearer(r#"{"access_token":"t","token_type":"BEARER"}"#));
        assert!(!bearer(r#"{"access_token":"t","token_type":"DPoP"}"#));
        assert!(!bearer(r#"{"access_token":"t"}"#));
    }

    #[test]
    fn any_success_may_carry_a_token_and_nothing_else() {
        const TOKEN: &str = r#"{"access_token":"t"}"#;
        assert!(read(200, TOKEN).is_some() && read(201, TOKEN).is_some());
        assert!(read(302, TOKEN).is_none() && read(400, TOKEN).is_none());
        for body in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"access_token":""}"#,
            r#"{"access_token":"t","expires_in":-1}"#,
            r#"{"access_token":"t","expires_in":"soon"}"#,
        ] {
            assert!(read(200, body).is_none(), "{body}");
        }
    }
}
