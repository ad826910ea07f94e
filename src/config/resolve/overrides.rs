//! Flags and environment variables, laid over the file.

use std::path::PathBuf;

use super::environment::Env;
use crate::config::{
    ServiceUrl, ValueError,
    credentials::{self, Draft},
    file::{File, RouteTable},
    grammar,
    report::{At, Place, Read, Report},
    walk::{good_ones, suggest},
};

/// The flags as typed; what is `None` or empty was not. See the environment variable beside each.
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

/// The file to read, and what named it.
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
        file.listen = read(&at, report, |text, place, report| {
            let addresses = text.split(',').map(str::trim);
            let read = addresses.map(|text| {
                let value = report.accept(place, "listen", grammar::listen(text))?;
                Some(At { value, place })
            });
            good_ones(read.collect())
        });
    }
    if let Some(at) = given(&flags.admin, ("--admin", "AHDS_PROXY_ADMIN")) {
        file.admin = value("admin", &at, report, grammar::admin);
    }
    if let Some(at) = given(&flags.log, ("--log", "RUST_LOG")) {
        file.log.level = value("log.level", &at, report, grammar::log_filter);
    }
    let format = given(&flags.log_format, ("--log-format", "AHDS_PROXY_LOG_FORMAT"));
    if let Some(at) = format {
        file.log.format = value("log.format", &at, report, grammar::log_format);
    }
    if let Some(at) = given(&flags.credential, ("--credential", "AHDS_PROXY_CREDENTIAL")) {
        credential(&at, file, report);
    }
}

fn read<T>(
    at: &At<String>,
    report: &mut Report,
    read: impl FnOnce(&str, Place, &mut Report) -> Option<T>,
) -> Read<T> {
    match read(&at.value, at.place, report) {
        None => Read::Refused,
        Some(value) => Read::Given(At {
            value,
            place: at.place,
        }),
    }
}

fn value<T>(
    key: &str,
    at: &At<String>,
    report: &mut Report,
    parse: impl FnOnce(&str) -> Result<T, ValueError>,
) -> Read<T> {
    read(at, report, |text, place, report| {
        report.accept(place, key, parse(text))
    })
}

/// The rest of the route's table stays.
fn upstream(route: &str, at: &At<String>, file: &mut File, report: &mut Report) {
    let key = format!("routes.{route}.upstream");
    let upstream = value(&key, at, report, ServiceUrl::parse);
    file.routes
        .entry(route.to_owned())
        .or_insert_with(|| RouteTable::new(at.place))
        .upstream = upstream;
}

/// Where the file's default credential is of this kind already, its keys stay.
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
    let credential = match draft {
        None => Read::Refused,
        Some(value) => Read::Given(At {
            value,
            place: at.place,
        }),
    };
    file.credentials.insert("default".to_owned(), credential);
}
