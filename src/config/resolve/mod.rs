//! Turns flags, environment and file into a [`Config`], or into every problem they have.
//!
//! Flags beat environment, environment beats file, file beats defaults. A flag or variable
//! replaces the file's value for its key and leaves the keys beside it alone.

mod credentials;
mod environment;
mod forward_proxy;
mod listeners;
mod overrides;
mod plain_http;
mod routes;
mod syntax;
mod tls;
mod upstream;

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use toml::de::DeTable;

pub use self::{
    environment::Env,
    listeners::ADMIN_PORT,
    overrides::{FoundService, Overrides, default_file},
    routes::DICOM_AUDIENCE,
};
use super::{
    Config, ConfigErrors, Network, Security, TokenConfig, certificates,
    credentials::{self as credential_kinds, KINDS},
    encoding::is_utf16,
    file::{File, NetworkTable},
    files::{self, Links},
    keys::Keys as _,
    mask,
    report::{At, Place, Read, Report},
    walk::Table,
};
use plain_http::Endpoint;

/// Loads the configuration from flags, environment and the file that they name.
///
/// Reads the configuration file and checks that the files it names can be read. Binds no port and
/// sends no request. An empty variable counts as unset.
pub fn load(flags: &Overrides, env: &Env<'_>) -> Result<Config, ConfigErrors> {
    load_by(files::read_any, flags, env)
}

/// Loads the configuration again, for a process that serves. The file has to be a regular file, since
/// a pipe may never end.
pub fn reload(flags: &Overrides, env: &Env<'_>) -> Result<Config, ConfigErrors> {
    load_by(|path| files::read(path, Links::Follow), flags, env)
}

fn load_by(
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    flags: &Overrides,
    env: &Env<'_>,
) -> Result<Config, ConfigErrors> {
    read_all(read, flags, env, |file, env, report| {
        resolve(file, env, report)
    })
}

/// The configuration file that is read, if any.
pub fn config_file(flags: &Overrides, env: &Env<'_>) -> Option<PathBuf> {
    overrides::config_file(flags, env).map(|(path, _)| path)
}

/// Loads only the admin address, for a command that calls a running proxy. Problems of other keys do
/// not matter to it.
pub fn load_admin(flags: &Overrides, env: &Env<'_>) -> Result<Option<SocketAddr>, ConfigErrors> {
    read_all(files::read_any, flags, env, |file, _, report| {
        let own = listeners::of_routes(&file.routes.into_value().unwrap_or_default());
        listeners::resolve(file.listen, file.admin, own, &file.security, report).admin
    })
}

/// Loads the part with which tokens are requested, for a command that calls Azure and no service.
/// There may be no routes.
pub fn load_token_config(flags: &Overrides, env: &Env<'_>) -> Result<TokenConfig, ConfigErrors> {
    read_all(files::read_any, flags, env, |file, env, report| {
        let listeners =
            listeners::resolve(file.listen, file.admin, Vec::new(), &file.security, report);
        let credentials = credentials::Known::all(file.credentials);
        let (credentials, endpoints) = credentials.resolve(env, report);
        if let Some(overrides) = file.network.resolve.given() {
            plain_http::check(&overrides.value, &endpoints, report);
        }
        TokenConfig {
            credentials,
            network: network(file.network, &listeners, env, report),
            secret_variables: std::mem::take(&mut report.secret_variables),
        }
    })
}

/// Reads the file, applies flags and environment, and passes the result to `resolve`.
fn read_all<T>(
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    flags: &Overrides,
    env: &Env<'_>,
    resolve: impl FnOnce(File, &Env<'_>, &mut Report) -> T,
) -> Result<T, ConfigErrors> {
    let env = &|name: &str| env(name).filter(|value| !value.is_empty());
    let mut report = Report::default();
    let mut file = match overrides::config_file(flags, env) {
        None => File::defaults(),
        Some((path, place)) => read_file(read, &path, place, &mut report),
    };
    overrides::apply(flags, env, &mut file, &mut report);
    let resolved = resolve(file, env, &mut report);
    report.into_errors().map_or(Ok(resolved), Err)
}

/// Parses the configuration in `text` as the file `path`, without flags and environment.
pub fn parse(path: &Path, text: &str, env: &Env<'_>) -> Result<Config, ConfigErrors> {
    let mut report = Report::default();
    let file = read_text(path, text, &mut report);
    let config = resolve(file, env, &mut report);
    report.into_errors().map_or(Ok(config), Err)
}

fn read_file(
    read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    path: &Path,
    place: Place,
    report: &mut Report,
) -> File {
    match read(path) {
        Ok(bytes) if is_utf16(&bytes) => report.refuse(
            place,
            format!(
                "the configuration file {} is in UTF-16, as `>` of Windows PowerShell writes it",
                path.display()
            ),
            "save it as UTF-8; `ahds-proxy init --output FILE` writes a file in UTF-8",
        ),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => return read_text(path, &text, report),
            Err(_) => report.refuse(
                place,
                format!("the configuration file {} is not UTF-8", path.display()),
                "save it as UTF-8",
            ),
        },
        Err(reason) => report.refuse(
            place,
            format!(
                "the configuration file {} cannot be read: {reason}",
                path.display()
            ),
            remedy_of_unreadable(path, &reason),
        ),
    }
    unread()
}

