//! `ahds-proxy check`: says whether the configuration is valid, and shows it with its defaults.
//! `online.rs` also calls the services.

mod online;
mod problems;
mod table;

use std::{fmt::Write as _, process::ExitCode};

use serde::Serialize;

use super::{
    args::CheckOutput,
    complaint,
    output::{environment, print, print_json, refused},
    runtime,
};
use crate::{
    app,
    clock::Clock,
    config::{
        self, Config, ConfigErrors, LinkMode, Listen, Location, Overrides, Problem, Route,
        Word as _,
    },
    credentials,
};

pub(super) fn check(
    flags: &Overrides,
    is_online: bool,
    output: CheckOutput,
) -> Result<ExitCode, ExitCode> {
    let mut loaded = config::load(flags, &environment);
    if !is_online {
        // With `--online`, the check of each route reports the problems of its key.
        loaded = match loaded {
            Ok(config) => runtime::run_to_end(with_keys_that_fit(config))?,
            errors => errors,
        };
    }
    let config = loaded.map_err(|errors| {
        if output == CheckOutput::Json {
            if is_online {
                print_json(&problems::as_findings(&errors));
            } else {
                print_json(&problems::as_summary(&errors));
            }
        }
        refused(&errors)
    })?;
    let warnings = app::warnings(&config, Clock::default().now());
    for warning in &warnings {
        complaint::warning(warning);
    }
    if is_online {
        return online::check(&config, output);
    }
    Ok(match output {
        CheckOutput::Text => print(&text(&config)),
        CheckOutput::Json => print_json(&Summary::new(&config, &warnings)),
    })
}

async fn with_keys_that_fit(config: Config) -> Result<Config, ConfigErrors> {
    let mut problems = Vec::new();
    for (name, keys) in &config.credentials {
        if let Err(error) = credentials::check_key(keys, &Clock::default()).await {
            problems.push(Problem {
                message: format!("credential {name}: {}", error.message),
                remedy: error.remedy,
                location: Location::Nowhere,
            });
        }
    }
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(ConfigErrors::new(problems))
    }
}

fn credential_kind(config: &Config, route: &Route) -> &'static str {
    config.credentials[&route.credential].kind().name
}

fn is_tls(config: &Config, listen: &Listen) -> bool {
    config.security.tls.is_some() && matches!(listen, Listen::Tcp { .. })
}

fn text(config: &Config) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    for listen in &config.listen {
        let optional = matches!(listen, Listen::Tcp { optional: true, .. });
        let note = if optional {
            " (where there is IPv6)"
        } else {
            ""
        };
        let tls = if is_tls(config, listen) { ", TLS" } else { "" };
        line(format_args!("listen  {listen}{tls}{note}"));
    }
    match config.admin {
        Some(address) => line(format_args!("admin   {address}")),
        None => line(format_args!("admin   off")),
    }
    let network = &config.network;
    if let Some(proxy) = &network.proxy {
        line(format_args!("proxy   {proxy} ({})", proxy.named_by()));
    }
    for route in &config.routes {
        line(format_args!(
            "route   {} -> {}",
            route.prefix, route.upstream
        ));
        let read_only = if route.read_only { ", read only" } else { "" };
        line(format_args!(
            "        name {}, kind {}{read_only}",
            route.name,
            route.kind.as_str()
        ));
        if let Some(audience) = &route.audience {
            line(format_args!("        audience {audience}"));
        }
        match (&network.proxy, network.proxy_to_service(&route.upstream)) {
            (_, Some(proxy)) => line(format_args!("        through the proxy {proxy}")),
            (Some(_), None) => line(format_args!("        direct, without the proxy")),
            (None, None) => {}
        }
        if let Some(listen) = &route.listen {
            let tls = if is_tls(config, listen) { ", TLS" } else { "" };
            line(format_args!("        listen {listen}{tls}"));
        }
        match (route.links, &route.public_url) {
            (LinkMode::Keep, _) => line(format_args!("        links unchanged")),
            (LinkMode::Rewrite, Some(url)) => {
                line(format_args!(
                    "        links lead back to the proxy, as {url}"
                ));
            }
            (LinkMode::Rewrite, None) => line(format_args!("        links lead back to the proxy")),
        }
        line(format_args!(
            "        credential {} ({})",
            route.credential,
            credential_kind(config, route)
        ));
    }
    line(format_args!("the configuration is valid"));
    out
}

/// The configuration as JSON.
#[derive(Serialize)]
struct Summary<'a> {
    valid: bool,
    warnings: &'a [String],
    listen: Vec<ListenSummary>,
    admin: Option<String>,
    /// Host and port.
    proxy: Option<String>,
    routes: Vec<RouteSummary<'a>>,
}

#[derive(Serialize)]
struct ListenSummary {
    address: String,
    optional: bool,
    tls: bool,
}

#[derive(Serialize)]
struct RouteSummary<'a> {
    name: &'a str,
    kind: &'static str,
    prefix: String,
    upstream: String,
    through_proxy: bool,
    audience: Option<String>,
    credential: CredentialSummary<'a>,
    read_only: bool,
    links: &'static str,
    public_url: Option<String>,
    listen: Option<String>,
    retry_throttled: bool,
}

#[derive(Serialize)]
struct CredentialSummary<'a> {
    name: &'a str,
    kind: &'static str,
}

impl<'a> Summary<'a> {
    fn new(config: &'a Config, warnings: &'a [String]) -> Self {
        let listen = config.listen.iter().map(|listen| ListenSummary {
            address: listen.to_string(),
            optional: matches!(listen, Listen::Tcp { optional: true, .. }),
            tls: is_tls(config, listen),
        });
        let routes = config.routes.iter().map(|route| RouteSummary {
            name: &route.name,
            kind: route.kind.as_str(),
            prefix: route.prefix.to_string(),
            upstream: route.upstream.to_string(),
            through_proxy: config.network.proxy_to_service(&route.upstream).is_some(),
            audience: route.audience.as_ref().map(ToString::to_string),
            credential: CredentialSummary {
                name: &route.credential,
                kind: credential_kind(config, route),
            },
            read_only: route.read_only,
            links: route.links.as_str(),
            public_url: route.public_url.as_ref().map(ToString::to_string),
            listen: route.listen.as_ref().map(ToString::to_string),
            retry_throttled: route.retry_throttled,
        });
        Self {
            valid: true,
            warnings,
            listen: listen.collect(),
            admin: config.admin.map(|address| address.to_string()),
            proxy: config.network.proxy.as_ref().map(ToString::to_string),
            routes: routes.collect(),
        }
    }
}
