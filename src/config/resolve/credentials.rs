//! Credentials: the ones routes name, completed by defaults and the environment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Env;
use crate::config::{
    ClientSecret, Credential, SecretRef, SecretRefError, ServiceUrl,
    file::{Draft, RouteTable},
    grammar,
    report::{At, Place, Read, Report},
    walk::suggest,
};

const AUTHORITY_VARIABLE: &str = "AZURE_AUTHORITY_HOST";
const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";

/// The credentials that are defined, by name.
pub(super) struct Known {
    defined: BTreeMap<String, Read<Draft>>,
    used: BTreeSet<String>,
}

impl Known {
    pub(super) fn new(
        mut defined: BTreeMap<String, Read<Draft>>,
        routes: &BTreeMap<String, RouteTable>,
    ) -> Self {
        if defined.is_empty() {
            let auto = Read::Given(At {
                value: Draft::Auto,
                place: Place::Nowhere,
            });
            defined.insert("default".to_owned(), auto);
        }
        let used = routes
            .values()
            .filter_map(|route| match &route.credential {
                Read::Absent => Some("default".to_owned()),
                Read::Given(at) => Some(at.value.clone()),
                Read::Refused => None,
            })
            .collect();
        Self { defined, used }
    }

    /// The kind of the credential a route names; reports names nobody defined.
    pub(super) fn check(
        &self,
        name: &str,
        route: &str,
        place: Place,
        report: &mut Report,
    ) -> Option<&'static str> {
        if let Some(read) = self.defined.get(name) {
            return read.given().map(|at| at.value.kind());
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

    /// The credentials routes use. What the others refer to need not exist on this machine.
    pub(super) fn resolve(
        self,
        env: &Env<'_>,
        report: &mut Report,
    ) -> BTreeMap<Arc<str>, Credential> {
        let mut credentials = BTreeMap::new();
        for (name, read) in self.defined {
            if let (true, Read::Given(at)) = (self.used.contains(&name), read)
                && let Some(credential) = complete(at.value, &name, env, report)
            {
                credentials.insert(name.into(), credential);
            }
        }
        credentials
    }
}

fn complete(draft: Draft, name: &str, env: &Env<'_>, report: &mut Report) -> Option<Credential> {
    Some(match draft {
        Draft::Auto => Credential::Auto,
        Draft::AzureCli(keys) => Credential::AzureCli(keys),
        Draft::ClientSecret {
            tenant,
            client_id,
            secret,
            authority,
        } => {
            let key = format!("credentials.{name}.client-secret.secret");
            let secret = check_secret(secret, &key, env, report);
            let authority = match authority {
                Some(authority) => Some(authority),
                None => default_authority(env, report),
            };
            Credential::ClientSecret(ClientSecret {
                tenant,
                client_id,
                secret: secret?,
                authority: authority?,
            })
        }
        Draft::Static { token } => {
            let key = format!("credentials.{name}.static.token");
            Credential::Static {
                token: check_secret(token, &key, env, report)?,
            }
        }
    })
}

/// A secret that cannot be read now would fail the first request instead of the start.
fn check_secret(
    at: At<SecretRef>,
    key: &str,
    env: &Env<'_>,
    report: &mut Report,
) -> Option<SecretRef> {
    match at.value.read_with(env) {
        Ok(_) => Some(at.value),
        Err(error) => {
            let (message, remedy) = match error {
                SecretRefError::Env(variable) => (
                    format!("`{key}`: the environment variable {variable} is not set"),
                    format!("set {variable} and start ahds-proxy again"),
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
            None
        }
    }
}

/// As Azure's own libraries: the variable may lack the scheme.
fn default_authority(env: &Env<'_>, report: &mut Report) -> Option<ServiceUrl> {
    let host = env(AUTHORITY_VARIABLE).unwrap_or_else(|| PUBLIC_AUTHORITY.to_owned());
    let host = host.trim();
    let url = if host.contains("://") {
        host.to_owned()
    } else {
        format!("https://{host}")
    };
    report.accept(
        Place::Variable(AUTHORITY_VARIABLE),
        AUTHORITY_VARIABLE,
        grammar::secure_url(&url),
    )
}
