//! The command line: the only place that prints and exits.
//!
//! Results go to stdout, all other output to stderr. Exit codes: 0 done, 1 failed while running, 2
//! bad usage or bad configuration.

mod admin_client;
mod args;
mod banner;
mod check;
mod complaint;
mod completions;
#[cfg(feature = "demo")]
mod demo;
mod examples;
mod healthcheck;
mod init;
mod near_miss;
mod output;
mod reload;
mod run;
mod running;
mod runtime;
mod search;
mod secrecy;
mod sign_in;
mod status;
mod token;

use std::process::ExitCode;

use clap::Parser as _;

use self::{
    args::{Args, Command, Services},
    output::{environment, refused},
};
use crate::{
    config::{self, Config, Overrides},
    instance::Start,
    telemetry,
};

/// The whole program. Reads the arguments and the environment of the process, and returns the exit
/// code.
pub fn main() -> ExitCode {
    secrecy::seal_memory();
    let format = environment("AHDS_PROXY_LOG_FORMAT");
    complaint::use_json(complaint::asks_for_json(
        std::env::args_os(),
        format.as_deref(),
    ));
    let Args {
        settings,
        services,
        command,
    } = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return output::refused_arguments(&error, near_miss::of_error(&error)),
    };
    let command = command.unwrap_or(Command::Run {
        services: Services::default(),
    });
    let mut urls = services.urls;
    if let Command::Run { services } | Command::Check { services, .. } = &command {
        urls.extend(services.urls.iter().cloned());
    }
    if let Some(word) = urls.iter().find(|word| !word.contains(['/', '.', ':'])) {
        return unknown_command(word);
    }
    let workspace = settings.workspace.clone();
    let flags = Overrides {
        urls,
        ..Overrides::from(settings)
    };
    let done = dispatch(command, flags, workspace);
    telemetry::lines::finish();
    done.unwrap_or_else(|code| code)
}

fn dispatch(
    command: Command,
    flags: Overrides,
    workspace: Option<String>,
) -> Result<ExitCode, ExitCode> {
    match command {
        Command::Run { .. } => {
            let flags = complete(flags, workspace)?;
            load(&flags).and_then(|config| run::run(&config, &flags))
        }
        Command::Init { options } => init::init(&with_default_file(flags), workspace, options),
        Command::Check { online, output, .. } => {
            let flags = complete_or_take_over(flags, workspace)?;
            check::check(&flags, online, output)
        }
        Command::Token { route, output } => {
            let flags = complete_or_take_over(flags, workspace)?;
            load(&flags).and_then(|config| token::token(&config, &route, output))
        }
        #[cfg(feature = "demo")]
        Command::Demo { options } => demo::demo(&flags, workspace.is_some(), &options),
        #[cfg(not(feature = "demo"))]
        Command::Demo { .. } => Err(output::misused(
            &"this ahds-proxy was built without the demo",
            "build it with `--features demo`",
        )),
        Command::Status { output } => {
            status::status(running::admin(&with_default_file(flags))?, output)
        }
        Command::Reload => reload::reload(running::admin(&with_default_file(flags))?),
        Command::Healthcheck => {
            let flags = with_default_file(flags);
            let admin = config::load_admin(&flags, &environment).map_err(|e| refused(&e));
            admin.and_then(healthcheck::healthcheck)
        }
        Command::Completions { shell } => Ok(completions::completions(shell)),
    }
}

/// Completes the flags. If they name no service, and there is no file, takes over the configuration of
/// the running proxy.
fn complete_or_take_over(
    flags: Overrides,
    workspace: Option<String>,
) -> Result<Overrides, ExitCode> {
    if workspace.is_none()
        && let Some(instance) = running::to_take_over(&with_default_file(flags.clone()))?
        && let Some((taken_over, workspace)) = taken_over(&instance.start, &flags)
    {
        running::enter(&instance).map_err(|error| output::failed(&error))?;
        return complete(taken_over, workspace);
    }
    complete(flags, workspace)
}

/// The flags with which a proxy was started, after those given to this command. The second value is
/// its `--workspace`.
fn taken_over(start: &Start, own: &Overrides) -> Option<(Overrides, Option<String>)> {
    let words = start.arguments.iter().map(String::as_str);
    let args = Args::try_parse_from(std::iter::once("ahds-proxy").chain(words)).ok()?;
    let mut urls = args.services.urls;
    if let Some(Command::Run { services }) = args.command {
        urls.extend(services.urls);
    }
    let workspace = args.settings.workspace.clone();
    let flags = Overrides::from(args.settings);
    let variable = |name: &str| {
        let mut set = start.variables.iter();
        set.find(|(set, _)| set == name)
            .map(|(_, value)| value.clone())
    };
    let flags = Overrides {
        config: flags
            .config
            .or_else(|| variable("AHDS_PROXY_CONFIG").map(Into::into)),
        fhir: flags.fhir.or_else(|| variable("AHDS_PROXY_FHIR")),
        dicom: flags.dicom.or_else(|| variable("AHDS_PROXY_DICOM")),
        credential: own
            .credential
            .clone()
            .or(flags.credential)
            .or_else(|| variable("AHDS_PROXY_CREDENTIAL")),
        tenant: own
            .tenant
            .clone()
            .or(flags.tenant)
            .or_else(|| variable("AHDS_PROXY_TENANT")),
        urls,
        ..flags
    };
    Some((flags, workspace))
}

/// Adds the default configuration file and the services of `--workspace`.
fn complete(flags: Overrides, workspace: Option<String>) -> Result<Overrides, ExitCode> {
    let flags = with_default_file(flags);
    let found = match workspace {
        Some(workspace) => search::of_workspace(&flags, &workspace)?,
        None => Vec::new(),
    };
    Ok(Overrides { found, ..flags })
}

/// Prints that a word is neither a command nor a URL.
fn unknown_command(word: &str) -> ExitCode {
    let message = format!("`{}` is not a command or a URL", word.escape_debug());
    let remedy = near_miss::argument(word).unwrap_or("`ahds-proxy --help` lists the commands");
    output::misused(&message, remedy)
}

fn with_default_file(flags: Overrides) -> Overrides {
    Overrides {
        default_config: config::default_file(&environment),
        ..flags
    }
}

/// Loads the configuration of the process. If this fails, the problems have been printed.
fn load(flags: &Overrides) -> Result<Config, ExitCode> {
    config::load(flags, &environment).map_err(|errors| refused(&errors))
}
