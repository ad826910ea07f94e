//! `azure-cli`: the token of whoever is signed in with `az login`, from
//! `az account get-access-token`.

use std::{
    ffi::OsString,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::{civil, tz::TimeZone};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    AccessToken, CredentialError, Reason, Renewal,
    entra::{self, Asker},
    subprocess::{self, Finished, SubprocessError},
};
use crate::config::{self, Audience};

pub(super) const KIND: &str = "azure-cli";

/// `az` hands out its cached token until five minutes before that ends. To ask any earlier would
/// start `az` over and over for the same token.
const RENEW_NOT_BEFORE: Duration = Duration::from_secs(4 * 60 + 50);

/// How many opening braces are tried; `az` prints few.
const MAX_NOTICES: usize = 64;

const INSTALL: &str = "Install the Azure CLI (https://aka.ms/azure-cli), or set `path` of the azure-cli credential \
                       to the az program.";

/// The Azure CLI's signed-in account.
#[derive(Debug)]
pub struct AzureCli {
    keys: config::AzureCli,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "accessToken")]
    access_token: SecretString,
    /// Seconds since the epoch; since Azure CLI 2.54.
    expires_on: Option<serde_json::Value>,
    /// Local time without a zone.
    #[serde(rename = "expiresOn")]
    expires_on_local: Option<String>,
}

impl AzureCli {
    pub(super) fn new(keys: config::AzureCli) -> Self {
        Self { keys }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let program = match &self.keys.path {
            // A bare name would be looked up by the system, which takes relative folders of PATH too.
            Some(name) if name.components().count() == 1 && name.is_relative() => {
                let found = name
                    .to_str()
                    .and_then(|name| subprocess::find_on_path(&[name]));
                found.ok_or_else(|| self.not_run(&SubprocessError::NotFound(name.clone())))?
            }
            Some(path) => path.clone(),
            None => subprocess::find_on_path(if cfg!(windows) {
                &["az.cmd", "az.exe"]
            } else {
                &["az"]
            })
            .ok_or_else(|| {
                CredentialError::new(Reason::Absent, "the Azure CLI (az) is not on PATH", INSTALL)
            })?,
        };
        let finished = subprocess::run(
            &program,
            &self.arguments(audience),
            &[("AZURE_CORE_NO_COLOR", "true")],
            self.keys.timeout,
        )
        .await
        .map_err(|error| self.not_run(&error))?;
        if !finished.success {
            return Err(self.failed(&finished, audience));
        }
        read(&finished.stdout)
    }

    fn arguments(&self, audience: &Audience) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = [
            "account",
            "get-access-token",
            "--output",
            "json",
            "--resource",
        ]
        .map(Into::into)
        .into();
        arguments.push(audience.as_str().into());
        if let Some(tenant) = &self.keys.tenant {
            arguments.extend(["--tenant".into(), tenant.as_str().into()]);
        }
        if let Some(subscription) = &self.keys.subscription {
            arguments.extend(["--subscription".into(), subscription.into()]);
        }
        arguments
    }

    fn not_run(&self, error: &SubprocessError) -> CredentialError {
        match error {
            SubprocessError::NotFound(program) => CredentialError::new(
                Reason::Absent,
                format!("there is no program {}", program.display()),
                INSTALL,
            ),
            SubprocessError::Start { program, reason } => CredentialError::new(
                Reason::NeedsAction,
                format!("{} cannot be started: {reason}", program.display()),
                INSTALL,
            ),
            SubprocessError::Timeout(after) => CredentialError::new(
                Reason::Transient,
                format!(
                    "az gave no token within {} s and was ended",
                    after.as_secs_f32()
                ),
                format!(
                    "Run `az account get-access-token` to see what it waits for; a larger `timeout` helps a slow \
                     machine. {}",
                    self.sign_in()
                ),
            ),
            SubprocessError::Output => CredentialError::new(
                Reason::Transient,
                "what az printed could not be read",
                "Run `az account get-access-token` to see what it prints.",
            ),
        }
    }

    /// What `az` printed is sorted by the few texts that stay the same between versions; it is never
    /// shown or logged, since it can hold codes and account names.
    fn failed(&self, finished: &Finished, audience: &Audience) -> CredentialError {
        let stderr = String::from_utf8_lossy(&finished.stderr);
        let asker = Asker {
            tenant: self.keys.tenant.as_ref().map(config::Tenant::as_str),
            client_id: None,
            audience,
        };
        if let Some(code) = entra::find_code(&stderr) {
            return entra::from_code(code, &asker);
        }
        if [
            "NameResolutionError",
            "Failed to resolve",
            "Max retries exceeded",
            "ConnectionError",
            "Failed to establish",
        ]
        .iter()
        .any(|text| stderr.contains(text))
        {
            return CredentialError::new(
                Reason::Transient,
                "az cannot reach Microsoft Entra ID",
                "Check the network, VPN and proxy settings of az.",
            );
        }
        if stderr.contains("CERTIFICATE_VERIFY_FAILED") {
            return CredentialError::new(
                Reason::NeedsAction,
                "az does not trust the certificate of Microsoft Entra ID",
                "Behind a TLS-inspecting proxy set REQUESTS_CA_BUNDLE to its CA certificate.",
            );
        }
        if [
            "az login",
            "az account set",
            "not found in MSAL",
            "find token from MSAL",
        ]
        .iter()
        .any(|text| stderr.contains(text))
        {
            return CredentialError::new(
                Reason::NeedsAction,
                "nobody is signed in to the Azure CLI",
                self.sign_in(),
            );
        }
        if stderr.contains("unrecognized arguments") || stderr.contains("is misspelled") {
            return CredentialError::new(
                Reason::NeedsAction,
                "this az does not know `account get-access-token --resource`",
                "Upgrade it: az upgrade",
            );
        }
        CredentialError::new(
            Reason::Transient,
            format!("az failed ({})", finished.status),
            format!(
                "Run `az account get-access-token` to see why. {}",
                self.sign_in()
            ),
        )
    }

    fn sign_in(&self) -> String {
        match &self.keys.tenant {
            Some(tenant) => format!("Run: az login --tenant {}", tenant.as_str()),
            None => "Run: az login".to_owned(),
        }
    }
}

