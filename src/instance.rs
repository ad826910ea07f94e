//! The record that a running proxy leaves for the other commands of its user: how it was started,
//! and a secret that shows the admin address who is calling.
//!
//! The record is a file in a folder that only the user can enter, named after the admin address. It
//! contains no credential. Without such a folder there is no record.

use std::{
    env, fs,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// The header that contains the secret of a record.
pub(crate) const HEADER: &str = "x-ahds-proxy-instance";

/// How a process was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The working directory, to which paths of the configuration are relative.
    pub(crate) folder: PathBuf,
    /// The arguments after the name of the program.
    pub(crate) arguments: Vec<String>,
    /// The variables of this program that were set.
    pub(crate) variables: Vec<(String, String)>,
}

/// A running process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) process_id: u32,
    pub(crate) admin: SocketAddr,
    pub(crate) secret: String,
    pub(crate) start: Start,
}

/// A secret that nobody can guess.
pub(crate) fn new_secret() -> String {
    let mut random = [0; 32];
    aws_lc_rs::rand::fill(&mut random).expect("the system has random numbers");
    URL_SAFE_NO_PAD.encode(random)
}

/// The file of a running process. It is removed on drop.
#[derive(Debug)]
pub(crate) struct Record(PathBuf);

impl Instance {
    /// This process.
    pub(crate) fn new(admin: SocketAddr, secret: String, start: Start) -> Self {
        Self {
            process_id: std::process::id(),
            admin,
            secret,
            start,
        }
    }

    /// Writes the record. A process that ended without removing its own may have left one there.
    pub(crate) fn write(&self) -> io::Result<Record> {
        let folder = folder().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        make_private(&folder)?;
        let path = folder.join(file_name(self.admin));
        let new = folder.join(format!("{}.new", self.process_id));
        let _ = fs::remove_file(&new);
        let mut file = private_file().open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(&new, &path)?;
        Ok(Record(path))
    }

    /// The record of the process with this admin address.
    pub(crate) fn at(admin: SocketAddr) -> Option<Self> {
        read(&folder()?.join(file_name(admin)))
    }

    /// All records, also those of processes that were killed.
    pub(crate) fn all() -> Vec<Self> {
        let entries = folder().and_then(|folder| fs::read_dir(folder).ok());
        let paths = entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let records = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
        records.filter_map(|path| read(&path)).collect()
    }

    /// Removes the record of a process that has ended without doing so. A home folder of Linux may be
    /// shared with other machines, on which the process may run.
    pub(crate) fn forget(&self) {
        let is_of_this_machine =
            !cfg!(target_os = "linux") || env::var_os("XDG_RUNTIME_DIR").is_some();
        if is_of_this_machine && let Some(folder) = folder() {
            remove(&folder.join(file_name(self.admin)), self.process_id);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        remove(&self.0, std::process::id());
    }
}

/// Removes the record of a process, unless another process has taken its address over.
fn remove(path: &Path, process_id: u32) {
    if read(path).is_some_and(|record| record.process_id == process_id) {
        let _ = fs::remove_file(path);
    }
}

fn file_name(admin: SocketAddr) -> String {
    let address = admin.to_string().replace(['[', ']'], "").replace(':', "_");
    format!("{address}.json")
}

/// `None` if there is none, or if it is a link or, on Unix, a file that another user could have written.
fn read(path: &Path) -> Option<Instance> {
    if !is_private(&fs::symlink_metadata(path).ok()?) {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The folder for the files of running processes (XDG Base Directory Specification, section 3).
fn folder() -> Option<PathBuf> {
    let set = |name: &str| {
        let folder = env::var_os(name).map(PathBuf::from);
        folder.filter(|folder| folder.is_absolute())
    };
    let base = if cfg!(windows) {
        set("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        set("HOME").map(|home| home.join("Library/Caches"))
    } else {
        let state = || set("HOME").map(|home| home.join(".local/state"));
        set("XDG_RUNTIME_DIR")
            .filter(|folder| folder.is_dir())
            .or_else(|| set("XDG_STATE_HOME"))
            .or_else(state)
    };
    base.map(|base| base.join("ahds-proxy"))
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    if is_private(&fs::symlink_metadata(folder)?) {
        return Ok(());
    }
    Err(io::ErrorKind::PermissionDenied.into())
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    // The folder of a user's local data is private.
    fs::create_dir_all(folder)
}

fn private_file() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Whether only this user can change a file or folder.
#[cfg(unix)]
fn is_private(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let is_link = about.file_type().is_symlink();
    !is_link && about.uid() == rustix::process::geteuid().as_raw() && about.mode() & 0o022 == 0
}

#[cfg(not(unix))]
fn is_private(about: &fs::Metadata) -> bool {
    !about.file_type().is_symlink()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_record_that_others_could_write_is_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("127.0.0.1_8081.json");
        let start = Start {
            folder: "/".into(),
            arguments: vec!["--fhir".to_owned()],
            variables: Vec::new(),
        };
        let admin = "127.0.0.1:8081".parse().expect("an address");
        let instance = Instance::new(admin, new_secret(), start.clone());
        assert!(instance.secret.len() > 40);
        fs::write(&path, serde_json::to_vec(&instance).expect("JSON")).expect("written");
        let allow = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode));
        allow(0o600).expect("allowed");
        assert_eq!(read(&path).expect("a record").start, start);
        allow(0o620).expect("allowed");
        assert!(read(&path).is_none());
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        allow(0o600).expect("allowed");
        assert!(read(&link).is_none());
    }

    #[test]
    fn the_name_of_the_file_fits_every_system() {
        let name = |text: &str| file_name(text.parse().expect("an address"));
        assert_eq!(name("127.0.0.1:8081"), "127.0.0.1_8081.json");
        assert_eq!(name("[::1]:8081"), "__1_8081.json");
    }
}
