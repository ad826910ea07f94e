//! Reads the configuration file, key by key, in the order of `config.example.toml`.
//!
//! Each value is checked by itself. Checks that need several values, flags or the environment are left to `resolve`. A
//! new key starts here and in the example; a test compares the two.

mod credentials;
mod name;
mod routes;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

pub(super) use self::routes::RouteTable;
use super::{
    ByteSize, Listen, LogFormat, ResolveOverride,
    credentials::Draft,
    grammar,
    report::{At, Read, Report},
    secrets,
    walk::{Item, Table},
};

/// The most connections or requests: more than a machine has ports for.
const MOST: usize = 1_000_000;

/// The file, each value checked by itself.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) listen: Read<Vec<At<Listen>>>,
    pub(super) admin: Read<Option<SocketAddr>>,
    pub(super) routes: BTreeMap<String, RouteTable>,
    /// The file may have routes, but they could not be read.
    pub(super) routes_unread: bool,
    pub(super) credentials: BTreeMap<String, Read<Draft>>,
    pub(super) network: NetworkTable,
    pub(super) limits: LimitsTable,
    pub(super) security: SecurityTable,
    pub(super) log: LogTable,
    pub(super) drain: Read<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct NetworkTable {
    pub(super) ca_file: Read<PathBuf>,
    pub(super) resolve: Read<Vec<At<ResolveOverride>>>,
    pub(super) connect_timeout: Read<Duration>,
    pub(super) response_timeout: Read<Duration>,
    pub(super) idle_timeout: Read<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct LimitsTable {
    pub(super) connections: Read<usize>,
    pub(super) requests: Read<usize>,
    pub(super) request_head: Read<usize>,
    pub(super) request_body: Read<ByteSize>,
}

#[derive(Debug, Default)]
pub(super) struct SecurityTable {
    pub(super) allow_remote: Read<bool>,
    pub(super) allowed_hosts: Read<Vec<At<String>>>,
    pub(super) allowed_origins: Read<Vec<At<String>>>,
    pub(super) trusted_upstreams: Read<Vec<At<String>>>,
    pub(super) tls: Read<TlsTable>,
}

/// Paths of PEM files.
#[derive(Debug)]
pub(super) struct TlsTable {
    pub(super) certificate: At<PathBuf>,
    pub(super) key: At<PathBuf>,
    pub(super) client_ca: Read<PathBuf>,
}

#[derive(Debug, Default)]
pub(super) struct LogTable {
    pub(super) level: Read<String>,
    pub(super) format: Read<LogFormat>,
}

impl File {
    pub(super) fn read(mut root: Table<'_>, report: &mut Report) -> Self {
        let routes = root.read(report, "routes", |item, report| {
            let table = item.table(report)?;
            Some(routes::read(&table, report))
        });
        let file = Self {
            listen: root.read(report, "listen", |item, report| {
                if !item.is_list() {
                    let value = item.parse(report, grammar::listen)?;
                    let place = item.place;
                    return Some(vec![At { value, place }]);
                }
                item.good_ones(report, grammar::listen)
            }),
            admin: root.read(report, "admin", |item, report| {
                item.parse(report, grammar::admin)
            }),
            routes_unread: routes.is_refused(),
            routes: routes.into_value().unwrap_or_default(),
            credentials: section(&mut root, report, "credentials", |table, report| {
                credentials::read(&table, report)
            }),
            network: section(&mut root, report, "network", network),
            limits: section(&mut root, report, "limits", limits),
            security: section(&mut root, report, "security", security),
            log: section(&mut root, report, "log", |mut table, report| {
                let log = LogTable {
                    level: table.read(report, "level", |item, report| {
                        item.parse(report, grammar::log_filter)
                    }),
                    format: table.read(report, "format", |item, report| {
                        item.parse(report, grammar::log_format)
                    }),
                };
                table.finish(report);
                log
            }),
            drain: section(&mut root, report, "shutdown", |mut table, report| {
                let drain = table.duration(report, "drain");
                table.finish(report);
                drain
            }),
        };
        section(&mut root, report, "telemetry", |mut table, report| {
            table.not_yet(
                report,
                "otlp_endpoint",
                "leave it out; the log has a line for each request",
                |item, report| item.parse(report, super::ServiceUrl::parse_secure),
            );
            table.finish(report);
        });
        root.finish(report);
        file
    }
}

/// A table of the file, or its default where there is none.
fn section<T: Default>(
    root: &mut Table<'_>,
    report: &mut Report,
    key: &'static str,
    read: impl FnOnce(Table<'_>, &mut Report) -> T,
) -> T {
    let read = root.read(report, key, |item, report| {
        let table = item.table(report)?;
        Some(read(table, report))
    });
    read.into_value().unwrap_or_default()
}

fn network(mut table: Table<'_>, report: &mut Report) -> NetworkTable {
    let network = NetworkTable {
        ca_file: table.read(report, "ca_file", secrets::path),
        resolve: table.read(report, "resolve", |item, report| {
            let table = item.table(report)?;
            let read: Vec<_> = table
                .entries()
                .map(|(host, item)| {
                    let value =
                        item.parse(report, |to| grammar::resolve_override(host.value, to))?;
                    let place = item.place;
                    Some(At { value, place })
                })
                .collect();
            read.into_iter().collect()
        }),
        connect_timeout: table.duration(report, "connect_timeout"),
        response_timeout: table.duration(report, "response_timeout"),
        idle_timeout: table.duration(report, "idle_timeout"),
    };
    proxy(&mut table, report);
    table.finish(report);
    network
}

/// Refuses a `proxy` other than `"off"`.
fn proxy(table: &mut Table<'_>, report: &mut Report) {
    let read = table.read(report, "proxy", |item, report| {
        let text = item.str(report)?;
        if text != "off" && text != "env" {
            item.parse(report, super::ServiceUrl::parse)?;
        }
        Some(text == "off")
    });
    if let Read::Given(At {
        value: false,
        place,
    }) = read
    {
        report.refuse(
            place,
            "`network.proxy` other than \"off\" is not available yet",
            "write \"off\" or leave it out: connections are direct; \
             `network.resolve` can send them through a local tunnel",
        );
    }
}

fn limits(mut table: Table<'_>, report: &mut Report) -> LimitsTable {
    let limits = LimitsTable {
        connections: table.read(report, "connections", |item, report| {
            item.number_in(1..=MOST, report)
        }),
        requests: table.read(report, "requests", |item, report| {
            item.number_in(1..=MOST, report)
        }),
        request_head: table.read(report, "request_head", request_head),
        request_body: table.read(report, "request_body", size),
    };
    table.finish(report);
    limits
}

fn size(item: &Item<'_>, report: &mut Report) -> Option<ByteSize> {
    match item.number() {
        Some(bytes) => report.accept(item.place, &item.key, ByteSize::from_bytes(bytes)),
        None => item.parse(report, ByteSize::parse),
    }
}

/// The HTTP/1 parser needs a buffer of at least 8 KiB; a head of megabytes is an attack.
fn request_head(item: &Item<'_>, report: &mut Report) -> Option<usize> {
    const BOUNDS: std::ops::RangeInclusive<u64> = 8 << 10..=1 << 20;
    let bytes = size(item, report)?.limit();
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

fn security(mut table: Table<'_>, report: &mut Report) -> SecurityTable {
    let security = SecurityTable {
        allow_remote: table.boolean(report, "allow_remote"),
        allowed_hosts: table.read(report, "allowed_hosts", |item, report| {
            item.list(report, grammar::host)
        }),
        allowed_origins: table.read(report, "allowed_origins", |item, report| {
            item.list(report, grammar::origin)
        }),
        trusted_upstreams: table.read(report, "trusted_upstreams", |item, report| {
            item.list(report, grammar::host)
        }),
        tls: table.read(report, "tls", tls),
    };
    table.not_yet(
        report,
        "caller_secret",
        "leave it out, and keep the listener on loopback or a Unix socket",
        secrets::secret,
    );
    if let Read::Given(At { value: true, place }) = table.boolean(report, "same_user") {
        report.refuse(
            place,
            "`security.same_user = true` is not available yet",
            "leave it out, and listen on a Unix socket in a folder of your own",
        );
    }
    table.finish(report);
    security
}

fn tls(item: &Item<'_>, report: &mut Report) -> Option<TlsTable> {
    let mut table = item.table(report)?;
    let certificate = table.need(report, "certificate", secrets::path);
    let key = table.need(report, "key", secrets::path);
    let client_ca = table.read(report, "client_ca", secrets::path);
    table.finish(report);
    Some(TlsTable {
        certificate: certificate?,
        key: key?,
        client_ca,
    })
}

#[cfg(test)]
mod tests;
