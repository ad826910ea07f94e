//! Flags and environment variables, which replace values of the file.

use std::path::PathBuf;

use super::environment::Env;
use crate::config::{
    ServiceUrl, ValueError,
    credentials::{self, Draft},
    file::{File, RouteTable},
    grammar,
    keys::Keys as _,
    report::{At, Place, Read, Report},
    walk::{good_ones, suggest},
};

/// The flags as typed; `None` or empty if absent. Each has an environment variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`, `AHDS_PROXY_CONFIG`.
    pub config: Option<PathBuf>,
    /// `--fhir`, `AHDS_PROXY_FHIR`: the upstream of `[routes.fhir]`.
    pub fhir: Option<String>,
    /// `--dicom`, `AHDS_PROXY_DICOM`: the upstream of `[routes.dicom]`.
    pub dicom: Option<String>,
    /// `--listen`, `AHDS_PROXY_LISTEN` (several separated by commas).
    pub listen: Vec<String>,
    /// `--admin`, `AHDS_PROXY_ADMIN`.
    pub admin: Option<String>,
    /// `--credential`, `AHDS_PROXY_CREDENTIAL`: the kind of `[credentials.default]`.
    pub credential: Option<String>,
    /// `--log-format`, `AHDS_PROXY_LOG_FORMAT`.
    pub log_format: Option<String>,
    /// `--log`, `RUST_LOG`.
    pub log: Option<String>,
}

/// The file to read, and the flag or variable that named it.
pub(super) fn config_file(flags: &Overrides, env: &Env<'_>) -> Option<(PathBuf, Place)> {
    const VARIABLE: &str = "AHDS_PROXY_CONFIG";
    let flag = flags
        .config
        .clone()
        .map(|path| (path, Place::Flag("--config")));
    flag.or_else(|| env(VARIABLE).map(|path| (path.into(), Place::Variable(VARIABLE))))
}

/// Replaces the file's values by those of flags and environment.
pub(super) fn apply(flags: &Overrides, env: &Env<'_>, file: &mut File, report: &mut Report) {
    let given = |flag: &Option<String>, names: (&'static str, &'static str)| match flag {
        Some(value) => Some(At {
            value: value.clone(),
            place: Place::Flag(names.0),
        }),
        None => env(names.1).map(|value| At {
            value,
            place: Place::Variable(names.1),
        }),
    };
    if let Some(at) = given(&flags.fhir, ("--fhir", "AHDS_PROXY_FHIR")) {
        upstream("fhir", &at, file, report);
    }
    if let Some(at) = given(&flags.dicom, ("--dicom", "AHDS_PROXY_DICOM")) {
        upstream("dicom", &at, file, report);
    }
    let listen = (!flags.listen.is_empty()).then(|| flags.listen.join(","));
    if let Some(at) = given(&listen, ("--listen", "AHDS_PROXY_LISTEN")) {
        let place = at.place;
        let addresses = at.value.split(',').map(str::trim);
        let read = addresses.map(|text| {
            let value = report.accept(place, "listen", grammar::listen(text))?;
            Some(At { value, place })
        });
        file.listen = Read::new(good_ones(read.collect()), place);
    }
    if let Some(at) = given(&flags.admin, ("--admin", "AHDS_PROXY_ADMIN")) {
        file.admin = value("admin", &at, report, grammar::admin);
    }
    if let Some(at) = given(&flags.log, ("--log", "RUST_LOG"))
        && let Some(level) = report.accept(at.place, "log.level", grammar::log_filter(&at.value))
    {
        file.log.level = level;
    }
    let format = given(&flags.log_format, ("--log-format", "AHDS_PROXY_LOG_FORMAT"));
    if let Some(at) = format
        && let Some(format) = report.accept(at.place, "log.format", grammar::word(&at.value))
    {
        file.log.format = format;
    }
    if let Some(at) = given(&flags.credential, ("--credential", "AHDS_PROXY_CREDENTIAL")) {
        credential(&at, file, report);
    }
}

fn value<T>(
    key: &str,
    at: &At<String>,
    report: &mut Report,
    parse: impl FnOnce(&str) -> Result<T, ValueError>,
) -> Read<T> {
    Read::new(report.accept(at.place, key, parse(&at.value)), at.place)
}

/// Replaces the upstream of a route, and keeps its other keys.
fn upstream(name: &str, at: &At<String>, file: &mut File, report: &mut Report) {
    let key = format!("routes.{name}.upstream");
    let upstream = value(&key, at, report, ServiceUrl::parse);
    let routes = file.routes.get_or_insert_default();
    let route = routes.entry(name.to_owned()).or_insert_with(|| At {
        value: RouteTable::defaults(),
        place: at.place,
    });
    route.value.upstream = upstream;
}

/// Replaces the default credential, unless the file's is already of this kind.
fn credential(at: &At<String>, file: &mut File, report: &mut Report) {
    let name = at.value.as_str();
    let written = file.credentials.get("default");
    if written.is_some_and(|d| d.given().is_some_and(|d| d.value.kind.name == name)) {
        return;
    }
    let kind = credentials::kind(name);
    let draft = kind.and_then(Draft::bare);
    match kind {
        None => report.refuse(
            at.place,
            format!("unknown credential kind `{}`", name.escape_debug()),
            suggest(name, credentials::names()),
        ),
        Some(kind) => {
            if let Some(keys) = kind.required {
                report.refuse(
                    at.place,
                    format!("the credential kind `{name}` needs {keys}"),
                    format!(
                        "write them into a configuration file, below [credentials.default.{name}]"
                    ),
                );
            }
        }
    }
    file.credentials
        .insert("default".to_owned(), Read::new(draft, at.place));
}
