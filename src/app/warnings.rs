//! Warnings about a valid configuration. They appear at the start, after a reload and in `check`.

use std::{
    env,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{config::Config, credentials, shell::quoted, x509::Certificate};

/// The command that makes a running process read the file again.
pub(super) const RELOAD: &str = if cfg!(unix) {
    "send SIGHUP"
} else {
    "run: ahds-proxy reload"
};

/// Returns the warnings, each with its remedy. Blocks on the file system.
pub fn warnings(config: &Config, now: SystemTime) -> Vec<String> {
    let secrets = config.secret_files.iter();
    let secrets = secrets.filter_map(|path| writable_secret(path));
    let credentials = config.credentials.values();
    let programs = credentials.flat_map(credentials::programs);
    let programs = programs.filter_map(|path| writable_program(&path));
    let certificate = certificate(config, now).into_iter();
    let notes = config.notes.iter().cloned();
    notes
        .chain(certificate)
        .chain(secrets)
        .chain(programs)
        .collect()
}

/// Warns of a server certificate that is not valid now. It is only a warning, since clients decide
/// by their own clocks.
fn certificate(config: &Config, now: SystemTime) -> Option<String> {
    let tls = config.security.tls.as_ref()?;
    let certificate = Certificate::from_der(tls.certificate.clone())?;
    let file = tls.file.display();
    if let Some(end) = certificate.ended(now) {
        return Some(format!(
            "`security.tls.certificate`: the certificate in {file} expired on {end}, so clients refuse \
             it; renew it and {RELOAD}"
        ));
    }
    let start = certificate.begins(now)?;
    Some(format!(
        "`security.tls.certificate`: the certificate in {file} is not valid before {start}, so clients \
         refuse it until then; use another certificate, or correct this machine's clock if it is wrong"
    ))
}

fn writable_secret(path: &Path) -> Option<String> {
    let shown = path.display();
    let folder = path.parent().filter(|folder| !is_sticky(folder));
    let places = [Some(path), folder];
    let place = places
        .into_iter()
        .flatten()
        .find(|place| is_writable_by_all(place))?;
    let place = quoted(place);
    Some(format!(
        "every user of this machine can replace the secret in {shown}; run: chmod o-w {place}"
    ))
}

/// Warns of a program that every user can replace. The program is also looked up in the folders of
/// PATH before its own, so these count, too.
fn writable_program(program: &Path) -> Option<String> {
    let shown = program.display();
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let own = folders
        .iter()
        .position(|folder| Some(&**folder) == program.parent());
    let before = folders
        .iter()
        .take(own.unwrap_or_default())
        .map(PathBuf::as_path);
    let mut places = [Some(program), program.parent()]
        .into_iter()
        .flatten()
        .chain(before);
    let place = places.find(|place| is_writable_by_all(place))?;
    let place = quoted(place);
    Some(format!(
        "every user of this machine can put another program in place of {shown}, which ahds-proxy runs \
         to get tokens; run: chmod o-w {place}"
    ))
}

/// Whether every user may write. Symbolic links are followed.
fn is_writable_by_all(path: &Path) -> bool {
    mode(path) & 0o002 != 0
}

/// Whether only the owner of a file in this folder may replace the file.
fn is_sticky(folder: &Path) -> bool {
    mode(folder) & 0o1000 != 0
}

/// The mode of the file or folder that `path` leads to, or 0 where the system has no modes.
#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .map_or(0, |about| about.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_: &Path) -> u32 {
    0
}
