//! Runs another program for a token: without a shell, with stdin closed, in a directory that no
//! other user can write to, without the secrets of this process. A program that takes too long is
//! ended with its children.

use std::{
    collections::BTreeSet,
    env, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use parking_lot::RwLock;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    sync::Mutex,
    time::{sleep, timeout},
};

use super::reaper;
use crate::config::files;

/// The variables that no other program gets. The list belongs to the whole process, as the
/// environment does: a variable that the configuration no longer names after a reload still
/// contains its secret.
static WITHHELD: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// The largest output. It is larger than any token with the text around it.
const MAX_OUTPUT: u64 = 1 << 20;
/// The time after which the log names a program that still runs.
const SLOW: Duration = Duration::from_secs(5);
/// The time for a program to end by itself after SIGTERM.
const TERMINATE: Duration = Duration::from_secs(2);
/// The time to wait for output after the program's end. A child of the program may keep the pipe
/// open.
const TRAILING_OUTPUT: Duration = Duration::from_millis(500);

/// A program that ran to its end.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) success: bool,
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// The reason why a program did not run to its end.
#[derive(Debug)]
pub(super) enum SubprocessError {
    NotFound(PathBuf),
    Start { program: PathBuf, reason: io::Error },
    Timeout(Duration),
    Output,
}

/// A program to run.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: &'a [&'a str],
    /// The variables to set, or to remove.
    pub(super) environment: &'a [(&'a str, Option<&'a str>)],
    /// The longest time that the program may run.
    pub(super) limit: Duration,
    /// Locked while the program runs, so that calls with the same lock run one at a time.
    pub(super) turn: &'a Mutex<()>,
}

/// Runs other programs. Its constructor takes the variables that contain secrets, so that no
/// program can be run before they are withheld.
#[derive(Debug, Clone)]
pub(super) struct Children(());

impl Children {
    /// Withholds these variables from every program from now on.
    pub(super) fn withholding(variables: impl IntoIterator<Item = String>) -> Self {
        let mut withheld = WITHHELD.write();
        withheld.extend(variables);
        Self(())
    }

    /// Runs a program and collects its output.
    pub(super) async fn run(&self, call: Call<'_>) -> Result<Finished, SubprocessError> {
        run(call).await
    }
}

/// The program that [`find_now`] finds, without waiting for a file system that does not respond.
pub(super) async fn find(program: &Path) -> Result<PathBuf, SubprocessError> {
    let found = files::in_time(program, |program| Ok(find_now(program))).await;
    let found = found.map_err(|reason| SubprocessError::Start {
        program: program.to_owned(),
        reason,
    })?;
    found.ok_or_else(|| SubprocessError::NotFound(program.to_owned()))
}

/// A path as it is, a bare name in the absolute folders of PATH. Relative ones are passed over, so
/// that the directory a user happens to stand in is never searched.
pub(super) fn find_now(program: &Path) -> Option<PathBuf> {
    if program.is_absolute() || program.components().count() != 1 {
        // Made absolute, since the program runs in another directory than this process.
        return std::path::absolute(program).ok();
    }
    let names = file_names(program);
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|program| is_program(program))
}

#[cfg(not(windows))]
fn file_names(program: &Path) -> [PathBuf; 1] {
    [program.to_owned()]
}