fn read(stdout: &[u8]) -> Result<AccessToken, CredentialError> {
    let unreadable = |message: &str| {
        CredentialError::new(
            Reason::NeedsAction,
            message,
            "Run `az account get-access-token` to see what it prints; an old az may need: az upgrade",
        )
    };
    // Extensions and a wrapped az print notices around the answer, with braces or without.
    let answer = stdout
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'{')
        .take(MAX_NOTICES)
        .find_map(|(start, _)| answer_at(&stdout[start..]))
        .ok_or_else(|| unreadable("az did not print a token as JSON"))?;
    let expires_on = answer
        .expires_on
        .as_ref()
        .and_then(epoch)
        .or_else(|| {
            let local = answer.expires_on_local.as_deref()?;
            local_time(local, &TimeZone::system(), SystemTime::now())
        })
        .ok_or_else(|| unreadable("az did not say when its token expires"))?;
    Ok(AccessToken {
        secret: answer.access_token,
        expires_on,
        renewal: Renewal::NotBefore(RENEW_NOT_BEFORE),
    })
}

/// The answer that starts here, whatever follows it.
fn answer_at(text: &[u8]) -> Option<Answer> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter();
    values.next()?.ok()
}

fn epoch(value: &serde_json::Value) -> Option<SystemTime> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// `2030-01-02 03:04:05.000000` in a zone. Where the clock is set back and a time comes twice, the
/// earlier one counts while it lies ahead: to renew too early does no harm, but a token that has
/// just been handed out has not expired an hour ago.
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

    fn seconds(token: &AccessToken) -> u64 {
        token
            .expires_on
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs()
    }

    #[test]
    fn prefers_the_epoch_to_local_time() {
        let token = read(br#"{"accessToken":"t","expires_on":1900000000,"expiresOn":"2001-01-01 00:00:00.000000"}"#)
            .expect("a token");
        assert_eq!(seconds(&token), 1_900_000_000);
    }

    #[test]
    fn skips_notices_around_the_answer() {
        let token = read(b"A new version is available.\n{\"accessToken\":\"t\",\"expires_on\":\"1900000000\"}\nbye\n")
            .expect("a token");
        assert_eq!(seconds(&token), 1_900_000_000);
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

    #[test]
    fn refuses_what_is_no_token() {
        for text in [
            "",
            "hello",
            "{}",
            "[]",
            r#"{"accessToken":"t"}"#,
            r#"{"accessToken":1,"expires_on":1}"#,
            r#"{"accessToken":"t","expiresOn":"soon"}"#,
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
