//! A job object of Windows.

use std::{io, process::ExitStatus};

use process_wrap::tokio::{ChildWrapper, CommandWrap, CreationFlags, JobObject};
use tokio::process::{ChildStderr, ChildStdout, Command};
use windows::Win32::System::Threading::CREATE_NO_WINDOW;

/// A program in a job object of its own, which its children belong to, too.
pub(in super::super) struct ProcessTree {
    job: Box<dyn ChildWrapper>,
    /// Whether something is left to end.
    is_armed: bool,
}

impl ProcessTree {
    /// Starts a program. Blocks on the file system.
    pub(in super::super) fn start(command: Command) -> io::Result<Self> {
        // The program gets a console without a window, which Ctrl-C in that of the proxy does not
        // reach. cmd.exe would otherwise ask whether to end the batch job.
        let job = CommandWrap::from(command)
            .wrap(CreationFlags(CREATE_NO_WINDOW))
            .wrap(JobObject)
            .spawn()?;
        Ok(Self {
            job,
            is_armed: true,
        })
    }

    /// Takes the pipes of the program.
    pub(in super::super) fn output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.job.stdout().take(), self.job.stderr().take())
    }

    /// Waits until the program ends. Its children may still run.
    pub(in super::super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        // The wait for the job itself would include the children.
        self.job.inner_mut().wait().await
    }

    /// Leaves the processes alone that the program has started.
    pub(in super::super) fn disarm(&mut self) {
        self.is_armed = false;
    }

    /// Ends the whole job.
    pub(in super::super) async fn end(mut self) {
        let _ = self.job.start_kill();
        let _ = self.wait().await;
        self.disarm();
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        if self.is_armed {
            // This can only fail if the job has already ended.
            let _ = self.job.start_kill();
        }
    }
}
