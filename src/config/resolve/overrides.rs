//! Flags and environment variables, which replace values of the file.

use std::path::PathBuf;

use super::{environment::Env, listeners, upstream};
use crate::config::{
    Audience, ServiceUrl, Tenant, ValueError, Word as _,
    credentials::{self, Draft},
    file::{File, RouteTable},
    grammar,
    keys::Keys as _,
    report::{At, Place, Read, ReplacedAudience, Report},
    walk::{good_ones, suggest},
};

/// The flags as typed; `None` or empty if absent. Each has an environment variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`, `AHDS_PROXY_CONFIG`.
    pub config: Option<PathBuf>,
    /// The file to read if neither names one.
    pub default_config: Option<PathBuf>,
    /// URLs without a flag. The host decides which service each is.
    pub urls: Vec<String>,
    /// `--workspace`: the services that Azure Resource Manager found in it.
    pub found: Vec<FoundService>,
    /// `--fhir`, `AHDS_PROXY_FHIR`: the upstream of `[routes.fhir]`.
    pub fhir: Option<String>,
    /// `--dicom`, `AHDS_PROXY_DICOM`: the upstream of `[routes.dicom]`.
    pub dicom: Option<String>,
    /// `--listen`, `AHDS_PROXY_LISTEN` (several separated by commas).
    pub listen: Vec<String>,
    /// `--port`: the loopback listeners on another port.
    pub port: Option<u16>,
    /// `--admin`, `AHDS_PROXY_ADMIN`.
    pub admin: Option<String>,
    /// `--tenant`, `AHDS_PROXY_TENANT`: the tenant of `[credentials.default]`.
    pub tenant: Option<String>,
    /// `--read-only`: `read_only` of every route.
    pub read_only: bool,
    /// `--allowed-origin`: `security.allowed_origins`.
    pub allowed_origins: Vec<String>,
    /// `--credential`, `AHDS_PROXY_CREDENTIAL`: the kind of `[credentials.default]`.
    pub credential: Option<String>,
    /// `--log-format`, `AHDS_PROXY_LOG_FORMAT`.
    pub log_format: Option<String>,
    /// `--log`, `RUST_LOG`.
    pub log: Option<String>,
}

/// A service with the audience that Azure names for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundService {
    /// The name of its route.
    pub route: &'static str,
    /// The upstream.
    pub url: String,
    /// The audience of its tokens.
    pub audience: Audience,
}

/// The file to read, and the flag or variable that named it.
pub(super) fn config_file(flags: &Overrides, env: &Env<'_>) -> Option<(PathBuf, Place)> {
    const VARIABLE: &str = "AHDS_PROXY_CONFIG";
    let flag = flags
        .config
        .clone()
        .map(|path| (path, Place::Flag("--config")));
    let named = flag.or_else(|| env(VARIABLE).map(|path| (path.into(), Place::Variable(VARIABLE))));
    let default = flags.default_config.clone();
    named.or_else(|| default.map(|path| (path, Place::Nowhere)))
}

