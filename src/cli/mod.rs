//! What the user typed, and what they read back: the only place that prints and exits.
//!
//! stdout carries what was asked for, stderr everything else. Exit codes: 0 done, 1 failed while
//! running, 2 bad usage or bad configuration.

mod args;
mod check;
mod completions;
mod demo;
mod healthcheck;
mod run;
mod token;

use std::{fmt, io::Write as _, process::ExitCode};

use clap::Parser as _;

use self::args::{Args, Command};
use crate::config::{self, Config, Overrides};

/// Bad usage or bad configuration; nothing was started.
const USAGE: u8 = 2;

/// The whole program: reads the process's arguments and environment, returns its exit code.
pub fn main() -> ExitCode {
    let Args { settings, command } = Args::parse();
    let flags = Overrides::from(settings);
    let done = match command.unwrap_or(Command::Run) {
        Command::Run => load(&flags).map(|config| run::run(config, &flags)),
        Command::Check { online, output } => check::check(&flags, online, output),
        Command::Token { route, output } => {
            load(&flags).map(|config| token::token(&config, &route, output))
        }
        Command::Demo => Ok(demo::demo(&flags)),
        Command::Healthcheck => load(&flags).map(|config| healthcheck::healthcheck(&config)),
        Command::Completions { shell } => Ok(completions::completions(shell)),
    };
    done.unwrap_or_else(|code| code)
}

/// The process's configuration. Its problems have been printed when this fails.
fn load(flags: &Overrides) -> Result<Config, ExitCode> {
    // What is not UTF-8 stays recognisably wrong, and is refused where it is parsed.
    let env = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    config::load(flags, &env).map_err(|errors| {
        complain(&errors);
        ExitCode::from(USAGE)
    })
}

/// Writes to stdout what was asked for. A reader that has left, as in `… | head -1`, has seen
/// enough.
fn answer(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format_args!("error: cannot write to stdout: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to stderr. Where nobody listens there is nobody to tell.
fn complain(text: &dyn fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
