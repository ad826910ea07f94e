//! Tokens and the cache that keeps them fresh.
//!
//! A [`Source`] stands for one credential and one audience. [`Source::token`] is called for every
//! request and answers from memory while the token lives; everything slow happens behind it.

mod backoff;
mod cache;
mod key;
mod source;

use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;
use secrecy::ExposeSecret as _;

use crate::credentials::{AccessToken, Claims, Renewal};

pub(crate) use cache::TokenCache;
pub(crate) use source::{Source, SourceStatus, Unavailable};

/// A token ready to be sent.
#[derive(Debug)]
pub(crate) struct Token {
    /// `Bearer …`, marked sensitive: never printed, never indexed by HPACK. Header values are not
    /// wiped from memory when dropped.
    pub authorization: HeaderValue,
    /// The end of its life by the wall clock, which also counts the time that the machine slept.
    pub expires_on: SystemTime,
    /// The issuer stated the expiry.
    pub states_expiry: bool,
    /// The monotonic deadline, so that setting the wall clock back cannot extend a token's life.
    expires_at: Option<Instant>,
    /// The time to ask for the next one.
    pub renew_on: SystemTime,
    /// The claims about its holder, for people.
    pub claims: Claims,
}

impl Token {
    /// `None` for text that is not a bearer token, such as a program's prompt or a page of HTML.
    fn new(access: &AccessToken, now: SystemTime) -> Option<Self> {
        let secret = access.secret.expose_secret();
        if !is_b64token(secret) {
            return None;
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
        authorization.set_sensitive(true);
        Some(Self {
            authorization,
            expires_on: access.expires_on,
            states_expiry: !matches!(access.renewal, Renewal::Assumed(_)),
            // An expiry that the clock cannot count is never reached.
            expires_at: Instant::now()
                .checked_add(access.expires_on.duration_since(now).unwrap_or_default()),
            renew_on: renew_on(access, now),
            claims: Claims::of(secret),
        })
    }

    /// Whether the token may still be sent.
    fn is_alive(&self, now: SystemTime) -> bool {
        self.expires_on > now && self.expires_at.is_none_or(|end| end > Instant::now())
    }

    /// How long it may still be sent; zero once it has expired.
    pub(crate) fn remaining(&self, now: SystemTime) -> Duration {
        self.expires_on.duration_since(now).unwrap_or_default()
    }
}

/// RFC 6750, section 2.1.
fn is_b64token(text: &str) -> bool {
    let start = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !start.is_empty() && start.bytes().all(allowed)
}

/// No token is renewed sooner than this after it came, whatever its issuer says.
const MIN_USE: Duration = Duration::from_secs(1);

/// With a fifth of the life left, so that five-minute tokens are not renewed on each request and
/// hour-long ones survive an outage of minutes; up to a tenth of that margin earlier, so that many
/// proxies started together do not all ask together.
fn renew_on(access: &AccessToken, now: SystemTime) -> SystemTime {
    let remaining = access.expires_on.duration_since(now).unwrap_or_default();
    let margin = remaining / 5;
    match access.renewal {
        Renewal::Never => access.expires_on,
        Renewal::At(time) | Renewal::Assumed(time) => time.max(now + MIN_USE),
        Renewal::Proportional => access.expires_on - margin - backoff::jitter(margin / 10),
        Renewal::NotBefore(limit) => access.expires_on - margin.min(limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn margin_of(lifetime: u64, renewal: Renewal) -> u64 {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
        let access = AccessToken {
            secret: "t".to_owned().into(),
            expires_on: now + Duration::from_secs(lifetime),
            renewal,
        };
        let margin = access.expires_on.duration_since(renew_on(&access, now));
        margin.expect("renewal is not after expiry").as_secs()
    }

    #[test]
    fn renews_with_a_fifth_of_the_life_left() {
        assert!((720..=792).contains(&margin_of(3600, Renewal::Proportional)));
        assert!((60..=66).contains(&margin_of(300, Renewal::Proportional)));
    }

    #[test]
    fn asks_az_no_earlier_than_az_itself_would_renew() {
        let limit = Duration::from_secs(290);
        assert_eq!(margin_of(3600, Renewal::NotBefore(limit)), 290);
        assert_eq!(margin_of(60, Renewal::NotBefore(limit)), 12);
    }

    #[test]
    fn what_is_no_bearer_token_is_not_sent() {
        let now = SystemTime::now();
        let token = |text: &str| {
            let access = AccessToken {
                secret: text.to_owned().into(),
                expires_on: now,
                renewal: Renewal::Never,
            };
            Token::new(&access, now)
        };
        for text in [
            "a\r\nb",
            "Password:",
            "<html>",
            "a b",
            "abc\u{2603}",
            "=",
            "",
        ] {
            assert!(token(text).is_none(), "{text}");
        }
        for text in ["eyJ0.eyJh.c2ln", "a-._~+/b==", "t"] {
            assert!(token(text).is_some(), "{text}");
        }
    }
}
