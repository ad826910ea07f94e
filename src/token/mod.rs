//! Tokens, and the cache that keeps them fresh.
//!
//! A [`Source`] provides the tokens of one credential for one audience. Every request calls
//! [`Source::token`], which returns the cached token while it lives. Fetches and renewals run in
//! the background.

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
    /// See [`AccessToken::authorization`]. Header values are not wiped from memory when dropped.
    pub authorization: HeaderValue,
    /// The deadline by the wall clock, so that a machine that slept does not send an expired token.
    pub expires_on: SystemTime,
    /// Whether the issuer stated the expiry. If not, it is an assumption.
    pub states_expiry: bool,
    /// The deadline by the monotonic clock, so that setting the wall clock back cannot extend a
    /// token's life. `None` if it is too far away for the clock.
    expires_at: Option<Instant>,
    /// The time at which to fetch the next token.
    pub renew_on: SystemTime,
    /// The claims about the holder, for display.
    pub claims: Claims,
}

impl Token {
    /// Returns `None` for text that is not a bearer token.
    fn new(access: &AccessToken, now: SystemTime) -> Option<Self> {
        let secret = access.secret.expose_secret();
        Some(Self {
            authorization: access.authorization()?,
            expires_on: access.expires_on,
            states_expiry: !matches!(access.renewal, Renewal::Assumed(_)),
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

    /// The time for which the token may still be sent; zero once it has expired.
    pub(crate) fn remaining(&self, now: SystemTime) -> Duration {
        self.expires_on.duration_since(now).unwrap_or_default()
    }
}

/// The shortest use of a token before it is renewed, whatever its issuer says.
const MIN_USE: Duration = Duration::from_secs(1);

/// The time at which to renew a token, usually with a fifth of its life left. This margin keeps
/// five-minute tokens from being renewed on each request, and lets hour-long ones survive an outage
/// of minutes. Jitter of up to a tenth of the margin keeps proxies that started together from
/// renewing together.
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
    fn az_is_called_no_earlier_than_it_would_renew() {
        let limit = Duration::from_secs(290);
        assert_eq!(margin_of(3600, Renewal::NotBefore(limit)), 290);
        assert_eq!(margin_of(60, Renewal::NotBefore(limit)), 12);
    }

    #[test]
    fn text_that_is_not_a_bearer_token_is_not_sent() {
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
