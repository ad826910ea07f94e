//! `ahds-proxy status`: the routes, tokens and last errors of a running proxy.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    admin_client,
    args::StatusOutput,
    output::{failed_with, print},
    runtime,
};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The part of `/status` that is shown.
#[derive(Deserialize)]
struct Status {
    version: String,
    process_id: u32,
    uptime_seconds: u64,
    draining: bool,
    listeners: Vec<String>,
    routes: Vec<Route>,
    tokens: Vec<Token>,
}

#[derive(Deserialize)]
struct Route {
    name: String,
    prefix: String,
    upstream: String,
    audience: Option<String>,
    credential: String,
}

#[derive(Deserialize)]
struct Token {
    credential: String,
    kind: String,
    audience: Option<String>,
    valid: bool,
    tenant: Option<String>,
    identity: Option<String>,
    expires_on: Option<String>,
    last_error: Option<String>,
}

pub(super) fn status(admin: SocketAddr, output: StatusOutput) -> Result<ExitCode, ExitCode> {
    let asked = admin_client::send(admin, Method::GET, "/status", None, TIMEOUT);
    let response = runtime::block_on(asked)?
        .map_err(|error| failed_with(&error, admin_client::NOT_RUNNING))?;
    if response.status != StatusCode::OK {
        return Err(admin_client::unexpected(admin, &response));
    }
    if output == StatusOutput::Json {
        return Ok(print(&format!("{}\n", response.body)));
    }
    let status: Status = serde_json::from_str(&response.body)
        .map_err(|_| admin_client::unexpected(admin, &response))?;
    Ok(print(&text(&status, SystemTime::now())))
}

fn text(status: &Status, now: SystemTime) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    let state = if status.draining { ", stopping" } else { "" };
    line(format_args!(
        "ahds-proxy {}, process {}, up {}{state}",
        status.version,
        status.process_id,
        duration(status.uptime_seconds)
    ));
    line(format_args!("listens on {}", status.listeners.join(", ")));
    for route in &status.routes {
        line(format_args!(
            "\n{}  {} -> {}",
            route.name, route.prefix, route.upstream
        ));
        let is_its = |token: &&Token| {
            token.credential == route.credential && token.audience == route.audience
        };
        let Some(token) = status.tokens.iter().find(is_its) else {
            continue;
        };
        line(format_args!(
            "  credential {} ({})",
            token.credential, token.kind
        ));
        if let Some(audience) = &token.audience {
            line(format_args!("  audience   {audience}"));
        }
        if token.valid {
            let identity = token.identity.as_deref().unwrap_or("not stated");
            let tenant = token
                .tenant
                .as_deref()
                .map(|tenant| format!(", tenant {tenant}"));
            line(format_args!(
                "  identity   {identity}{}",
                tenant.unwrap_or_default()
            ));
            line(format_args!(
                "  token      {}",
                expiry(token.expires_on.as_deref(), now)
            ));
        } else {
            line(format_args!("  token      none"));
        }
        if let Some(error) = &token.last_error {
            line(format_args!("  last error {error}"));
        }
    }
    out
}

fn expiry(expires_on: Option<&str>, now: SystemTime) -> String {
    let Some(text) = expires_on else {
        return "valid; its expiry is not stated".to_owned();
    };
    let end = text.parse::<Timestamp>().ok();
    let left = end.and_then(|end| SystemTime::from(end).duration_since(now).ok());
    match left {
        Some(left) => format!("valid until {text} (for {})", duration(left.as_secs())),
        None => format!("valid until {text}"),
    }
}

/// A duration in its two largest units.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_its_two_largest_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (3599, "59 min"),
            (3600, "1 h 0 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }
}
