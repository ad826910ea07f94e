//! `[security]`.

use std::path::PathBuf;

use crate::config::{
    grammar,
    keys::keys,
    report::{At, Read, Report},
    secrets,
    walk::Item,
};

keys! {
    #[derive(Debug)]
    pub(in crate::config) struct SecurityTable {
        pub(in crate::config) allow_remote: Read<bool>,
        pub(in crate::config) allowed_hosts: Read<Vec<At<String>>> as hosts,
        pub(in crate::config) allowed_origins: Read<Vec<At<String>>> as origins,
        pub(in crate::config) trusted_upstreams: Read<Vec<At<String>>> as hosts,
        pub(in crate::config) tls: Read<TlsTable>,
    }
    not yet { caller_secret, same_user }
}

keys! {
    /// Paths of PEM files.
    #[derive(Debug)]
    pub(in crate::config) struct TlsTable {
        pub(in crate::config) certificate: At<PathBuf> as secrets::path,
        pub(in crate::config) key: At<PathBuf> as secrets::path,
        pub(in crate::config) client_ca: Read<PathBuf>,
    }
}

fn hosts(item: &Item<'_>, report: &mut Report) -> Option<Vec<At<String>>> {
    item.list(report, grammar::host)
}

fn origins(item: &Item<'_>, report: &mut Report) -> Option<Vec<At<String>>> {
    item.list(report, grammar::origin)
}

fn caller_secret(item: &Item<'_>, report: &mut Report) -> Option<()> {
    secrets::secret(item, report)?;
    item.not_yet(report, "remove it, and keep the listener on loopback")
}

fn same_user(item: &Item<'_>, report: &mut Report) -> Option<()> {
    if !item.boolean(report)? {
        return Some(());
    }
    item.not_yet(
        report,
        if cfg!(windows) {
            "remove it, and require client certificates where other users can reach the listener"
        } else {
            "remove it, and listen on a Unix socket in a folder of your own"
        },
    )
}