/// The first configuration file that exists in its usual places: `ahds-proxy.toml` in the working
/// directory, and `config.toml` in the user's configuration folder.
pub fn default_file(env: &Env<'_>) -> Option<PathBuf> {
    let set = |name: &str| {
        let folder = env(name).map(PathBuf::from);
        // XDG ignores relative paths (XDG Base Directory Specification, section 2).
        folder.filter(|folder| folder.is_absolute())
    };
    let folder = if cfg!(windows) {
        set("APPDATA")
    } else if cfg!(target_os = "macos") {
        set("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
    };
    let own = folder.map(|folder| folder.join("ahds-proxy/config.toml"));
    let mut places = [Some("ahds-proxy.toml".into()), own].into_iter().flatten();
    places.find(|path: &PathBuf| path.exists())
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
        route("fhir", &at, file, report);
    }
    if let Some(at) = given(&flags.dicom, ("--dicom", "AHDS_PROXY_DICOM")) {
        route("dicom", &at, file, report);
    }
    for url in &flags.urls {
        service(url, file, report);
    }
    for service in &flags.found {
        found(service, file, report);
    }
    if flags.read_only
        && let Some(routes) = &mut file.routes.given_mut()
    {
        for route in routes.value.values_mut() {
            route.value.read_only = true;
        }
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
    if let Some(port) = flags.port {
        let place = Place::Flag("--port");
        file.listen = Read::new(Some(listeners::loopback(port, place)), place);
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
    let key = "credentials.default.tenant";
    let tenant = given(&flags.tenant, ("--tenant", "AHDS_PROXY_TENANT")).and_then(|at| {
        let value = report.accept(at.place, key, Tenant::parse(&at.value))?;
        Some(At {
            value,
            place: at.place,
        })
    });
    if let Some(at) = given(&flags.credential, ("--credential", "AHDS_PROXY_CREDENTIAL")) {
        credential(&at, tenant.as_ref(), file, report);
    }
    if let Some(at) = tenant {
        set_tenant(at, file, report);
    }
    if !flags.allowed_origins.is_empty() {
        let place = Place::Flag("--allowed-origin");
        let read = flags.allowed_origins.iter().map(|text| {
            let value = report.accept(place, "security.allowed_origins", grammar::origin(text))?;
            Some(At { value, place })
        });
        file.security.allowed_origins = Read::new(good_ones(read.collect()), place);
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
fn route(name: &str, at: &At<String>, file: &mut File, report: &mut Report) {
    let key = format!("routes.{name}.upstream");
    let upstream = value(&key, at, report, ServiceUrl::parse);
    let routes = file.routes.get_or_insert_default();
    let route = routes.entry(name.to_owned()).or_insert_with(|| At {
        value: RouteTable::defaults(),
        place: at.place,
    });
    if let (Some(old), Some(new)) = (route.value.upstream.given(), upstream.given())
        && !old.value.origin().eq_ignore_ascii_case(&new.value.origin())
        && let Read::Given(audience) = std::mem::take(&mut route.value.audience)
        && let Place::Flag(replaced_by) | Place::Variable(replaced_by) = at.place
    {
        let replaced = ReplacedAudience {
            audience: audience.value,
            replaced_by,
        };
        report.replaced_audiences.insert(name.to_owned(), replaced);
    }
    route.value.upstream = upstream;
}

/// Adds the route of a service, with the audience that Azure names.
fn found(service: &FoundService, file: &mut File, report: &mut Report) {
    let place = Place::Flag("--workspace");
    let at = At {
        value: service.url.clone(),
        place,
    };
    route(service.route, &at, file, report);
    let routes = file.routes.get_or_insert_default();
    if let Some(route) = routes.get_mut(service.route) {
        route.value.audience = Read::new(Some(service.audience.clone()), place);
    }
}

/// Adds the route of a URL, as the flag of its kind does.
fn service(url: &str, file: &mut File, report: &mut Report) {
    let place = Place::Flag("URL");
    let Some(service) = report.accept(place, "URL", ServiceUrl::parse(url)) else {
        file.routes = Read::Refused;
        return;
    };
    match upstream::kind_of_host(&service) {
        Some(kind) => {
            let routes = file.routes.given();
            let before = routes.and_then(|routes| routes.value.get(kind.as_str()));
            let before = before.and_then(|route| route.value.upstream.given());
            if before.is_some_and(|at| matches!(at.place, Place::Flag(_))) {
                report.refuse(
                    place,
                    format!("the command line has two URLs of {} services", kind.title()),
                    "write a route for the second service into a configuration file: [routes.NAME] \
                     with `upstream`",
                );
            }
            let at = At {
                value: url.to_owned(),
                place,
            };
            route(kind.as_str(), &at, file, report);
        }
        None => report.refuse(
            place,
            format!(
                "the host {} does not say which service this is",
                service.host()
            ),
            "give the URL to --fhir or --dicom",
        ),
    }
}

/// Sets the tenant of the default credential.
fn set_tenant(at: At<Tenant>, file: &mut File, report: &mut Report) {
    if file.credentials.is_empty() {
        let auto = Read::new(Some(Draft::auto()), at.place);
        file.credentials.insert("default".to_owned(), auto);
    }
    let Some(default) = file.credentials.get_mut("default") else {
        report.refuse(
            at.place,
            "this tenant is for the credential `default`, which the configuration file does not have",
            "write `tenant` into the credential's table there",
        );
        return;
    };
    let draft = default.given_mut().map(|at| &mut at.value);
    let Some(credential) = draft.and_then(|draft| draft.credential.as_mut()) else {
        return;
    };
    let kind = credential.kind().name;
    if !credential.set_tenant(at.value) {
        report.refuse(
            at.place,
            format!("the credential kind `{kind}` does not use a tenant"),
            "remove the tenant, or choose another kind with --credential",
        );
    }
}

/// Replaces the default credential, unless the file's is already of this kind.
fn credential(at: &At<String>, tenant: Option<&At<Tenant>>, file: &mut File, report: &mut Report) {
    let name = at.value.as_str();
    let written = file.credentials.get("default");
    if written.is_some_and(|d| d.given().is_some_and(|d| d.value.kind.name == name)) {
        return;
    }
    let kind = credentials::kind(name);
    let draft = kind.and_then(|kind| {
        let of_tenant = tenant.and_then(|at| Draft::of_tenant(kind, &at.value));
        of_tenant.or_else(|| Draft::bare(kind))
    });
    match kind {
        None => report.refuse(
            at.place,
            format!("unknown credential kind `{}`", name.escape_debug()),
            suggest(name, credentials::names()),
        ),
        Some(kind) => {
            if let (Some(keys), None) = (kind.required, &draft) {
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
