//! The configuration that `init` writes.

use std::fmt::Write as _;

use super::super::search::Discovery;
use crate::{
    config::{Overrides, Word as _},
    resource_manager::{Access, Service},
};

/// The names of the routes: `fhir` and `dicom`, or the services' own names if there are several of
/// a kind.
pub(super) fn route_names(services: &[&Service]) -> Vec<String> {
    let is_only = |kind| {
        services
            .iter()
            .filter(|service| service.kind == kind)
            .count()
            == 1
    };
    let name = |service: &&Service| {
        if is_only(service.kind) {
            service.kind.as_str().to_owned()
        } else {
            service.name.replace('/', "-").to_ascii_lowercase()
        }
    };
    services.iter().map(name).collect()
}

/// `other_tables` are the tables of an older configuration, apart from its routes.
pub(super) fn write(
    services: &[&Service],
    discovery: &Discovery,
    flags: &Overrides,
    other_tables: &toml::Table,
) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let mut line = |args: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{args}");
    };
    line(format_args!(
        "# Written by `ahds-proxy init` for {}.",
        comment(&discovery.identity())
    ));
    line(format_args!(
        "# `ahds-proxy check` tests this file. `ahds-proxy check --online` also calls each service."
    ));
    line(format_args!(
        "# docs/configuration.md and config.example.toml of ahds-proxy describe all keys."
    ));
    let (values, tables): (toml::Table, toml::Table) = other_tables
        .clone()
        .into_iter()
        .partition(|(_, value)| !value.is_table());
    if !values.is_empty() {
        line(format_args!("\n{}", values.to_string().trim_end()));
    }
    for (service, name) in services.iter().zip(route_names(services)) {
        let access = match service.access {
            Access::Write => "you may read and write",
            Access::Read => "you may read",
            Access::None => "you have no role on its data yet",
            Access::Unknown => "your role is not known",
        };
        let network = if service.is_private {
            "private network only"
        } else {
            "public network"
        };
        line(format_args!("\n[routes.{name}]"));
        line(format_args!(
            "# {} service {} in subscription {}: {network}; {access}",
            service.kind.title(),
            comment(&service.name),
            comment(&service.subscription)
        ));
        line(format_args!("upstream = \"{}\"", service.url));
        line(format_args!(
            "# The audience that Azure names for this service"
        ));
        line(format_args!("audience = \"{}\"", service.audience));
        if service.access == Access::Read {
            line(format_args!("read_only = true"));
        } else {
            line(format_args!(
                "# read_only = true   # refuses requests that change data"
            ));
        }
    }
    if !tables.contains_key("credentials") {
        line(format_args!("{}", credentials(services, discovery, flags)));
    }
    if !tables.is_empty() {
        line(format_args!("\n{}", tables.to_string().trim()));
    }
    text
}

/// The credential's table: as the flags say, else only a proposal, since `auto` finds the same sign-in again.
fn credentials(services: &[&Service], discovery: &Discovery, flags: &Overrides) -> String {
    let tenant = services.iter().find_map(|service| service.tenant.as_ref());
    let written = flags
        .tenant
        .clone()
        .or_else(|| tenant.map(ToString::to_string));
    let tenant = written
        .or_else(|| discovery.claims.tenant.clone())
        .map(|tenant| comment(&tenant));
    let kind = flags.credential.as_deref().unwrap_or(discovery.kind);
    let is_chosen = flags.credential.is_some() || flags.tenant.is_some();
    let has_tenant = kind != "managed-identity";
    let mut lines = vec![format!("[credentials.default.{kind}]")];
    lines.extend(
        tenant
            .filter(|_| has_tenant)
            .map(|tenant| format!("tenant = \"{tenant}\"")),
    );
    if is_chosen {
        return format!("\n{}", lines.join("\n"));
    }
    format!(
        "\n# Without this table, ahds-proxy uses the first sign-in that works, such as this one:\n# {}",
        lines.join("\n# ")
    )
}

/// Text in a comment, whose line a control character would end.
fn comment(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() && *c != '"')
        .collect()
}
