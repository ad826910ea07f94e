//! `token ROUTE`: one token, for scripts that call the service by themselves.

use std::{
    io::Write as _,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::{Timestamp, tz::TimeZone};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::{
    clock::Clock,
    config::{Config, Route},
    credentials::{AccessToken, Claims, Credential, CredentialError, IdentityEndpoints},
    upstream::{Connections, StartError},
};

use super::{args::TokenOutput, complain, runtime};

pub(super) fn run(config: &Config, route: &str, output: TokenOutput) -> ExitCode {
    let Some(route) = config.routes.iter().find(|known| &*known.name == route) else {
        let names: Vec<_> = config.routes.iter().map(|route| &*route.name).collect();
        complain(&format!("there is no route `{route}`; the routes are: {}", names.join(", ")));
        return ExitCode::from(2);
    };
    let token = match runtime::block_on(fetch(config, route)) {
        Ok(Ok(Ok(token))) => token,
        Ok(Ok(Err(error))) => return failed(&error),
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error),
    };
    let text = match output {
        TokenOutput::Raw => token.secret.expose_secret().to_owned(),
        TokenOutput::Json => as_az_prints_it(&token),
    };
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

async fn fetch(config: &Config, route: &Route) -> Result<Result<AccessToken, CredentialError>, StartError> {
    let endpoints = IdentityEndpoints::new(&Connections::new(&config.network)?);
    let credential = Credential::new(&config.credentials[&route.credential], &endpoints, &Clock::default());
    Ok(credential.token(route.audience.as_ref()).await)
}

/// The shape of `az account get-access-token`, so that scripts can swap one for the other.
fn as_az_prints_it(token: &AccessToken) -> String {
    let secret = token.secret.expose_secret();
    let seconds = token.expires_on.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let answer = json!({
        "accessToken": secret,
        "expiresOn": local_time(token.expires_on),
        "expires_on": seconds,
        "tenant": Claims::of(secret).tenant,
        "tokenType": "Bearer",
    });
    format!("{answer:#}")
}

fn local_time(time: SystemTime) -> Option<String> {
    let zoned = Timestamp::try_from(time).ok()?.to_zoned(TimeZone::system());
    Some(zoned.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

fn failed(error: &dyn std::error::Error) -> ExitCode {
    complain(&error);
    ExitCode::FAILURE
}
