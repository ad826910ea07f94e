//! `ahds-proxy completions SHELL`.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{args::Args, output::print};

pub(super) fn completions(shell: Shell) -> ExitCode {
    // Not straight to stdout: the generator panics when a pipe's reader has left.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "ahds-proxy", &mut script);
    print(&String::from_utf8_lossy(&script))
}
