//! `[credentials.NAME.KIND]`: a name, one kind, that kind's keys.

use std::{collections::BTreeMap, time::Duration};

use super::{
    routes::is_name,
    secrets::{path, program, secret},
};
use crate::config::{
    AzureCli, SecretRef, ServiceUrl, Tenant, grammar,
    report::{At, Place, Read, Report},
    walk::{Item, Table, suggest},
};

/// The kinds that work now.
pub(in crate::config) const AVAILABLE_KINDS: [&str; 4] =
    ["auto", "azure-cli", "client-secret", "static"];

/// Every kind there is or will be.
pub(in crate::config) const KINDS: [&str; 13] = [
    "auto",
    "azure-cli",
    "azure-developer-cli",
    "azure-powershell",
    "client-certificate",
    "client-secret",
    "command",
    "device-code",
    "managed-identity",
    "oauth2-client-credentials",
    "smart-backend-services",
    "static",
    "workload-identity",
];

pub(in crate::config) fn is_available(kind: &str) -> bool {
    AVAILABLE_KINDS.contains(&kind)
}

/// The keys a kind cannot do without, as the user writes them.
pub(in crate::config) fn needs_keys(kind: &str) -> Option<&'static str> {
    match kind {
        "client-secret" => Some("tenant, client_id and secret"),
        "static" => Some("token"),
        _ => None,
    }
}

/// How long one call of a command-line tool may take.
const TOOL_TIMEOUT: Duration = Duration::from_secs(60);

/// One credential as written; what defaults and the environment add is left to `resolve`.
#[derive(Debug, Clone)]
pub(in crate::config) enum Draft {
    Auto,
    AzureCli(AzureCli),
    ClientSecret {
        tenant: Tenant,
        client_id: String,
        secret: At<SecretRef>,
        authority: Option<ServiceUrl>,
    },
    Static {
        token: At<SecretRef>,
    },
}

impl Draft {
    pub(in crate::config) fn kind(&self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::AzureCli(_) => "azure-cli",
            Self::ClientSecret { .. } => "client-secret",
            Self::Static { .. } => "static",
        }
    }

    /// A credential of which only the kind is known; `None` where that is not enough.
    pub(in crate::config) fn bare(kind: &str) -> Option<Self> {
        match kind {
            "auto" => Some(Self::Auto),
            "azure-cli" => Some(Self::AzureCli(AzureCli {
                tenant: None,
                subscription: None,
                path: None,
                timeout: TOOL_TIMEOUT,
            })),
            _ => None,
        }
    }
}

pub(super) fn read(table: &Table<'_>, report: &mut Report) -> BTreeMap<String, Read<Draft>> {
    let mut credentials = BTreeMap::new();
    for (name, item) in table.entries() {
        if !is_name(name.value) {
            report.refuse(
                name.place,
                format!(
                    "`{}` is no name for a credential",
                    name.value.escape_debug()
                ),
                "write letters, digits, `-` and `_`",
            );
        }
        let read = match one_kind(&item, name.place, report) {
            None => Read::Refused,
            Some(value) => Read::Given(At {
                value,
                place: name.place,
            }),
        };
        credentials.insert(name.value.to_owned(), read);
    }
    credentials
}

fn one_kind(item: &Item<'_>, place: Place, report: &mut Report) -> Option<Draft> {
    let table = item.table(report)?;
    let mut kinds = table.entries();
    let Some((kind, keys)) = kinds.next() else {
        report.refuse(
            place,
            format!("`{}` names no kind of credential", item.key),
            format!("write for example [{}.azure-cli]", item.key),
        );
        return None;
    };
    let mut draft = read_kind(&kind, &keys, report);
    for (another, keys) in kinds {
        // The first error of a table such as { tenant = …, client_id = … } says it all.
        if !KINDS.contains(&kind.value) {
            break;
        }
        draft = None;
        if KINDS.contains(&another.value) {
            report.refuse(
                another.place,
                format!(
                    "`{}` has two kinds, `{}` and `{}`",
                    item.key, kind.value, another.value
                ),
                "keep one of them, or give the other a credential name of its own",
            );
        }
        read_kind(&another, &keys, report);
    }
    draft
}

fn read_kind(kind: &At<&str>, keys: &Item<'_>, report: &mut Report) -> Option<Draft> {
    if !KINDS.contains(&kind.value) {
        let remedy = if keys.is_table() {
            suggest(kind.value, KINDS.into_iter())
        } else {
            format!(
                "put it below its kind: [credentials.NAME.KIND] with KIND one of: {}",
                KINDS.join(", ")
            )
        };
        report.refuse(
            kind.place,
            format!("unknown credential kind `{}`", kind.value.escape_debug()),
            remedy,
        );
        return None;
    }
    let mut table = keys.table(report)?;
    // The header is where missing keys go.
    table.place = kind.place;
    let draft = match kind.value {
        "auto" => Some(Draft::Auto),
        "azure-cli" => azure_cli(&mut table, report),
        "client-secret" => client_secret(&mut table, report),
        "static" => table
            .need(report, "token", secret)
            .map(|token| Draft::Static { token }),
        later => {
            let before = report.len();
            check_later(later, &mut table, report);
            // Said once: a file that is wrong as well gets to hear of that first.
            if report.len() == before {
                report.refuse(
                    kind.place,
                    format!("the credential kind `{later}` is not available yet"),
                    format!("use one of: {}", AVAILABLE_KINDS.join(", ")),
                );
            }
            None
        }
    };
    table.finish(report);
    draft
}

