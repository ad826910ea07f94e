//! What the user typed, and what they read back: the only place that prints and exits.
//!
//! stdout carries what was asked for, stderr everything else. Exit codes: 0 done, 1 failed while
//! running, 2 bad usage or bad configuration.

mod args;
mod check;
mod completions;
#[cfg(feature = "demo")]
mod demo;
mod healthcheck;
mod run;
mod runtime;
mod secrecy;
mod token;

use std::{fmt, io::Write as _, process::ExitCode};

use clap::Parser as _;

use self::args::{Args, Command};
use crate::{
    config::{self, Config, ConfigErrors, Overrides},
    telemetry,
};

/// Bad usage or bad configuration; nothing was started.
const USAGE: u8 = 2;

/// The whole program: reads the process's arguments and environment, returns its exit code.
pub fn main() -> ExitCode {
    secrecy::seal_memory();
    let Args { settings, command } = Args::parse();
    let flags = Overrides::from(settings);
    let done = match command.unwrap_or(Command::Run) {
        Command::Run => load(&flags).and_then(|config| run::run(&config, &flags)),
        Command::Check { online, output } => check::check(&flags, online, output),
        Command::Token { route, output } => {
            load(&flags).and_then(|config| token::token(&config, &route, output))
        }
        #[cfg(feature = "demo")]
        Command::Demo => demo::demo(&flags),
        #[cfg(not(feature = "demo"))]
        Command::Demo => {
            complain(
                &"error: this ahds-proxy was built without the demo\n  = help: build it with `--features demo`",
            );
            Err(ExitCode::from(USAGE))
        }
        Command::Healthcheck => {
            let admin = config::load_admin(&flags, &environment).map_err(|e| refused(&e));
            admin.and_then(healthcheck::healthcheck)
        }
        Command::Completions { shell } => Ok(completions::completions(shell)),
    };
    telemetry::lines::finish();
    done.unwrap_or_else(|code| code)
}

/// The process's configuration. Its problems have been printed when this fails.
fn load(flags: &Overrides) -> Result<Config, ExitCode> {
    config::load(flags, &environment).map_err(|errors| refused(&errors))
}

fn refused(errors: &ConfigErrors) -> ExitCode {
    complain(errors);
    ExitCode::from(USAGE)
}

/// What is not UTF-8 stays recognisably wrong, and is refused where it is parsed.
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Sends events to stderr from now on.
fn logging(config: &Config) -> Result<(), ExitCode> {
    telemetry::log::init(&config.log).map_err(|error| {
        complain(&format_args!("error: {error}"));
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

/// Writes a line to stderr, behind those of the log. Where nobody listens there is nobody to tell.
fn complain(text: &dyn fmt::Display) {
    telemetry::lines::finish();
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
