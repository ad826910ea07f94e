//! Runs another program for a token: without a shell, with stdin closed, in a directory that no
//! other user can write to, without the secrets of this process. A program that takes too long is
//! ended with its children.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use parking_lot::RwLock;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    sync::Mutex,
    time::timeout,
};

use super::process_tree::ProcessTree;
use crate::config::files;

/// The variables that no other program gets. The list belongs to the whole process, as the
/// environment does: a variable that the configuration no longer names after a reload still
/// contains its secret.
static WITHHELD: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// The largest output. It is larger than any token with the text around it.
const MAX_OUTPUT: u64 = 1 << 20;
/// The time after which the log names a program that still runs.
const SLOW: Duration = Duration::from_secs(5);
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

async fn run(call: Call<'_>) -> Result<Finished, SubprocessError> {
    let _turn = call.turn.lock().await;
    let mut command = Command::new(call.program);
    command
        .args(call.arguments)
        .current_dir(safe_directory())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in &*WITHHELD.read() {
        command.env_remove(name);
    }
    for (name, value) in call.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // Started on another thread, since the system reads the file of the program before `spawn`
    // returns.
    let started = files::in_time(call.program, |_| ProcessTree::start(command)).await;
    let mut tree = started.map_err(|reason| match reason.kind() {
        io::ErrorKind::NotFound => SubprocessError::NotFound(call.program.to_owned()),
        _ => SubprocessError::Start {
            program: call.program.to_owned(),
            reason,
        },
    })?;
    let running = naming_slow(&call, collect(&mut tree));
    let result = timeout(call.limit, running).await;
    match result {
        Ok(Ok(finished)) => {
            tree.disarm();
            Ok(finished)
        }
        Ok(Err(_)) => {
            tree.end().await;
            Err(SubprocessError::Output)
        }
        Err(_) => {
            tree.end().await;
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

async fn collect(tree: &mut ProcessTree) -> io::Result<Finished> {
    let (stdout, stderr) = tree.output();
    let mut out = Vec::new();
    let mut err = Vec::new();
    let status = {
        let mut reading = std::pin::pin!(async {
            tokio::try_join!(read(stdout, &mut out), read(stderr, &mut err))
        });
        tokio::select! {
            read = &mut reading => {
                read?;
                tree.wait().await?
            }
            status = tree.wait() => {
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
    std::env::var_os("SYSTEMROOT").map_or_else(|| PathBuf::from("C:\\Windows"), PathBuf::from)
}
