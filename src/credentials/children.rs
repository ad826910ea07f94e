//! Runs another program for a token: without a shell, with stdin closed, from a directory that nobody else can
//! write to, without the secrets of this process. A program that takes too long is ended with its children.

use std::{
    collections::BTreeSet,
    env, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    sync::Mutex,
    time::{sleep, timeout},
};

use super::reaper;
use crate::config::files;

/// The variables that no other program gets to see. The environment belongs to the whole process, and so does
/// this list: a variable that a reload no longer names still holds its secret.
static WITHHELD: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// More than any token with all that is printed around it.
const MAX_OUTPUT: u64 = 1 << 20;
/// How long a program has to end by itself after SIGTERM.
const TERMINATE: Duration = Duration::from_secs(2);
/// How long output may trail behind the program's end, when a child of its own still holds the pipe.
const TRAILING_OUTPUT: Duration = Duration::from_millis(500);

/// A program that ran to its end.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) success: bool,
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Why a program did not run to its end.
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
    /// The time that it may run, from its start.
    pub(super) limit: Duration,
    /// Held while it runs: the calls that share it run one at a time.
    pub(super) turn: &'a Mutex<()>,
}

/// Runs other programs. It is made with the variables that hold secrets, so that no program can be run before
/// they are withheld.
#[derive(Debug, Clone)]
pub(super) struct Children(());

impl Children {
    /// Withholds these variables from every program from now on.
    pub(super) fn withholding(variables: impl IntoIterator<Item = String>) -> Self {
        let mut withheld = WITHHELD.write().unwrap_or_else(PoisonError::into_inner);
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
        // It is run from another directory than this process.
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
    // Without the extension it may be a script for another shell, as with az.
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
    for name in &*WITHHELD.read().unwrap_or_else(PoisonError::into_inner) {
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
    // The system reads the program before it lets go of the thread.
    let started = files::in_time(call.program, move |_| reaper::spawn(&mut command)).await;
    let (mut child, _awaited) = started.map_err(|reason| match reason.kind() {
        io::ErrorKind::NotFound => SubprocessError::NotFound(call.program.to_owned()),
        _ => SubprocessError::Start {
            program: call.program.to_owned(),
            reason,
        },
    })?;
    let mut group = Group::of(&child);
    let result = timeout(call.limit, collect(&mut child)).await;
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
                // Whatever it printed is in the pipes by now.
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
    // Past the limit keep the pipe moving, so that the program can end.
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

/// A child's process group: ended as a whole unless the child ran to its end. Also ended when the
/// proxy stops while it waits.
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
            // It can only fail when the group is gone, which is what is wanted.
            let _ = rustix::process::kill_process_group(leader, signal);
        }
    }

    /// SIGTERM, two seconds, SIGKILL for the whole group; the child is reaped.
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
