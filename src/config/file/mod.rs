//! The configuration file, key by key, in the order of `config.example.toml`.
//!
//! Each value is checked by itself. Checks that need several values, flags or the environment are left to `resolve`. A
//! new key starts here and in the example; a test compares the two.

mod credentials;
mod listen;
mod name;
mod routes;
mod security;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

pub(super) use self::{
    routes::RouteTable,
    security::{SecurityTable, TlsTable},
};
use super::{
    ByteSize, Listen, LogFormat, ResolveOverride,
    credentials::Draft,
    grammar,
    keys::{Keys, keys},
    report::{At, Read, Report},
    values::ProxySetting,
    walk::Item,
};

keys! {
    /// The file, each value checked by itself.
    #[derive(Debug)]
    pub(super) struct File {
        pub(super) listen: Read<Vec<At<Listen>>> as listen::addresses,
        pub(super) admin: Read<Option<SocketAddr>> as listen::admin,
        pub(super) routes: Read<BTreeMap<String, At<RouteTable>>> as routes::read,
        pub(super) credentials: BTreeMap<String, Read<Draft>> as credentials::read = BTreeMap::new(),
        pub(super) network: NetworkTable = Keys::defaults(),
        pub(super) limits: Limits = Keys::defaults(),
        pub(super) security: SecurityTable = Keys::defaults(),
        pub(super) log: Log = Keys::defaults(),
        pub(super) shutdown: ShutdownTable = Keys::defaults(),
    }
    not yet { telemetry }
}

keys! {
    /// `[network]`.
    #[derive(Debug)]
    pub(super) struct NetworkTable {
        pub(super) ca_file: Read<PathBuf>,
        pub(super) resolve: Read<Vec<At<ResolveOverride>>> as resolve,
        pub(super) proxy: Read<ProxySetting>,
        pub(super) connect_timeout: Duration = Duration::from_secs(10),
        pub(super) response_timeout: Duration = Duration::from_secs(120),
        pub(super) idle_timeout: Duration = Duration::from_secs(60),
    }
}

keys! {
    /// `[limits]`: the resources that clients may use.
    #[derive(Debug, Clone)]
    pub struct Limits {
        /// The number of open client connections. Default 4096.
        pub connections: usize = 4096,
        /// The number of requests in flight. Beyond it, clients get 503 with Retry-After. Default 1024.
        pub requests: usize = 1024,
        /// The size of a request's line and headers. Beyond it, clients get 431. Default 64 KiB.
        pub request_head: usize as request_head = 64 << 10,
        /// The size of a request's body. Beyond it, clients get 413. Unlimited by default.
        pub request_body: ByteSize = ByteSize::Unlimited,
    }
}

keys! {
    /// The log's level and format.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Log {
        /// A level, or `target=level` directives separated by commas. Default `info`.
        pub level: String as log_level = "info".to_owned(),
        /// Default text.
        pub format: LogFormat = LogFormat::Text,
    }
}

keys! {
    /// `[shutdown]`.
    #[derive(Debug)]
    pub(super) struct ShutdownTable {
        pub(super) drain: Duration = Duration::from_secs(30),
    }
}

keys! {
    /// `[telemetry]`.
    struct TelemetryTable {}
    not yet { otlp_endpoint }
}

fn resolve(item: &Item<'_>, report: &mut Report) -> Option<Vec<At<ResolveOverride>>> {
    item.each_entry(report, |host, item, report| {
        let value = item.parse(report, |to| grammar::resolve_override(host.value, to))?;
        let place = item.place;
        Some(At { value, place })
    })
}

/// The bounds of `limits.request_head`. The HTTP/1 parser needs a buffer of at least 8 KiB, and a
/// head of megabytes is an attack.
fn request_head(item: &Item<'_>, report: &mut Report) -> Option<usize> {
    const BOUNDS: std::ops::RangeInclusive<u64> = 8 << 10..=1 << 20;
    let bytes = <ByteSize as super::keys::Value>::read(item, report)?.limit();
    let bytes = bytes.filter(|bytes| BOUNDS.contains(bytes));
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    if bytes.is_none() {
        report.refuse(
            item.place,
            format!("`{}` is out of bounds", item.key),
            "write a size from \"8KiB\" to \"1MiB\"",
        );
    }
    bytes
}

fn log_level(item: &Item<'_>, report: &mut Report) -> Option<String> {
    item.parse(report, grammar::log_filter)
}

fn telemetry(item: &Item<'_>, report: &mut Report) -> Option<()> {
    TelemetryTable::read_whole(item.table(report)?, report).map(|TelemetryTable {}| ())
}

fn otlp_endpoint(item: &Item<'_>, report: &mut Report) -> Option<()> {
    super::keys::secure_url(item, report)?;
    item.not_yet(report, "remove it; the log has a line for each request")
}

#[cfg(test)]
mod tests;
