//! `ahds-proxy token`: prints one token, for scripts that call the service directly.

use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::{Timestamp, tz::TimeZone};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use uuid::fmt::Hyphenated;

use super::{
    args::TokenOutput,
    output::{failed, failed_with, misused, print, to_json},
    runtime, sign_in,
};
use crate::{
    clock::Clock,
    config::{self, Config, Route},
    credentials::{AccessToken, Claims, Credentials},
    upstream::Connections,
};

pub(super) fn token(
    config: &Config,
    route: &str,
    output: TokenOutput,
) -> Result<ExitCode, ExitCode> {
    let Some(route) = config.routes.iter().find(|known| &*known.name == route) else {
        let names: Vec<_> = config.routes.iter().map(|route| &*route.name).collect();
        return Err(misused(
            &format_args!("there is no route `{route}`"),
            &format!("the routes are: {}", names.join(", ")),
        ));
    };
    let token = runtime::run_to_end(fetch(config, route))??;
    if token.expires_on <= SystemTime::now() {
        return Err(failed_with(
            "the token that was issued has already expired",
            "check this machine's clock and time zone",
        ));
    }
    if token.authorization().is_none() {
        return Err(failed_with(
            "the issued text is not a bearer token (RFC 6750, section 2.1)",
            "check the token that the credential prints, stores or receives",
        ));
    }
    Ok(match output {
        TokenOutput::Raw => print(&format!("{}\n", token.secret.expose_secret())),
        TokenOutput::Json => print(&as_az_prints_it(
            &token,
            &config.credentials[&route.credential],
        )),
    })
}

async fn fetch(config: &Config, route: &Route) -> Result<AccessToken, ExitCode> {
    let connections = Connections::new(&config.network).map_err(|error| failed(&error))?;
    let credentials = Credentials::new(
        &config.credentials,
        &config.secret_variables,
        &connections,
        &Clock::default(),
    );
    let token = sign_in::token(&credentials[&route.credential], route.audience.as_ref()).await;
    token.map_err(|error| failed(&error))
}

/// The JSON of `az account get-access-token`, so that scripts can use either command. The keys are
/// in alphabetical order, and only those with a known value are present.
#[derive(Serialize)]
struct AzResponse<'a> {
    #[serde(rename = "accessToken")]
    access_token: &'a str,
    #[serde(rename = "expiresOn")]
    expires_on_local: String,
    expires_on: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(rename = "tokenType")]
    token_type: &'static str,
}

fn as_az_prints_it(token: &AccessToken, keys: &config::Credential) -> String {
    let secret = token.secret.expose_secret();
    let since_epoch = token.expires_on.duration_since(UNIX_EPOCH);
    let expires_on = since_epoch.unwrap_or_default().as_secs();
    let response = AzResponse {
        access_token: secret,
        expires_on_local: local_time(expires_on, &TimeZone::system()),
        expires_on,
        subscription: subscription_id(keys),
        tenant: Claims::of(secret).tenant,
        token_type: "Bearer",
    };
    to_json(&response)
}

/// The subscription for which the token was requested, if it is an id. az prints no names.
fn subscription_id(keys: &config::Credential) -> Option<&str> {
    let config::Credential::AzureCli(keys) = keys else {
        return None;
    };
    let subscription = keys.subscription.as_deref();
    subscription.filter(|text| text.parse::<Hyphenated>().is_ok())
}

/// A local time as az writes it, without its zone. It is a whole second, since `expires_on` is one,
/// too.
fn local_time(seconds: u64, zone: &TimeZone) -> String {
    let end = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    let local = end.unwrap_or(Timestamp::MAX).to_zoned(zone.clone());
    local.strftime("%Y-%m-%d %H:%M:%S.000000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn az_writes_local_time_to_the_microsecond() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(
            local_time(1_893_553_445, &zone),
            "2030-01-02 05:04:05.000000"
        );
        assert!(local_time(u64::MAX, &zone).starts_with("9999-"));
    }
}
