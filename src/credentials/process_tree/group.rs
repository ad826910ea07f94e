//! A process group (POSIX.1-2017, section 3.297).

use std::{io, process::ExitStatus, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, ChildStderr, ChildStdout, Command},
    time::sleep,
};

use super::reaper::{self, Awaited};

/// The time for a program to end by itself after SIGTERM.
const TERMINATE: Duration = Duration::from_secs(2);

/// A program in a process group of its own.
pub(in super::super) struct ProcessTree {
    child: Child,
    /// `None` once nothing is left to end.
    leader: Option<Pid>,
    _awaited: Awaited,
}

impl ProcessTree {
    /// Starts a program. Blocks on the file system.
    pub(in super::super) fn start(mut command: Command) -> io::Result<Self> {
        command.process_group(0).kill_on_drop(true);
        let (child, awaited) = reaper::spawn(&mut command)?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Ok(Self {
            leader: id.and_then(Pid::from_raw),
            child,
            _awaited: awaited,
        })
    }

    /// Takes the pipes of the program.
    pub(in super::super) fn output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.child.stdout.take(), self.child.stderr.take())
    }

    /// Waits until the program ends. Its children may still run.
    pub(in super::super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Leaves the processes alone that the program has started.
    pub(in super::super) fn disarm(&mut self) {
        self.leader = None;
    }

    /// Ends the whole group by SIGTERM, and after two seconds by SIGKILL. Reaps the program.
    pub(in super::super) async fn end(mut self) {
        self.signal(Signal::TERM);
        tokio::select! {
            _ = self.child.wait() => {}
            () = sleep(TERMINATE) => {}
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait().await;
        self.disarm();
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // This can only fail if the group has already ended.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
