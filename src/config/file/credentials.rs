//! `[credentials.NAME.KIND]`: a name, one kind, that kind's keys.

use std::{collections::BTreeMap, time::Duration};

use super::{keys::Keys, kinds, routes::is_name};
use crate::config::{
    AzureCli, Credential, ManagedIdentity, SecretRef, ServiceUrl, Tool, WorkloadIdentity,
    report::{At, Place, Read, Report},
    walk::{Item, Table, suggest},
};

/// Every kind there is.
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

/// The keys a kind cannot do without, as the user writes them.
pub(in crate::config) fn needs_keys(kind: &str) -> Option<&'static str> {
    match kind {
        "client-certificate" => Some("tenant, client_id and certificate"),
        "client-secret" => Some("tenant, client_id and secret"),
        "command" => Some("argv"),
        "device-code" => Some("tenant"),
        "oauth2-client-credentials" => Some("token_url, client_id and client_secret"),
        "smart-backend-services" => {
            Some("client_id, key, algorithm, scope, and token_url or issuer")
        }
        "static" => Some("token"),
        _ => None,
    }
}

/// How long one call of a command-line tool may take.
pub(super) const TOOL_TIMEOUT: Duration = Duration::from_secs(60);

/// One credential as written; what defaults and the environment add is left to `resolve`.
#[derive(Debug, Clone)]
pub(in crate::config) struct Draft {
    pub(in crate::config) kind: &'static str,
    /// `None` where a key was refused: what the others refer to is checked all the same.
    pub(in crate::config) credential: Option<Credential>,
    /// No `authority` was written, the one in `credential` is the public cloud's.
    pub(in crate::config) wants_authority: bool,
    /// What has to be readable.
    pub(in crate::config) secrets: Vec<Needed>,
}

/// A secret that a credential cannot do without.
#[derive(Debug, Clone)]
pub(in crate::config) struct Needed {
    /// The key it is written under.
    pub(in crate::config) key: String,
    pub(in crate::config) at: At<SecretRef>,
    /// It may have several lines.
    pub(in crate::config) is_pem: bool,
}

impl Draft {
    fn new(credential: Credential) -> Self {
        Self {
            kind: credential.kind(),
            credential: Some(credential),
            wants_authority: false,
            secrets: Vec::new(),
        }
    }

    pub(in crate::config) fn auto() -> Self {
        Self {
            wants_authority: true,
            ..Self::new(kinds::auto())
        }
    }

    /// A credential of which only the kind is known; `None` where that is not enough.
    pub(in crate::config) fn bare(kind: &str) -> Option<Self> {
        let tool = Tool {
            tenant: None,
            path: None,
            timeout: TOOL_TIMEOUT,
        };
        let credential = match kind {
            "auto" => return Some(Self::auto()),
            "azure-cli" => Credential::AzureCli(AzureCli {
                tenant: None,
                subscription: None,
                path: None,
                timeout: TOOL_TIMEOUT,
            }),
            "azure-developer-cli" => Credential::AzureDeveloperCli(tool),
            "azure-powershell" => Credential::AzurePowerShell(tool),
            "managed-identity" => Credential::ManagedIdentity(ManagedIdentity::default()),
            "workload-identity" => {
                return Some(Self {
                    wants_authority: true,
                    ..Self::new(Credential::WorkloadIdentity(WorkloadIdentity {
                        tenant: None,
                        client_id: None,
                        token_file: None,
                        authority: ServiceUrl::public_authority(),
                    }))
                });
            }
            _ => return None,
        };
        Some(Self::new(credential))
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
    let Some(known) = KINDS.into_iter().find(|known| *known == kind.value) else {
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
    };
    let mut table = keys.table(report)?;
    // The header is where missing keys go.
    table.place = kind.place;
    let mut keys = Keys::new(table, report);
    let credential = kinds::read(known, &mut keys);
    Some(keys.finish(known, credential))
}
