//! A token as its issuer gave it.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

/// An access token.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The text after `Bearer `.
    pub secret: SecretString,
    /// The end of the token's life, by the wall clock.
    pub expires_on: SystemTime,
    /// The time to request the next token.
    pub renewal: Renewal,
}

impl AccessToken {
    /// The value of `Authorization`, marked sensitive, so that it is never printed and never indexed
    /// by HPACK. `None` for text that is not a bearer token, such as another program's prompt or a
    /// page of HTML.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let secret = self.secret.expose_secret();
        let value = is_b64token(secret).then(|| format!("Bearer {secret}"))?;
        let mut authorization = HeaderValue::try_from(value).ok()?;
        authorization.set_sensitive(true);
        Some(authorization)
    }
}

/// The time to renew a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// When a fifth of the token's life is left, counted from the moment it was received.
    Proportional,
    /// When a fifth of the token's life is left, but not while more than this is left. The source
    /// would return the same token until then.
    NotBefore(Duration),
    /// At the time that the issuer named (`refresh_in`).
    At(SystemTime),
    /// At this time. The source states no expiry. The one here is assumed, and not shown to users.
    Assumed(SystemTime),
    /// Never, since the source has no other token.
    Never,
}

/// Whether a text is a `b64token` (RFC 6750, section 2.1).
pub(super) fn is_b64token(text: &str) -> bool {
    let start = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !start.is_empty() && start.bytes().all(allowed)
}
