//! The credentials that routes name, completed by defaults and the environment.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use super::{environment::Env, plain_http::Endpoint};
use crate::config::{
    Auto, AutoSource, Credential, Kind, SecretRefError, ServiceUrl, Tenant, WorkloadIdentity,
    credentials::Draft,
    file::RouteTable,
    mask,
    report::{At, NeededSecret, Place, Read, Report},
    walk::suggest,
};

const AUTHORITY_VARIABLE: &str = "AZURE_AUTHORITY_HOST";
const AUTO_SECRETS: [&str; 2] = ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD"];
const AUTO_VARIABLE: &str = "AZURE_TOKEN_CREDENTIALS";
const TENANT_VARIABLE: &str = "AZURE_TENANT_ID";
const CLIENT_ID_VARIABLE: &str = "AZURE_CLIENT_ID";
const TOKEN_FILE_VARIABLE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// The credentials that are defined, by name.
pub(super) struct Known {
    defined: BTreeMap<String, Read<Draft>>,
    used: BTreeSet<String>,
}

impl Known {
    pub(super) fn new(
        defined: BTreeMap<String, Read<Draft>>,
        routes: &BTreeMap<String, At<RouteTable>>,
    ) -> Self {
        let used = routes
            .values()
            .filter_map(|route| match &route.value.credential {
                Read::Absent => Some("default".to_owned()),
                Read::Given(at) => Some(at.value.clone()),
                Read::Refused => None,
            })
            .collect();
        Self {
            defined: or_auto(defined),
            used,
        }
    }

    /// All credentials that are defined, whether a route names them or not.
    pub(super) fn all(defined: BTreeMap<String, Read<Draft>>) -> Self {
        let defined = or_auto(defined);
        let used = defined.keys().cloned().collect();
        Self { defined, used }
    }

    /// The kind of the credential that a route names. Reports a name that is not defined.
    pub(super) fn check(
        &self,
        name: &str,
        route: &str,
        place: Place,
        report: &mut Report,
    ) -> Option<&'static Kind> {
        if let Some(read) = self.defined.get(name) {
            return read.given().map(|at| at.value.kind);
        }
        let mut names = self.defined.keys().map(String::as_str);
        let remedy = match (names.next(), names.next()) {
            (Some(only), None) => format!("write `credential = \"{only}\"`"),
            _ => suggest(name, self.defined.keys().map(String::as_str)),
        };
        report.refuse(
            place,
            format!(
                "the route `{route}` uses the credential `{}`, which is not defined",
                name.escape_debug()
            ),
            remedy,
        );
        None
    }

    /// The credentials that routes use, and the endpoints to which they send secrets. Files and
    /// variables of unused credentials need not exist on this machine.
    pub(super) fn resolve(
        self,
        env: &Env<'_>,
        report: &mut Report,
    ) -> (BTreeMap<Arc<str>, Credential>, Vec<Endpoint>) {
        let mut credentials = BTreeMap::new();
        let mut endpoints = vec![Endpoint::metadata()];
        for (name, read) in self.defined {
            if let (true, Read::Given(at)) = (self.used.contains(&name), read)
                && let Some(credential) = complete(at.value, &name, env, &mut endpoints, report)
            {
                credentials.insert(name.into(), credential);
            }
        }
        (credentials, endpoints)
    }
}

/// The credentials of a configuration, which has `auto` if it defines none.
fn or_auto(mut defined: BTreeMap<String, Read<Draft>>) -> BTreeMap<String, Read<Draft>> {
    if defined.is_empty() {
        let auto = Read::Given(At {
            value: Draft::auto(),
            place: Place::Nowhere,
        });
        defined.insert("default".to_owned(), auto);
    }
    defined
}

fn complete(
    draft: Draft,
    name: &str,
    env: &Env<'_>,
    endpoints: &mut Vec<Endpoint>,
    report: &mut Report,
) -> Option<Credential> {
    let mut is_complete = true;
    for secret in &draft.secrets {
        is_complete &= check_secret(secret, env, report);
    }
    let written = draft.endpoints.iter();
    endpoints.extend(written.map(|(key, url)| Endpoint::of_key(key, url)));
    let mut credential = draft.credential?;
    if draft.wants_authority
        && let Some(default) = credential.authority_mut()
    {
        *default = default_authority(env, report)?;
        endpoints.push(Endpoint::of_variable(AUTHORITY_VARIABLE, default));
    }
    match &mut credential {
        Credential::Auto(keys) => is_complete &= auto(keys, env, report),
        Credential::WorkloadIdentity(keys) => {
            is_complete &= workload_identity(keys, name, env, report);
        }
        _ => {}
    }
    is_complete.then_some(credential)
}

