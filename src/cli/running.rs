//! The running proxy that a command is about: its record, or its admin address alone.

use std::{
    ffi::OsString,
    io,
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use super::{
    admin_client::reachable,
    near_miss,
    output::{complain, environment, misused, refused},
};
use crate::{
    app::Running,
    config::{self, Overrides},
    instance::{Instance, Record, Start},
};

/// The time to connect to a proxy. Windows refuses a connection after two seconds only.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How this process was started, for its record.
pub(super) fn own_start() -> Option<Start> {
    let text = |argument: OsString| argument.into_string().ok();
    let arguments: Option<Vec<String>> = std::env::args_os().skip(1).map(text).collect();
    let set = |name: &&str| Some(((*name).to_owned(), environment(name)?));
    Some(Start {
        folder: std::env::current_dir().ok()?,
        arguments: arguments?,
        variables: near_miss::VARIABLES.iter().filter_map(set).collect(),
    })
}

/// Leaves a record of this process, if there is a place for it.
pub(super) fn leave_record(running: &Running, start: Start) -> Option<Record> {
    let written = running.instance(start)?.write();
    written
        .inspect_err(|error| {
            tracing::debug!(
                "`ahds-proxy reload` and `ahds-proxy status` may not find this process, since its \
                 record cannot be written: {error}"
            );
        })
        .ok()
}

/// The admin address that the flags, the variables or the file name, and else that of the only
/// proxy of this user that runs.
pub(super) fn admin(flags: &Overrides) -> Result<SocketAddr, ExitCode> {
    let is_named = flags.admin.is_some() || environment("AHDS_PROXY_ADMIN").is_some();
    if !is_named
        && config::config_file(flags, &environment).is_none()
        && let Some(instance) = only()?
    {
        return Ok(instance.admin);
    }
    let admin = config::load_admin(flags, &environment).map_err(|errors| refused(&errors))?;
    admin.ok_or_else(|| {
        misused(
            &"the admin address is off",
            "set the admin address of the running proxy with --admin",
        )
    })
}

/// The proxy whose configuration a command takes over, since none is given to the command itself.
pub(super) fn to_take_over(flags: &Overrides) -> Result<Option<Instance>, ExitCode> {
    let names_services = flags.fhir.is_some() || flags.dicom.is_some() || !flags.urls.is_empty();
    let has_variable = ["AHDS_PROXY_FHIR", "AHDS_PROXY_DICOM"]
        .into_iter()
        .any(|name| environment(name).is_some_and(|value| !value.is_empty()));
    let has_file = config::config_file(flags, &environment).is_some();
    if names_services || has_variable || has_file {
        return Ok(None);
    }
    let Some(admin) = &flags.admin else {
        return only();
    };
    let instance = admin.parse().ok().and_then(Instance::at);
    Ok(instance.filter(is_alive))
}

/// The running proxy at the default admin address, or the only one that runs.
fn only() -> Result<Option<Instance>, ExitCode> {
    let mut alive = alive();
    let at_default = alive
        .iter()
        .position(|instance| instance.admin.port() == config::ADMIN_PORT);
    if let Some(index) = at_default {
        return Ok(Some(alive.swap_remove(index)));
    }
    if alive.len() < 2 {
        return Ok(alive.pop());
    }
    let mut addresses: Vec<String> = alive
        .iter()
        .map(|instance| instance.admin.to_string())
        .collect();
    addresses.sort();
    Err(misused(
        &format_args!("{} proxies run", addresses.len()),
        &format!(
            "name the admin address of one with --admin: {}",
            addresses.join(", ")
        ),
    ))
}

/// The running proxies. All are tried at once, since each may take [`TIMEOUT`].
fn alive() -> Vec<Instance> {
    std::thread::scope(|scope| {
        let tried: Vec<_> = Instance::all()
            .into_iter()
            .map(|instance| scope.spawn(move || is_alive(&instance).then_some(instance)))
            .collect();
        let tried = tried.into_iter();
        tried.filter_map(|thread| thread.join().ok()?).collect()
    })
}

/// Whether something listens at the admin address. A process that was killed leaves its record, which
/// is removed.
fn is_alive(instance: &Instance) -> bool {
    let connected = TcpStream::connect_timeout(&reachable(instance.admin), TIMEOUT);
    if let Err(error) = &connected
        && error.kind() == io::ErrorKind::ConnectionRefused
    {
        instance.forget();
    }
    connected.is_ok()
}

/// Enters the folder of a running proxy, and says so. From now on, paths mean what they mean there.
pub(super) fn enter(instance: &Instance) -> std::io::Result<()> {
    std::env::set_current_dir(&instance.start.folder)?;
    complain(&format_args!(
        "using the configuration of the running ahds-proxy (process {}, admin address {})",
        instance.process_id, instance.admin
    ));
    Ok(())
}
