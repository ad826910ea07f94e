//! The time in the formats of tokens, FHIR and HTTP.

use jiff::Timestamp;

/// Seconds since 1970.
pub(super) fn unix() -> i64 {
    Timestamp::now().as_second()
}

/// A FHIR instant: `2026-01-02T03:04:05.678+00:00`.
pub(super) fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3f+00:00").to_string()
}

/// An HTTP date (RFC 9110, section 5.6.7).
pub(super) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// As Entra writes it: `2026-01-02 03:04:05Z`.
pub(super) fn entra(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// As .NET's invariant culture writes it, in the errors of token validation.
pub(super) fn dotnet(unix: i64) -> String {
    Timestamp::from_second(unix).map_or_else(
        |_| unix.to_string(),
        |at| at.strftime("%m/%d/%Y %H:%M:%S").to_string(),
    )
}