fn remedy_of_unreadable(path: &Path, reason: &io::Error) -> String {
    match reason.kind() {
        io::ErrorKind::PermissionDenied if cfg!(windows) => format!(
            "let the user who runs ahds-proxy read the file: icacls \"{}\" /grant USER:R",
            path.display()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "run ahds-proxy as the owner of the file, or ask the owner to run `chmod o+r {}`; \
             ahds-proxy must also be able to enter the folders above the file",
            path.display()
        ),
        io::ErrorKind::IsADirectory => {
            "write the path of the file in this folder, such as ahds-proxy.toml".to_owned()
        }
        _ => {
            "write the path of a TOML file, or no path: flags and environment variables are enough"
                .to_owned()
        }
    }
}

fn read_text(path: &Path, text: &str, report: &mut Report) -> File {
    let text: Arc<str> = text.into();
    report.set_source(path, text.clone());
    let (tree, errors) = DeTable::parse_recoverable(&text);
    report.kinds = credential_kinds::names().collect();
    let harmless: Vec<&str> = KINDS
        .iter()
        .flat_map(|kind| kind.harmless)
        .copied()
        .collect();
    mask::mask_tree(tree.get_ref(), &harmless, report);
    if errors.is_empty() {
        let file = File::read_whole(Table::root(tree.get_ref()), report);
        return file.expect("no key is required");
    }
    // A file that does not parse is not checked any further. One error for each line is enough.
    let mut lines = BTreeSet::new();
    for error in errors {
        let span = clamp(&text, error.span().unwrap_or(0..0));
        if !lines.insert(text[..span.start].matches('\n').count()) {
            continue;
        }
        let (message, remedy) = syntax::explain(error.message(), &text, &span);
        report.refuse_unshown(span.into(), message, remedy);
    }
    unread()
}

/// A file that may have routes, but could not be read.
fn unread() -> File {
    File {
        routes: Read::Refused,
        ..File::defaults()
    }
}

/// Moves a span to character boundaries. The parser's spans have them, but a report must not panic
/// if one day they do not.
fn clamp(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    start..span.end.clamp(start, text.len())
}

/// The result is used only if the report has no problems.
fn resolve(file: File, env: &Env<'_>, report: &mut Report) -> Config {
    let routes_unread = file.routes.is_refused();
    let routes = file.routes.into_value().unwrap_or_default();
    if routes.is_empty() && !routes_unread {
        report.refuse(
            Place::Nowhere,
            "there is no route, so there is nothing to forward to",
            "find your services with `ahds-proxy init`, or run: ahds-proxy --fhir \
             https://WS-FHIR.fhir.azurehealthcareapis.com",
        );
    }
    let own = listeners::of_routes(&routes);
    let listeners = listeners::resolve(file.listen, file.admin, own, &file.security, report);
    listeners::check_names(&file.security, &routes, report);
    let credentials = credentials::Known::new(file.credentials, &routes);
    let routes = routes::resolve(routes, &listeners, &file.security, &credentials, report);
    let (credentials, mut endpoints) = credentials.resolve(env, report);
    if let Some(overrides) = file.network.resolve.given() {
        endpoints.extend(routes.iter().map(|route| {
            Endpoint::of_key(&format!("routes.{}.upstream", route.name), &route.upstream)
        }));
        plain_http::check(&overrides.value, &endpoints, report);
    }
    Config {
        network: network(file.network, &listeners, env, report),
        listen: listeners.listen,
        admin: listeners.admin,
        routes,
        credentials,
        limits: file.limits,
        security: Security {
            allow_remote: file.security.allow_remote.or(false),
            allowed_hosts: values(file.security.allowed_hosts),
            allowed_origins: values(file.security.allowed_origins),
            tls: file
                .security
                .tls
                .into_value()
                .and_then(|table| tls::resolve(&table, report)),
        },
        secret_variables: std::mem::take(&mut report.secret_variables),
        secret_files: std::mem::take(&mut report.secret_files),
        log: file.log,
        drain: file.shutdown.drain,
        notes: std::mem::take(&mut report.notes),
    }
}

fn values<T>(list: Read<Vec<At<T>>>) -> Vec<T> {
    let list = list.into_value().unwrap_or_default();
    list.into_iter().map(|at| at.value).collect()
}

fn network(
    table: NetworkTable,
    listeners: &listeners::Listeners,
    env: &Env<'_>,
    report: &mut Report,
) -> Network {
    let mut extra_roots = Vec::new();
    if let Some(at) = table.ca_file.given() {
        match certificates::read(&at.value) {
            Ok(certificates) => extra_roots = certificates,
            Err(unusable) => {
                let message = format!("`network.ca_file`: {}", unusable.message);
                report.refuse(at.place, message, unusable.remedy);
            }
        }
    }
    Network {
        extra_roots,
        resolve: values(table.resolve),
        proxy: forward_proxy::resolve(table.proxy, listeners, env, report),
        connect_timeout: table.connect_timeout,
        response_timeout: table.response_timeout,
        idle_timeout: table.idle_timeout,
    }
}
