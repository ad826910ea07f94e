//! The command line: the only place that prints and exits.
//!
//! Results go to stdout, all other output to stderr. Exit codes: 0 done, 1 failed while running, 2
//! bad usage or bad configuration.

mod args;
mod check;
mod completions;
#[cfg(feature = "demo")]
mod demo;
mod healthcheck;
mod output;
mod run;
mod runtime;
mod secrecy;
mod token;

use std::process::ExitCode;

use clap::Parser as _;

use self::{
    args::{Args, Command},
    output::{environment, refused},
};
use crate::{
    config::{self, Config, Overrides},
    telemetry,
};

/// The whole program. Reads the arguments and the environment of the process, and returns the exit
/// code.
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
        Command::Demo => Err(output::misused(
            &"this ahds-proxy was built without the demo",
            "build it with `--features demo`",
        )),
        Command::Healthcheck => {
            let admin = config::load_admin(&flags, &environment).map_err(|e| refused(&e));
            admin.and_then(healthcheck::healthcheck)
        }
        Command::Completions { shell } => Ok(completions::completions(shell)),
    };
    telemetry::lines::finish();
    done.unwrap_or_else(|code| code)
}

/// Loads the configuration of the process. If this fails, the problems have been printed.
fn load(flags: &Overrides) -> Result<Config, ExitCode> {
    config::load(flags, &environment).map_err(|errors| refused(&errors))
}
