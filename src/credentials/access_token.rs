//! A token as its issuer gave it.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;

/// An access token.
#[derive(Debug, Clone)]
pub struct AccessToken {
    /// The text behind `Bearer `.
    pub secret: SecretString,
    /// The end of its life, by the wall clock.
    pub expires_on: SystemTime,
    /// The time to ask for the next one.
    pub renewal: Renewal,
}

/// The time to renew a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// With a fifth of its life left, counted from the moment it was received.
    Proportional,
    /// With a fifth of its life left, but never with more than this: its source would only return the same
    /// token again.
    NotBefore(Duration),
    /// At the time the issuer named (`refresh_in`).
    At(SystemTime),
    /// At this time. Its source does not state an expiry; the one here is assumed, and not shown to users.
    Assumed(SystemTime),
    /// Its source has no other.
    Never,
}
