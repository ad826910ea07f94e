//! The program as its user meets it: its output, its start and its end.

mod bound_listeners;
mod command_line;
mod commands;
#[cfg(target_os = "linux")]
mod containment;
#[cfg(target_os = "linux")]
mod descriptors;
mod draining;
mod reloading;
mod running;
mod stalled_log;
mod starting;
mod stuck_files;
mod unix_socket;
mod warnings;

use azure_emulator::{Emulator, Options};
use tempfile::TempDir;

use crate::support::{
    process::{self, Process},
    write_config,
};

/// A running program in front of an emulator.
struct Scene {
    emulator: Emulator,
    process: Process,
    _files: TempDir,
}

async fn emulator() -> Emulator {
    let options = Options {
        samples: true,
        ..Options::default()
    };
    Emulator::start(options).await.expect("the emulator starts")
}

impl Scene {
    /// With more lines of the configuration and more arguments.
    async fn start(lines: &[(&'static str, String)], arguments: &[&str]) -> Self {
        let emulator = emulator().await;
        let files = tempfile::tempdir().expect("a folder");
        let config = write_config(&emulator, &files, lines);
        let mut command = process::run(&config);
        command.args(arguments);
        Self {
            emulator,
            process: Process::start(command),
            _files: files,
        }
    }
}