#[cfg(windows)]
fn file_names(program: &Path) -> Vec<PathBuf> {
    if program.extension().is_some() {
        return vec![program.to_owned()];
    }
    // A file without an extension may be a script for another shell, as that of az.
    ["exe", "cmd", "bat"]
        .map(|extension| program.with_extension(extension))
        .into()
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

async fn run(call: Call<'_>) -> Result<Finished, SubprocessError> {
    let _turn = call.turn.lock().await;
    let mut command = Command::new(call.program);
    command
        .args(call.arguments)
        .current_dir(safe_directory())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for name in &*WITHHELD.read() {
        command.env_remove(name);
    }
    for (name, value) in call.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    #[cfg(unix)]
    command.process_group(0);
    // Started on another thread, since the system reads the file of the program before `spawn`
    // returns.
    let started = files::in_time(call.program, move |_| reaper::spawn(&mut command)).await;
    let (mut child, _awaited) = started.map_err(|reason| match reason.kind() {
        io::ErrorKind::NotFound => SubprocessError::NotFound(call.program.to_owned()),
        _ => SubprocessError::Start {
            program: call.program.to_owned(),
            reason,
        },
    })?;
    let mut group = Group::of(&child);
    let running = naming_slow(&call, collect(&mut child));
    let result = timeout(call.limit, running).await;
    match result {
        Ok(Ok(finished)) => {
            group.disarm();
            Ok(finished)
        }
        Ok(Err(_)) => {
            group.end(&mut child).await;
            Err(SubprocessError::Output)
        }
        Err(_) => {
            group.end(&mut child).await;
            Err(SubprocessError::Timeout(call.limit))
        }
    }
}

/// Logs the name of a program that takes long, since all requests for its token wait.
async fn naming_slow<T>(call: &Call<'_>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = timeout(SLOW, &mut work).await {
        return done;
    }
    let name = call.program.file_name().unwrap_or_default();
    tracing::warn!(
        running_s = SLOW.as_secs(),
        ended_after_s = call.limit.as_secs(),
        remedy = "If it never ends, run it yourself to see what it waits for.",
        "{} still runs, and requests wait for its token",
        name.to_string_lossy()
    );
    work.await
}

async fn collect(child: &mut Child) -> io::Result<Finished> {
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let mut out = Vec::new();
    let mut err = Vec::new();
    let status = {
        let mut reading = std::pin::pin!(async {
            tokio::try_join!(read(stdout, &mut out), read(stderr, &mut err))
        });
        tokio::select! {
            read = &mut reading => {
                read?;
                child.wait().await?
            }
            status = child.wait() => {
                // The whole output of the program is in the pipes by now.
                let _ = timeout(TRAILING_OUTPUT, &mut reading).await;
                status?
            }
        }
    };
    if out.len() as u64 > MAX_OUTPUT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Finished {
        success: status.success(),
        status,
        stdout: out,
        stderr: err,
    })
}

async fn read(from: Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    (&mut from).take(MAX_OUTPUT + 1).read_to_end(to).await?;
    // Output beyond the limit is read and dropped, so that the program can end.
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(unix)]
fn safe_directory() -> PathBuf {
    PathBuf::from("/")
}

#[cfg(not(unix))]
fn safe_directory() -> PathBuf {
    env::var_os("SYSTEMROOT").map_or_else(|| PathBuf::from("C:\\Windows"), PathBuf::from)
}

/// A child's process group. On drop, the whole group is ended, unless the child ran to its end.
/// This also happens if the proxy stops while it waits for the child.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl Group {
    fn of(child: &Child) -> Self {
        Self {
            leader: child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(rustix::process::Pid::from_raw),
        }
    }

    fn disarm(&mut self) {
        self.leader = None;
    }

    fn signal(&self, signal: rustix::process::Signal) {
        if let Some(leader) = self.leader {
            // This can only fail if the group has already ended.
            let _ = rustix::process::kill_process_group(leader, signal);
        }
    }

    /// Ends the whole group by SIGTERM, and after two seconds by SIGKILL. Reaps the child.
    async fn end(&mut self, child: &mut Child) {
        self.signal(rustix::process::Signal::TERM);
        tokio::select! {
            _ = child.wait() => {}
            () = sleep(TERMINATE) => {}
        }
        self.signal(rustix::process::Signal::KILL);
        let _ = child.wait().await;
        self.disarm();
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::KILL);
    }
}

#[cfg(not(unix))]
impl Group {
    fn of(_: &Child) -> Self {
        Self {}
    }

    fn disarm(&mut self) {}

    async fn end(&mut self, child: &mut Child) {
        let _ = timeout(TERMINATE, child.kill()).await;
    }
}
