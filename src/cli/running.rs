//! The running proxy that a command is about: its record, or its admin address alone.

use std::{
    ffi::OsString,
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use super::{
    near_miss,
    output::{complain, environment, misused, refused},
};
use crate::{
    app::Running,
    config::{self, Overrides},
    instance::{Instance, Record, Start},
};

const TIMEOUT: Duration = Duration::from_secs(1);

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
        && let Some(instance) = only()
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
pub(super) fn to_take_over(flags: &Overrides) -> Option<Instance> {
    let names_services = flags.fhir.is_some() || flags.dicom.is_some() || !flags.urls.is_empty();
    let has_variable = ["AHDS_PROXY_FHIR", "AHDS_PROXY_DICOM"]
        .into_iter()
        .any(|name| environment(name).is_some_and(|value| !value.is_empty()));
    let has_file = config::config_file(flags, &environment).is_some();
    if names_services || has_variable || has_file {
        return None;
    }
    let Some(admin) = &flags.admin else {
        return only();
    };
    let instance = Instance::at(admin.parse().ok()?)?;
    is_alive(&instance).then_some(instance)
}

/// The running proxy at the default admin address, or the only one that runs.
fn only() -> Option<Instance> {
    let mut alive = Instance::all();
    alive.retain(is_alive);
    let at_default = alive
        .iter()
        .position(|instance| instance.admin.port() == config::ADMIN_PORT);
    match (at_default, alive.len()) {
        (Some(index), _) => Some(alive.swap_remove(index)),
        (None, 1) => alive.pop(),
        _ => None,
    }
}

/// Whether something listens at the admin address, since a process that was killed leaves its
/// record.
fn is_alive(instance: &Instance) -> bool {
    TcpStream::connect_timeout(&instance.admin, TIMEOUT).is_ok()
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
