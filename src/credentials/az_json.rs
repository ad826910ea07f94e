//! The JSON of `az account get-access-token`, which other programs print, too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{civil, tz::TimeZone};
use secrecy::SecretString;
use serde::Deserialize;

/// The output of `az account get-access-token`.
#[derive(Debug, Deserialize)]
pub(super) struct AzOutput {
    #[serde(rename = "accessToken")]
    pub(super) access_token: SecretString,
    /// Seconds since the epoch. Azure CLI prints it since version 2.54.
    expires_on: Option<serde_json::Value>,
    /// Local time without a zone.
    #[serde(rename = "expiresOn")]
    expires_on_local: Option<String>,
}

impl AzOutput {
    /// Reads the response at the start of a text. Other text may follow it.
    pub(super) fn starting(text: &[u8]) -> Option<Self> {
        let mut values = serde_json::Deserializer::from_slice(text).into_iter();
        values.next()?.ok()
    }

    /// The expiry of the token, if the response states it.
    pub(super) fn expires_on(&self, now: SystemTime) -> Option<SystemTime> {
        self.expires_on.as_ref().and_then(epoch).or_else(|| {
            let local = self.expires_on_local.as_deref()?;
            local_time(local, &TimeZone::system(), now)
        })
    }
}

fn epoch(value: &serde_json::Value) -> Option<SystemTime> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Reads a time such as `2030-01-02 03:04:05.000000` in a zone. When the clock is set back, a time
/// occurs twice. The earlier one counts if it is in the future, since an early renewal does no
/// harm. If it is in the past, the later one counts, since a new token has not expired yet.
fn local_time(text: &str, zone: &TimeZone, now: SystemTime) -> Option<SystemTime> {
    let local: civil::DateTime = text.parse().ok()?;
    let ambiguous = zone.to_ambiguous_zoned(local);
    let first: SystemTime = ambiguous.clone().compatible().ok()?.timestamp().into();
    if first > now {
        return Some(first);
    }
    Some(ambiguous.later().ok()?.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_the_epoch_to_local_time() {
        for epoch in ["1900000000", "\"1900000000\""] {
            let text = format!(
                "{{\"accessToken\":\"t\",\"expires_on\":{epoch},\"expiresOn\":\"2001-01-01 00:00:00.000000\"}}"
            );
            let response = AzOutput::starting(text.as_bytes()).expect("a response");
            let expiry = response.expires_on(SystemTime::now()).expect("an expiry");
            let expected = UNIX_EPOCH + Duration::from_secs(1_900_000_000);
            assert_eq!(expiry, expected, "{epoch}");
        }
    }

    #[test]
    fn a_time_that_comes_twice_is_the_first_that_lies_ahead() {
        let zone = TimeZone::get("America/Los_Angeles").expect("a zone database");
        let time = |text: &str| SystemTime::from(text.parse::<jiff::Timestamp>().expect("a time"));
        for (now, expected) in [
            ("2035-11-04T07:50:00Z", "2035-11-04T08:30:00Z"),
            ("2035-11-04T08:50:00Z", "2035-11-04T09:30:00Z"),
        ] {
            let expiry = local_time("2035-11-04 01:30:00", &zone, time(now));
            assert_eq!(expiry, Some(time(expected)), "{now}");
        }
    }
}