/// Keeps only the sources that a variable names.
fn auto(keys: &mut Auto, env: &Env<'_>, report: &mut Report) -> bool {
    // The environment source reads them, and no other program needs them.
    report
        .secret_variables
        .extend(AUTO_SECRETS.map(str::to_owned));
    let Some(text) = env(AUTO_VARIABLE).filter(|text| !text.trim().is_empty()) else {
        return true;
    };
    let place = Place::Variable(AUTO_VARIABLE);
    let selected = report.accept(place, AUTO_VARIABLE, AutoSource::select(&text));
    if let Some(sources) = selected {
        keys.sources = sources;
    }
    selected.is_some()
}

/// Fills in absent keys from the pod's variables. Without them, the first request would fail.
fn workload_identity(
    keys: &mut WorkloadIdentity,
    name: &str,
    env: &Env<'_>,
    report: &mut Report,
) -> bool {
    let mut is_complete = true;
    let mut variable = |key: &str, variable: &'static str| {
        let value = env(variable).filter(|value| !value.is_empty());
        if value.is_none() {
            is_complete = false;
            report.refuse(
                Place::Nowhere,
                format!(
                    "`credentials.{name}.workload-identity` has no `{key}`, and {variable} is not set"
                ),
                format!(
                    "label the pod azure.workload.identity/use=true so that the webhook sets \
                     {variable}, or write `{key}`"
                ),
            );
        }
        value
    };
    let tenant = match keys.tenant {
        Some(_) => None,
        None => variable("tenant", TENANT_VARIABLE),
    };
    if keys.client_id.is_none() {
        keys.client_id = variable("client_id", CLIENT_ID_VARIABLE);
    }
    if keys.token_file.is_none() {
        keys.token_file = variable("token_file", TOKEN_FILE_VARIABLE).map(Into::into);
    }
    if let Some(tenant) = tenant {
        let place = Place::Variable(TENANT_VARIABLE);
        keys.tenant = report.accept(place, TENANT_VARIABLE, Tenant::parse(tenant.trim()));
        is_complete &= keys.tenant.is_some();
    }
    is_complete
}

/// A secret that cannot be read now would fail the first request instead of the start.
fn check_secret(secret: &NeededSecret, env: &Env<'_>, report: &mut Report) -> bool {
    let NeededSecret { key, at, is_pem } = secret;
    let read = if *is_pem {
        at.value.read_text_now(env)
    } else {
        at.value.read_now(env)
    };
    let Err(error) = read else {
        return true;
    };
    let (message, remedy) = match error {
        SecretRefError::Env(name) if !mask::is_variable(&name) => (
            format!("`{key}`: the environment variable named here is not set"),
            "write the name of a variable that is set; if this is the secret itself, replace it, \
             since others may have seen this file"
                .to_owned(),
        ),
        SecretRefError::Env(variable) => (
            format!("`{key}`: the environment variable {variable} is not set"),
            format!("set {variable} and start ahds-proxy again"),
        ),
        SecretRefError::File { path, reason } if !mask::is_path(&as_written(&path, report)) => (
            format!("`{key}`: the file named here cannot be read: {reason}"),
            "write the path of a file that this process may read; if this is the secret itself, \
             replace it, since others may have seen this file"
                .to_owned(),
        ),
        error @ SecretRefError::File { .. } => (
            format!("`{key}`: {error}"),
            "write the path of a file that this process may read".to_owned(),
        ),
        error @ SecretRefError::Content(_) => (
            format!("`{key}`: {error}"),
            "store the secret alone, on one line".to_owned(),
        ),
    };
    report.refuse(at.place, message, remedy);
    false
}

/// A path without the folder against which relative paths are resolved.
fn as_written(path: &Path, report: &Report) -> String {
    let relative = path.strip_prefix(report.resolve_path(""));
    relative.unwrap_or(path).to_string_lossy().into_owned()
}

/// The authority in the variable, which may lack the scheme, as in Azure's own libraries.
fn default_authority(env: &Env<'_>, report: &mut Report) -> Option<ServiceUrl> {
    let Some(host) = env(AUTHORITY_VARIABLE).filter(|host| !host.is_empty()) else {
        return Some(ServiceUrl::public_authority());
    };
    let host = host.trim();
    let url = if host.contains("://") {
        host.to_owned()
    } else {
        format!("https://{host}")
    };
    report.accept(
        Place::Variable(AUTHORITY_VARIABLE),
        AUTHORITY_VARIABLE,
        ServiceUrl::parse_secure(&url),
    )
}
