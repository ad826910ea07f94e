//! The responses of the endpoints of all platforms.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use serde::Deserialize;

use super::super::{
    AccessToken, CredentialError, Renewal, aadsts,
    http::{Response, TRY_AGAIN},
    requester::{Names, Requester},
    token_response::optional_seconds,
};
use crate::config::Audience;

/// The lifetime beyond which a token is renewed in the middle of its life, as in Azure's own
/// libraries. A token may live for a day, and revoked permissions should not last that long.
const LONG_LIFE: Duration = Duration::from_secs(2 * 60 * 60);

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    #[serde(default, deserialize_with = "optional_seconds")]
    expires_on: Option<u64>,
    #[serde(default, deserialize_with = "optional_seconds")]
    expires_in: Option<u64>,
}

/// The token in a response. `start` is the time of the request.
fn read_token(response: &Response, start: SystemTime) -> Result<AccessToken, CredentialError> {
    let no_token = || {
        CredentialError::transient(
            "the managed identity endpoint's response is not a token",
            "Check that nothing else responds in its place, such as a captive portal.",
        )
    };
    let granted: Granted = serde_json::from_slice(&response.body).map_err(|_| no_token())?;
    // The endpoints cache tokens, and `expires_in` counts from the time when a token was issued.
    let expires_on = match (granted.expires_on, granted.expires_in) {
        (Some(seconds), _) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
        (None, Some(seconds)) => start.checked_add(Duration::from_secs(seconds)),
        (None, None) => None,
    };
    let expires_on = expires_on.ok_or_else(no_token)?;
    Ok(AccessToken {
        secret: granted.access_token,
        expires_on,
        renewal: renewal(start, expires_on),
    })
}

fn renewal(start: SystemTime, expires_on: SystemTime) -> Renewal {
    let life = expires_on.duration_since(start).unwrap_or_default();
    if life > LONG_LIFE {
        Renewal::At(start + life / 2)
    } else {
        Renewal::Proportional
    }
}

/// Reads the token in a response. The error for a response without one is a failure that may pass,
/// else the error of Entra that the platform passes on, else the result of `refused`.
pub(super) fn read(
    response: &Response,
    start: SystemTime,
    platform: &str,
    audience: &Audience,
    refused: impl FnOnce() -> CredentialError,
) -> Result<AccessToken, CredentialError> {
    if response.status.is_success() {
        return read_token(response, start);
    }
    let text = std::str::from_utf8(&response.body).unwrap_or_default();
    let error = if may_pass(response) {
        CredentialError::transient(
            format!("{platform} responded with {}", response.status.as_u16()),
            TRY_AGAIN,
        )
    } else if let Some(code) = aadsts::find_code(text) {
        let requester = Requester {
            tenant: None,
            client_id: None,
            audience,
            names: &Names::ELSEWHERE,
        };
        aadsts::explain(code, &requester, "")
    } else {
        refused()
    };
    Err(response.with_wait(error))
}

/// Whether a failure passes by itself. An endpoint responds 404 or 410 while the platform replaces
/// it.
fn may_pass(response: &Response) -> bool {
    response.is_transient() || matches!(response.status.as_u16(), 404 | 410)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::credentials::Reason;

    fn response(status: u16, body: &str) -> Response {
        Response {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
            received: SystemTime::UNIX_EPOCH,
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn reads_numbers_and_strings_and_prefers_the_point_in_time() {
        for (body, expected) in [
            (r#"{"access_token":"t","expires_on":5000}"#, 5000),
            (r#"{"access_token":"t","expires_on":"5000"}"#, 5000),
            (r#"{"access_token":"t","expires_in":"60"}"#, 1060),
            (
                r#"{"access_token":"t","expires_in":86400,"expires_on":"5000"}"#,
                5000,
            ),
        ] {
            let token = read_token(&response(200, body), at(1000)).expect(body);
            assert_eq!(token.expires_on, at(expected), "{body}");
            assert_eq!(token.secret.expose_secret(), "t");
        }
        for body in [
            "",
            "<html>",
            r#"{"access_token":"t"}"#,
            r#"{"access_token":"t","expires_on":"soon"}"#,
            r#"{"expires_on":"5000"}"#,
            r#"{"access_token":"t","expires_on":18446744073709551615}"#,
        ] {
            let error = read_token(&response(200, body), at(1000)).expect_err(body);
            assert_eq!(error.reason, Reason::Transient, "{body}");
        }
    }

    #[test]
    fn a_long_life_is_renewed_in_its_middle() {
        assert_eq!(renewal(at(0), at(7200)), Renewal::Proportional);
        assert_eq!(renewal(at(0), at(7202)), Renewal::At(at(3601)));
        assert_eq!(renewal(at(100), at(0)), Renewal::Proportional);
    }

    #[test]
    fn tells_what_may_pass_from_what_will_not() {
        let audience = Audience::parse("https://a.example").expect("an audience");
        let refused = || CredentialError::absent("no identity", "Assign one.");
        let denied = |status, body| {
            let response = response(status, body);
            let read = read(&response, at(0), "the endpoint", &audience, refused);
            read.expect_err("no token")
        };
        for status in [404, 408, 410, 429, 500, 503] {
            assert_eq!(denied(status, "").reason, Reason::Transient, "{status}");
        }
        for status in [302, 400, 401, 403] {
            assert_eq!(denied(status, "").message, "no identity", "{status}");
        }
        let unknown = denied(
            400,
            r#"{"error":"invalid_resource","error_description":"AADSTS500011: The resource"}"#,
        );
        assert!(unknown.message.contains("https://a.example"), "{unknown}");
    }
}
