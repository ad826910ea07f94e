//! `ahds-proxy token`: one token, for scripts that call the service by themselves.

use std::{
    fmt,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::{Timestamp, tz::TimeZone};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::{USAGE, answer, args::TokenOutput, complain, runtime};
use crate::{
    clock::Clock,
    config::{Config, Route},
    credentials::{self, AccessToken, Claims, Credential, IdentityEndpoints, Reason},
    upstream::Connections,
};

pub(super) fn token(
    config: &Config,
    route: &str,
    output: TokenOutput,
) -> Result<ExitCode, ExitCode> {
    let Some(route) = config.routes.iter().find(|known| &*known.name == route) else {
        let names: Vec<_> = config.routes.iter().map(|route| &*route.name).collect();
        complain(&format_args!(
            "error: there is no route `{route}`\n  = help: the routes are: {}",
            names.join(", ")
        ));
        return Err(ExitCode::from(USAGE));
    };
    let token = runtime::block_on(fetch(config, route))??;
    if token.expires_on <= SystemTime::now() {
        complain(
            &"error: the token that was issued has already expired\n  = help: check this machine's clock and time zone",
        );
        return Err(ExitCode::FAILURE);
    }
    Ok(match output {
        TokenOutput::Raw => answer(&format!("{}\n", token.secret.expose_secret())),
        TokenOutput::Json => answer(&as_az_prints_it(&token)),
    })
}

async fn fetch(config: &Config, route: &Route) -> Result<AccessToken, ExitCode> {
    let connections = Connections::new(&config.network).map_err(|error| failed(&error))?;
    credentials::withhold(config.secret_variables.iter().cloned());
    let endpoints = IdentityEndpoints::new(&connections);
    let keys = &config.credentials[&route.credential];
    let credential = Credential::new(keys, &endpoints, &Clock::default());
    let mut shown = None;
    loop {
        match credential.token(route.audience.as_ref()).await {
            Ok(token) => return Ok(token),
            // A process that ended here would take the sign-in with it.
            Err(error) if error.reason == Reason::Waiting => {
                let pause = error.retry_after.unwrap_or(Duration::from_secs(1));
                if shown.as_ref() != Some(&error) {
                    complain(&error);
                    shown = Some(error);
                }
                tokio::time::sleep(pause).await;
            }
            Err(error) => return Err(failed(&error)),
        }
    }
}

/// The shape of `az account get-access-token`, so that scripts can swap one for the other.
fn as_az_prints_it(token: &AccessToken) -> String {
    let secret = token.secret.expose_secret();
    let since_epoch = token.expires_on.duration_since(UNIX_EPOCH);
    let answer = json!({
        "accessToken": secret,
        "expiresOn": local_time(token.expires_on),
        "expires_on": since_epoch.unwrap_or_default().as_secs(),
        "tenant": Claims::of(secret).tenant,
        "tokenType": "Bearer",
    });
    format!("{answer:#}\n")
}

fn local_time(time: SystemTime) -> Option<String> {
    let local = Timestamp::try_from(time).ok()?.to_zoned(TimeZone::system());
    Some(local.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

fn failed(error: &dyn fmt::Display) -> ExitCode {
    complain(&format_args!("error: {error}"));
    ExitCode::FAILURE
}
