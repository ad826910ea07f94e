//! `[routes.NAME]`.

use std::collections::{BTreeMap, BTreeSet};

use http::{HeaderName, HeaderValue};

use super::name::check_name;
use crate::config::{
    Audience, HttpVersion, LinkMode, Listen, Prefix, RouteKind, ServiceUrl, grammar,
    keys::{Keys as _, keys},
    report::{At, Read, Report},
    walk::Item,
};

keys! {
    /// One route, as the file has it.
    #[derive(Debug)]
    pub(in crate::config) struct RouteTable {
        pub(in crate::config) upstream: Read<ServiceUrl>,
        pub(in crate::config) kind: Read<RouteKind>,
        pub(in crate::config) prefix: Read<Prefix>,
        pub(in crate::config) audience: Read<Audience>,
        pub(in crate::config) credential: Read<String>,
        pub(in crate::config) http: HttpVersion as http_version = HttpVersion::Auto,
        pub(in crate::config) read_only: bool = false,
        pub(in crate::config) headers: Vec<(HeaderName, HeaderValue)> as headers = Vec::new(),
        pub(in crate::config) links: Option<LinkMode>,
        pub(in crate::config) public_url: Read<ServiceUrl>,
        pub(in crate::config) listen: Read<Listen>,
        pub(in crate::config) retry_throttled: bool = false,
        pub(in crate::config) pages: Read<bool>,
    }
}

/// Reads every route. Its place is that of its name.
pub(super) fn read(
    item: &Item<'_>,
    report: &mut Report,
) -> Option<BTreeMap<String, At<RouteTable>>> {
    let table = item.table(report)?;
    let routes = table.entries().map(|(name, item)| {
        // The name is also the default prefix, and an argument on the command line.
        check_name(&name, "a route", report);
        let table = item.table(report);
        let value = match table.and_then(|table| RouteTable::read_whole(table, report)) {
            Some(route) => route,
            None => RouteTable {
                upstream: Read::Refused,
                credential: Read::Refused,
                ..RouteTable::defaults()
            },
        };
        let place = name.place;
        (name.value.to_owned(), At { value, place })
    });
    Some(routes.collect())
}

fn http_version(item: &Item<'_>, report: &mut Report) -> Option<HttpVersion> {
    match item.number() {
        Some(number) => {
            let version = grammar::word(&number.to_string());
            report.accept(item.place, &item.key, version)
        }
        None => item.parse(report, grammar::word),
    }
}

fn headers(item: &Item<'_>, report: &mut Report) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut names = BTreeSet::new();
    item.each_entry(report, |name, item, report| {
        // TOML takes `Accept` and `accept` for two keys, HTTP for one header.
        if !names.insert(name.value.to_ascii_lowercase()) {
            report.refuse(
                name.place,
                format!("`{}` repeats an earlier header", item.key),
                "keep one of them; the case of a header's name does not matter",
            );
        }
        let text = item.str(report)?;
        report.accept(name.place, &item.key, grammar::header(name.value, text))
    })
}