fn azure_cli(table: &mut Table<'_>, report: &mut Report) -> Option<Draft> {
    let tenant = table.read(report, "tenant", tenant);
    let subscription = table.read(report, "subscription", argument);
    let path = table.read(report, "path", program);
    let timeout = super::duration(table, report, "timeout");
    let refused = tenant.is_refused() || subscription.is_refused() || path.is_refused();
    if refused || timeout.is_refused() {
        return None;
    }
    Some(Draft::AzureCli(AzureCli {
        tenant: tenant.into_value(),
        subscription: subscription.into_value(),
        path: path.into_value(),
        timeout: timeout.or(TOOL_TIMEOUT),
    }))
}

fn client_secret(table: &mut Table<'_>, report: &mut Report) -> Option<Draft> {
    let tenant = table.need(report, "tenant", tenant);
    let client_id = table.need(report, "client_id", argument);
    let secret = table.need(report, "secret", secret);
    let authority = table.read(report, "authority", url);
    if authority.is_refused() {
        return None;
    }
    Some(Draft::ClientSecret {
        tenant: tenant?.value,
        client_id: client_id?.value,
        secret: secret?,
        authority: authority.into_value(),
    })
}

/// Checks the keys of the kinds that are not available yet.
fn check_later(kind: &str, table: &mut Table<'_>, report: &mut Report) {
    match kind {
        "azure-powershell" | "azure-developer-cli" => {
            table.read(report, "tenant", tenant);
            table.read(report, "path", program);
            super::duration(table, report, "timeout");
        }
        "device-code" => {
            table.need(report, "tenant", tenant);
            table.read(report, "client_id", argument);
        }
        "client-certificate" => {
            table.need(report, "tenant", tenant);
            table.need(report, "client_id", argument);
            table.need(report, "certificate", key_file);
            table.read(report, "key", key_file);
            super::boolean(table, report, "send_chain");
            table.read(report, "authority", url);
        }
        "workload-identity" => {
            table.read(report, "tenant", tenant);
            table.read(report, "client_id", argument);
            table.read(report, "token_file", path);
            table.read(report, "authority", url);
        }
        "managed-identity" => {
            let ids = ["client_id", "object_id", "resource_id"];
            for id in ids {
                table.read(report, id, argument);
            }
            only_one(&ids, table, report);
            // IMDS is plain http on a link-local address.
            table.read(report, "endpoint", |item, report| {
                item.parse(report, ServiceUrl::parse)
            });
        }
        "oauth2-client-credentials" => oauth2(table, report),
        "smart-backend-services" => smart(table, report),
        "command" => {
            table.need(report, "argv", |item, report| {
                let argv = item.list(report, |text| Ok(text.to_owned()))?;
                let valid = argv
                    .first()
                    .is_some_and(|program| !program.value.is_empty());
                if !valid {
                    report.refuse(
                        item.place,
                        format!("`{}` names no program", item.key),
                        "write the program and its arguments: [\"/usr/bin/token\", \"--raw\"]",
                    );
                }
                valid.then_some(argv)
            });
            super::duration(table, report, "timeout");
        }
        _ => {}
    }
}

fn oauth2(table: &mut Table<'_>, report: &mut Report) {
    table.need(report, "token_url", url);
    table.need(report, "client_id", argument);
    table.need(report, "client_secret", secret);
    table.read(report, "scope", argument);
    table.read(report, "resource", argument);
    table.read(report, "auth", |item, report| {
        item.parse(report, |text| {
            grammar::choice(text, &[("body", ()), ("basic", ())])
        })
    });
    table.read(report, "headers", texts_or_secrets);
    table.read(report, "parameters", texts_or_secrets);
    table.read(report, "registration", |item, report| {
        let mut table = item.table(report)?;
        table.need(report, "url", url);
        table.need(report, "software_statement", secret);
        table.finish(report);
        Some(())
    });
}

fn smart(table: &mut Table<'_>, report: &mut Report) {
    table.need(report, "client_id", argument);
    table.need(report, "key", key_file);
    table.need(report, "algorithm", |item, report| {
        item.parse(report, |text| {
            grammar::choice(text, &[("RS384", ()), ("ES384", ())])
        })
    });
    table.need(report, "scope", argument);
    table.read(report, "token_url", url);
    table.read(report, "issuer", url);
    table.read(report, "key_id", argument);
    let either = ["token_url", "issuer"];
    only_one(&either, table, report);
    if !either.iter().any(|key| table.has(key)) {
        report.refuse(
            table.place,
            format!("`{}` needs either `token_url` or `issuer`", table.path),
            "write the token endpoint as `token_url`, or as `issuer` where to discover it",
        );
    }
}

fn only_one(keys: &[&str], table: &Table<'_>, report: &mut Report) {
    let given: Vec<&str> = keys.iter().copied().filter(|key| table.has(key)).collect();
    if given.len() > 1 {
        report.refuse(
            table.place,
            format!("`{}` has both `{}`", table.path, given.join("` and `")),
            "keep one of them",
        );
    }
}

fn tenant(item: &Item<'_>, report: &mut Report) -> Option<Tenant> {
    item.parse(report, Tenant::parse)
}

fn argument(item: &Item<'_>, report: &mut Report) -> Option<String> {
    item.parse(report, grammar::argument)
}

fn url(item: &Item<'_>, report: &mut Report) -> Option<ServiceUrl> {
    item.parse(report, grammar::secure_url)
}

/// A PEM file, by path or as any other secret.
fn key_file(item: &Item<'_>, report: &mut Report) -> Option<()> {
    if item.is_string() {
        path(item, report).map(|_| ())
    } else {
        secret(item, report).map(|_| ())
    }
}

/// Form fields or headers: plain text, or a secret by reference.
fn texts_or_secrets(item: &Item<'_>, report: &mut Report) -> Option<()> {
    let table = item.table(report)?;
    for (_, item) in table.entries() {
        if item.is_string() {
            item.str(report);
        } else {
            secret(&item, report);
        }
    }
    Some(())
}
