//! The prompt to sign in: the address, the code and its life (RFC 8628, section 3.2).

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use tokio::time::Instant;

use crate::credentials::{CredentialError, Reason, requester::Names, token_response::seconds};

/// The seconds between polls, if the issuer names none.
const DEFAULT_INTERVAL: u64 = 5;

#[derive(Debug, Clone)]
pub(super) struct Prompt {
    pub(super) device_code: SecretString,
    /// The code, which also distinguishes one prompt from another.
    pub(super) user_code: String,
    uri: String,
    pub(super) interval: Duration,
    until: Instant,
}

#[derive(Deserialize)]
struct Granted {
    device_code: SecretString,
    user_code: String,
    verification_uri: String,
    #[serde(deserialize_with = "seconds")]
    expires_in: u64,
    #[serde(default = "default_interval", deserialize_with = "seconds")]
    interval: u64,
}

fn default_interval() -> u64 {
    DEFAULT_INTERVAL
}

impl Prompt {
    /// Reads the response to a request that was sent at `start`.
    pub(super) fn read(body: &[u8], start: Instant) -> Result<Self, CredentialError> {
        Self::parse(body, start).ok_or_else(|| {
            CredentialError::transient(
                "the response to the request for a device code is not a device code",
                Names::KEYS_AND_AUTHORITY_VARIABLE.check_authority(),
            )
        })
    }

    fn parse(body: &[u8], start: Instant) -> Option<Self> {
        let granted: Granted = serde_json::from_slice(body).ok()?;
        // Checked, since people see both in terminals and in web pages.
        let is_address = granted.verification_uri.starts_with("https://")
            && granted.verification_uri.len() < 200
            && granted
                .verification_uri
                .bytes()
                .all(|b| b.is_ascii_graphic());
        let is_code = (1..50).contains(&granted.user_code.len())
            && granted
                .user_code
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_address || !is_code {
            return None;
        }
        Some(Self {
            device_code: granted.device_code,
            user_code: granted.user_code,
            uri: granted.verification_uri,
            interval: Duration::from_secs(granted.interval.clamp(1, 60)),
            until: start.checked_add(Duration::from_secs(granted.expires_in))?,
        })
    }

    /// The remaining life of the code.
    pub(super) fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    pub(super) fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }

    /// The error for callers that need a token before the sign-in.
    pub(super) fn error(&self) -> CredentialError {
        CredentialError {
            message: "somebody has to sign in".to_owned(),
            remedy: format!(
                "Open {} in a browser and enter the code {}.",
                self.uri, self.user_code
            ),
            reason: Reason::Waiting,
            retry_after: Some(self.interval),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(user_code: &str, uri: &str, rest: &str) -> Option<Prompt> {
        let text = format!(
            "{{\"device_code\":\"d\",\"user_code\":\"{user_code}\",\"verification_uri\":\"{uri}\"{rest}}}"
        );
        Prompt::parse(text.as_bytes(), Instant::now())
    }

    #[test]
    fn says_where_to_sign_in() {
        let uri = "https://microsoft.com/devicelogin";
        let prompt = read("ABC-123", uri, ",\"expires_in\":\"900\"").expect("a prompt");
        assert_eq!(prompt.interval, Duration::from_secs(5));
        assert!(!prompt.is_over());
        assert_eq!(
            prompt.error().remedy,
            "Open https://microsoft.com/devicelogin in a browser and enter the code ABC-123."
        );
        let over = read("ABC-123", uri, ",\"expires_in\":0,\"interval\":3");
        assert!(over.expect("a prompt").is_over());
    }

    #[test]
    fn refuses_what_nobody_should_be_shown() {
        let rest = ",\"expires_in\":900";
        for (code, uri) in [
            ("", "https://a.example"),
            ("A B", "https://a.example"),
            ("A\\u001b[0m", "https://a.example"),
            ("A", "http://a.example"),
            ("A", "javascript:x"),
            ("A", "https://a.example/\\n"),
            ("A", "https://a.example/ now"),
        ] {
            assert!(read(code, uri, rest).is_none(), "{code} {uri}");
        }
        assert!(read("A", "https://a.example", "").is_none());
        let endless = format!(",\"expires_in\":{}", u64::MAX);
        assert!(read("A", "https://a.example", &endless).is_none());
    }
}
