//! `[routes.NAME]`.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderName, HeaderValue};

use super::name::is_name;
use crate::config::{
    Audience, HttpVersion, Listen, Prefix, RouteKind, ServiceUrl, grammar,
    report::{Place, Read, Report},
    walk::Table,
};

/// One route as written.
#[derive(Debug)]
pub(in crate::config) struct RouteTable {
    /// The table's header, or the flag that made the route.
    pub(in crate::config) place: Place,
    pub(in crate::config) upstream: Read<ServiceUrl>,
    pub(in crate::config) kind: Read<RouteKind>,
    pub(in crate::config) prefix: Read<Prefix>,
    pub(in crate::config) audience: Read<Audience>,
    pub(in crate::config) credential: Read<String>,
    pub(in crate::config) http: Read<HttpVersion>,
    pub(in crate::config) read_only: Read<bool>,
    pub(in crate::config) headers: Read<Vec<(HeaderName, HeaderValue)>>,
    pub(in crate::config) rewrite_links: Read<bool>,
    pub(in crate::config) public_url: Read<ServiceUrl>,
    pub(in crate::config) listen: Read<Listen>,
    pub(in crate::config) retry_throttled: Read<bool>,
    pub(in crate::config) pages: Read<bool>,
}

impl RouteTable {
    /// A route of which only the name is known.
    pub(in crate::config) fn new(place: Place) -> Self {
        Self {
            place,
            upstream: Read::Absent,
            kind: Read::Absent,
            prefix: Read::Absent,
            audience: Read::Absent,
            credential: Read::Absent,
            http: Read::Absent,
            read_only: Read::Absent,
            headers: Read::Absent,
            rewrite_links: Read::Absent,
            public_url: Read::Absent,
            listen: Read::Absent,
            retry_throttled: Read::Absent,
            pages: Read::Absent,
        }
    }
}

pub(super) fn read(table: &Table<'_>, report: &mut Report) -> BTreeMap<String, RouteTable> {
    let mut routes = BTreeMap::new();
    for (name, item) in table.entries() {
        // The name is a prefix, a metric's label and a word on the command line.
        if !is_name(name.value) {
            report.refuse(
                name.place,
                format!(
                    "`{}` is not a valid name for a route",
                    name.value.escape_debug()
                ),
                "write letters, digits, `-` and `_`",
            );
        }
        let route = match item.table(report) {
            Some(table) => route(table, name.place, report),
            None => RouteTable {
                upstream: Read::Refused,
                credential: Read::Refused,
                ..RouteTable::new(name.place)
            },
        };
        routes.insert(name.value.to_owned(), route);
    }
    routes
}

fn route(mut table: Table<'_>, place: Place, report: &mut Report) -> RouteTable {
    let route = RouteTable {
        place,
        upstream: table.read(report, "upstream", |item, report| {
            item.parse(report, ServiceUrl::parse)
        }),
        kind: table.read(report, "kind", |item, report| {
            item.parse(report, grammar::kind)
        }),
        prefix: table.read(report, "prefix", |item, report| {
            item.parse(report, Prefix::parse)
        }),
        audience: table.read(report, "audience", |item, report| {
            item.parse(report, Audience::parse)
        }),
        credential: table.read(report, "credential", |item, report| {
            item.str(report).map(str::to_owned)
        }),
        http: table.read(report, "http", |item, report| match item.number() {
            Some(1) => Some(HttpVersion::Http1),
            Some(2) => Some(HttpVersion::Http2),
            Some(other) => {
                let unknown = grammar::http_version(&other.to_string());
                report.accept(item.place, &item.key, unknown)
            }
            None => item.parse(report, grammar::http_version),
        }),
        read_only: table.boolean(report, "read_only"),
        headers: table.read(report, "headers", |item, report| {
            let table = item.table(report)?;
            let mut names = BTreeSet::new();
            let read: Vec<_> = table
                .entries()
                .map(|(name, item)| {
                    // Two keys for TOML, one header for HTTP.
                    if !names.insert(name.value.to_ascii_lowercase()) {
                        report.refuse(
                            name.place,
                            format!("`{}` is the same header as one before it", item.key),
                            "keep one of them: the case of a header's name does not matter",
                        );
                    }
                    let text = item.str(report)?;
                    report.accept(name.place, &item.key, grammar::header(name.value, text))
                })
                .collect();
            read.into_iter().collect()
        }),
        rewrite_links: table.read(report, "links", |item, report| {
            item.parse(report, grammar::rewrite_or_keep)
        }),
        public_url: table.read(report, "public_url", |item, report| {
            item.parse(report, ServiceUrl::parse)
        }),
        listen: table.read(report, "listen", |item, report| {
            item.parse(report, grammar::listen)
        }),
        retry_throttled: table.boolean(report, "retry_throttled"),
        pages: table.boolean(report, "pages"),
    };
    table.finish(report);
    route
}
