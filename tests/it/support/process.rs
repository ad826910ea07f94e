//! The real program as a child process. Every child is ended by its id when its handle is dropped.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::{self, JoinHandle},
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// The program with none of the variables of whoever runs the tests.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ahds-proxy"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let is_ours = name.starts_with("AHDS_PROXY") || name.starts_with("AZURE");
        // The HTTP proxy of their network would get the tests' connections.
        let is_proxy = name.to_ascii_uppercase().ends_with("_PROXY");
        if is_ours || is_proxy || name == "RUST_LOG" {
            command.env_remove(&*name);
        }
    }
    // Nor must their configuration file.
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    // And their running proxies.
    command.env_remove("XDG_RUNTIME_DIR");
    command.env("XDG_STATE_HOME", "/dev/null");
    command.args(arguments).stdin(Stdio::null());
    // All there is to say is said, and searched for secrets.
    command.env("RUST_LOG", "trace");
    command
}

/// Runs the program to its end, off the runtime that may serve its requests.
pub(crate) async fn output(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output().expect("the program runs"))
        .await
        .expect("the program's end is seen");
    assert_discreet(&String::from_utf8_lossy(&output.stderr));
    output
}

/// A program that ran to its end.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program as [`output`] does. It prints UTF-8.
pub(crate) async fn ran(command: Command) -> Ran {
    let output = output(command).await;
    Ran {
        code: output.status.code(),
        stdout: text(&output.stdout).to_owned(),
        stderr: text(&output.stderr).to_owned(),
    }
}

/// Looks for secrets in what any program of the suite logs: the emulator's secrets, and whatever
/// looks like a token or a private key. Not in stdout, which may be the token that was asked for.
fn assert_discreet(written: &str) {
    let secrets = [
        azure_emulator::CLIENT_SECRET,
        azure_emulator::OAUTH_CLIENT_SECRET,
    ];
    let shapes = ["eyJ", "Bearer ey", "PRIVATE KEY"];
    for secret in secrets.into_iter().chain(shapes) {
        let line = written.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} in: {line:?}");
    }
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// `command run` with a configuration file.
pub(crate) fn run(config: &Path) -> Command {
    command(&["--config", config.to_str().expect("UTF-8")])
}

/// The output of a process so far.
#[derive(Clone, Default)]
struct Gathered(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Gathered {
    fn read(&self, mut from: impl std::io::Read + Send + 'static) -> JoinHandle<()> {
        let gathered = self.clone();
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                let (bytes, more) = &*gathered.0;
                bytes.lock().expect("no panic").extend(&buffer[..read]);
                more.notify_all();
            }
        })
    }

    fn text(&self) -> String {
        let bytes = self.0.0.lock().expect("no panic");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn until<T>(&self, mut wanted: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let (bytes, more) = &*self.0;
        let mut bytes = bytes.lock().expect("no panic");
        loop {
            if let Some(found) = wanted(&String::from_utf8_lossy(&bytes)) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!left.is_zero(), "not seen in time in:\n{text}");
            bytes = more.wait_timeout(bytes, left).expect("no panic").0;
        }
    }
}

/// A running program.
pub(crate) struct Process {
    child: Child,
    stdout: Gathered,
    stderr: Gathered,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (stdout, stderr) = (Gathered::default(), Gathered::default());
        let readers = vec![
            stdout.read(child.stdout.take().expect("a pipe")),
            stderr.read(child.stderr.take().expect("a pipe")),
        ];
        Self {
            child,
            stdout,
            stderr,
            readers,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until stderr satisfies a condition. It blocks: the program must not need this thread.
    pub(crate) async fn until_stderr<T: Send + 'static>(
        &self,
        wanted: impl FnMut(&str) -> Option<T> + Send + 'static,
    ) -> T {
        let stderr = self.stderr.clone();
        tokio::task::spawn_blocking(move || stderr.until(wanted))
            .await
            .expect("seen in time")
    }

    /// Waits until stdout satisfies a condition. It blocks: the program must not need this thread.
    pub(crate) async fn until_stdout<T: Send + 'static>(
        &self,
        wanted: impl FnMut(&str) -> Option<T> + Send + 'static,
    ) -> T {
        let stdout = self.stdout.clone();
        tokio::task::spawn_blocking(move || stdout.until(wanted))
            .await
            .expect("seen in time")
    }

    /// The first address behind `listening` and the admin address, from text or JSON log lines.
    pub(crate) async fn addresses(&self) -> (SocketAddr, SocketAddr) {
        self.until_stderr(|log| Some((address(log, "listening")?, address(log, "admin address")?)))
            .await
    }

    /// Its command line, which every user of the machine may read, holds no secret.
    fn assert_unlisted(&self) {
        // Only Linux has the file, and it is empty once the process has ended.
        let listed = std::fs::read(format!("/proc/{}/cmdline", self.id())).unwrap_or_default();
        assert_discreet(&String::from_utf8_lossy(&listed));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        let id = Pid::from_raw(id).expect("a process id");
        kill_process(id, signal).expect("the process is there");
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its state is known").is_none()
    }

    /// Waits for its end; all it has written is there afterwards.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        // Its pipes end with it.
        let readers = std::mem::take(&mut self.readers);
        let join = move || {
            readers
                .into_iter()
                .try_for_each(std::thread::JoinHandle::join)
        };
        let joined = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(join)).await;
        let read = joined.expect("it ends in time").expect("no panic");
        read.expect("no panic");
        self.child.wait().expect("its state is known")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.assert_unlisted();
        }
        // Both fail when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !thread::panicking() {
            assert_discreet(&self.stderr());
        }
    }
}

fn address(log: &str, message: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains(message))?;
    let (_, rest) = line
        .split_once("address=")
        .or_else(|| line.split_once("\"address\":"))?;
    let rest = rest.trim_start_matches('"');
    let end = rest.find(['"', ' ', ',', '}']).unwrap_or(rest.len());
    rest[..end].parse().ok()
}
