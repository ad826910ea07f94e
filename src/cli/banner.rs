//! The lines that a person at a terminal sees at the start: where to call, which service responds,
//! and as whom.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, tz::TimeZone};
use tokio::time::timeout;

use super::{
    examples::{base_url, curl_option, first_request},
    output::complain,
};
use crate::{
    app::Running,
    config::{Config, LogFormat, Route, RouteKind},
    shell::{CURL, quoted},
    token::Source,
};

/// The time to wait for the first tokens. Tools of a cloud take a second or two.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the banner takes the place of the first log lines.
pub(super) fn is_wanted(config: &Config) -> bool {
    let log = &config.log;
    log.format == LogFormat::Text && log.level == "info" && io::stderr().is_terminal()
}

/// Prints the banner once the first tokens are there, or cannot be had.
pub(super) fn show(running: &Running, config: &Config, file: Option<&Path>) {
    let mut head = format!("ahds-proxy {}", env!("CARGO_PKG_VERSION"));
    if let Some(file) = file {
        let _ = write!(head, " with {}", file.display());
    }
    let (base, option) = (base_url(running), curl_option(running));
    let routes: Vec<(Route, Option<Arc<Source>>)> = config
        .routes
        .iter()
        .map(|route| (route.clone(), running.source(route).cloned()))
        .collect();
    tokio::spawn(async move {
        for source in routes.iter().filter_map(|(_, source)| source.as_ref()) {
            // The status tells of a failure.
            let _ = timeout(PATIENCE, source.token()).await;
        }
        let text = text(&head, &base, &option, &routes);
        // On another thread, since the terminal may be stopped.
        tokio::task::spawn_blocking(move || complain(&text.trim_end()));
    });
}

fn text(head: &str, base: &str, option: &str, routes: &[(Route, Option<Arc<Source>>)]) -> String {
    let mut out = format!("{head}\n\n");
    // Writing into a String cannot fail.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    let width = routes
        .iter()
        .map(|(route, _)| route.prefix.as_str().len())
        .max();
    for (route, source) in routes {
        let prefix = route.prefix.as_str();
        let width = width.unwrap_or_default();
        line(format_args!(
            "  {base}{prefix:<width$}  ->  {}",
            route.upstream
        ));
        if let Some(source) = source {
            line(format_args!("      {}", identity(source)));
        }
    }
    let is_fhir = |(route, _): &&(Route, _)| route.kind == RouteKind::Fhir;
    if let Some((route, _)) = routes.iter().find(is_fhir).or(routes.first()) {
        let (prefix, request) = (route.prefix.as_str(), first_request(route.kind));
        let url = quoted(format!("{base}{prefix}{request}"));
        line(format_args!("\n  {CURL}{option} {url}\n"));
    }
    line(format_args!(
        "Stop with Ctrl-C. In another terminal, `ahds-proxy status` shows more."
    ));
    out
}

fn identity(source: &Source) -> String {
    let status = source.status();
    let Some(token) = status.token else {
        return match status.last_error {
            Some(error) => format!("no token: {error}"),
            None => "waiting for a token".to_owned(),
        };
    };
    let who = token
        .claims
        .identity
        .as_deref()
        .unwrap_or("an unknown identity");
    let end = if token.states_expiry {
        format!(
            ", token until {}",
            clock_time(token.expires_on, &TimeZone::system())
        )
    } else {
        String::new()
    };
    format!("as {who} ({}){end}", status.kind)
}

/// A local time to the minute.
fn clock_time(time: SystemTime, zone: &TimeZone) -> String {
    let timestamp = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    timestamp
        .to_zoned(zone.clone())
        .strftime("%H:%M")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_token_is_a_local_time() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_553_445);
        assert_eq!(
            clock_time(time, &TimeZone::fixed(jiff::tz::offset(2))),
            "05:04"
        );
    }
}
