//! `ahds-proxy completions SHELL`.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{args::Args, output::print};

pub(super) fn completions(shell: Shell) -> ExitCode {
    // Written to memory first, since the generator panics if the reader of a pipe has left.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "ahds-proxy", &mut script);
    print(&String::from_utf8_lossy(&script))
}
