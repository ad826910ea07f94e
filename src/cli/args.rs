//! The grammar of the command line. `config` parses the values and also reads the environment, so
//! that a bad value gets the same error from a flag, a variable and the file.

use std::path::PathBuf;

use clap::{Arg, Args as _, Parser, Subcommand, ValueEnum, ValueHint};

use crate::{config::Overrides, shell::CURL};

/// The text below the flags.
fn examples() -> String {
    format!(
        "\
First steps, after `az login`:
  ahds-proxy init
  ahds-proxy
  {CURL} http://localhost:8080/fhir/Patient

Without a file, if you know the URL of your service:
  ahds-proxy https://WS-FHIR.fhir.azurehealthcareapis.com

Flags override environment variables, which override the configuration file.

Exit codes:
  0  done
  1  failed while running
  2  bad usage or bad configuration; every problem is listed"
    )
}

/// Authenticating reverse proxy for Azure Health Data Services.
///
/// Serves your FHIR and DICOM services on localhost and adds the bearer token, so that tools
/// without Azure sign-in can call them.
#[derive(Debug, Parser)]
#[command(name = "ahds-proxy", version, after_help = examples(), max_term_width = 100)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) settings: Settings,
    #[command(flatten)]
    pub(super) services: Services,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Services {
    /// URL of a FHIR or DICOM service to serve, repeatable; its host shows the kind
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub(super) urls: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start the proxy; the default without a command
    Run {
        #[command(flatten)]
        services: Services,
    },
    /// Find the FHIR and DICOM services that you may use, and write a configuration
    Init {
        #[command(flatten)]
        options: InitOptions,
    },
    /// Test the configuration without serving; with --online, also call each service
    Check {
        #[command(flatten)]
        services: Services,
        /// Test DNS, TLS, tokens, services and roles
        #[arg(long)]
        online: bool,
        /// Format of the output
        #[arg(long, value_enum, default_value_t)]
        output: CheckOutput,
    },
    /// Print a token for a route
    Token {
        /// Name of the route, for example `fhir`
        route: String,
        /// Format of the output; `json` is that of `az account get-access-token`
        #[arg(long, value_enum, default_value_t)]
        output: TokenOutput,
    },
    /// Try the proxy without Azure: start an emulator of the services, and the proxy in front of it
    #[command(args = unlisted_in_demo())]
    Demo {
        #[command(flatten)]
        options: DemoOptions,
    },
    /// Show the routes, tokens and last errors of a running proxy
    Status {
        /// Format of the output
        #[arg(long, value_enum, default_value_t)]
        output: StatusOutput,
    },
    /// Make a running proxy read its configuration again, without a restart
    Reload,
    /// Check whether a running proxy is ready; exit with 0 if it is, else with 1
    Healthcheck,
    /// Print a completion script for a shell
    Completions {
        /// Name of the shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct DemoOptions {
    /// Make both services fail. FAULT is a status such as 403, close, hang, delay:SECONDS or
    /// throttle:SECONDS
    #[arg(long, value_name = "FAULT", value_hint = ValueHint::Other)]
    pub(super) fault: Option<String>,
    /// Print a configuration for another ahds-proxy that serves the demo's services
    #[arg(long)]
    pub(super) print_config: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct InitOptions {
    /// Choose all services without asking
    #[arg(long)]
    pub(super) all: bool,
    /// Search only this subscription (name or id)
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub(super) subscription: Option<String>,
    /// File to write, or `-` for stdout [default: ahds-proxy.toml]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// Replace an existing file, but keep everything in it except the routes
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum CheckOutput {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum StatusOutput {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum TokenOutput {
    #[default]
    Json,
    Raw,
}

#[expect(
    clippy::doc_markdown,
    reason = "the documentation is what --help prints, where back-ticks around variables only distract"
)]
/// Flags that every command takes, before or after its name.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings")]
pub(super) struct Settings {
    /// Configuration file (TOML), optional [env: AHDS_PROXY_CONFIG] [default: ahds-proxy.toml in
    /// this folder, else ahds-proxy/config.toml in your configuration folder]
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,

    /// URL of the FHIR service, served below /fhir [env: AHDS_PROXY_FHIR]
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url)]
    fhir: Option<String>,

    /// URL of the DICOM service, served below /dicom [env: AHDS_PROXY_DICOM]
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url)]
    dicom: Option<String>,

    /// Find the FHIR and DICOM service of this workspace in Azure, and serve them
    #[arg(long, global = true, value_name = "NAME", value_hint = ValueHint::Other,
          conflicts_with_all = ["fhir", "dicom"])]
    pub(super) workspace: Option<String>,

    // Not a doc comment: rustdoc takes the address for a link.
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        value_hint = ValueHint::Other,
        help = "Address to listen on, repeatable [env: AHDS_PROXY_LISTEN] \
                [default: 127.0.0.1:8080 and, with IPv6, [::1]:8080]"
    )]
    listen: Vec<String>,

    /// Listen on this port of loopback instead of 8080
    #[arg(long, global = true, value_name = "N", conflicts_with = "listen",
          value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Address of health and status, or `off` [env: AHDS_PROXY_ADMIN] [default: 127.0.0.1:8081]
    #[arg(long, global = true, value_name = "ADDR", value_hint = ValueHint::Other)]
    admin: Option<String>,

    /// Kind of credential for the tokens, such as `azure-cli` [env: AHDS_PROXY_CREDENTIAL] [default: auto]
    #[arg(long, global = true, value_name = "KIND", value_hint = ValueHint::Other)]
    credential: Option<String>,

    /// Tenant to sign in to (id or domain) [env: AHDS_PROXY_TENANT]
    #[arg(long, global = true, value_name = "ID", value_hint = ValueHint::Other)]
    tenant: Option<String>,

    /// Refuse requests that would change data
    #[arg(long, global = true)]
    read_only: bool,

    /// Origin of web pages that may call the proxy, such as http://localhost:3000, repeatable
    #[arg(long, global = true, value_name = "ORIGIN", value_hint = ValueHint::Url)]
    allowed_origin: Vec<String>,

    /// Format of the log: `text` or `json` [env: AHDS_PROXY_LOG_FORMAT] [default: text]
    #[arg(long, global = true, value_name = "FORMAT", value_hint = ValueHint::Other)]
    log_format: Option<String>,

    /// Level of the log, or target=level directives separated by commas [env: RUST_LOG] [default: info]
    #[arg(long, global = true, value_name = "FILTER", value_hint = ValueHint::Other)]
    log: Option<String>,

    /// Log more: the same as `--log debug`
    #[arg(short, long, global = true, conflicts_with_all = ["log", "quiet"])]
    verbose: bool,

    /// Log only warnings and errors: the same as `--log warn`
    #[arg(short, long, global = true, conflicts_with = "log")]
    quiet: bool,
}

/// The flags that `demo` refuses, hidden: a command's own take the place of those that all share.
fn unlisted_in_demo() -> Vec<Arg> {
    let settings = Settings::augment_args(clap::Command::new("settings"));
    settings
        .get_arguments()
        .filter(|flag| {
            [
                "config",
                "fhir",
                "dicom",
                "workspace",
                "credential",
                "tenant",
            ]
            .contains(&flag.get_id().as_str())
        })
        .map(|flag| flag.clone().hide(true))
        .collect()
}

impl From<Settings> for Overrides {
    fn from(settings: Settings) -> Self {
        let level = match (settings.verbose, settings.quiet) {
            (true, _) => Some("debug"),
            (_, true) => Some("warn"),
            _ => None,
        };
        Self {
            config: settings.config,
            default_config: None,
            urls: Vec::new(),
            found: Vec::new(),
            fhir: settings.fhir,
            dicom: settings.dicom,
            listen: settings.listen,
            port: settings.port,
            admin: settings.admin,
            tenant: settings.tenant,
            read_only: settings.read_only,
            allowed_origins: settings.allowed_origin,
            credential: settings.credential,
            log_format: settings.log_format,
            log: settings.log.or(level.map(str::to_owned)),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Args {
        let words = line.split_whitespace();
        Args::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    #[test]
    fn is_a_sound_grammar() {
        Args::command().debug_assert();
    }

    #[test]
    fn takes_settings_before_and_after_the_command() {
        for line in [
            "ahds-proxy --fhir https://h --listen 127.0.0.1:1 --listen [::1]:1 check",
            "ahds-proxy check --fhir https://h --listen 127.0.0.1:1 --listen [::1]:1",
            "ahds-proxy --fhir https://h check --listen 127.0.0.1:1 --listen [::1]:1",
        ] {
            let flags = Overrides::from(parse(line).settings);
            assert_eq!(flags.fhir.as_deref(), Some("https://h"), "{line}");
            assert_eq!(flags.listen, ["127.0.0.1:1", "[::1]:1"], "{line}");
        }
    }

    #[test]
    fn runs_when_no_command_is_given() {
        assert!(parse("ahds-proxy").command.is_none());
        assert!(matches!(
            parse("ahds-proxy run -c x.toml").command,
            Some(Command::Run { .. })
        ));
    }
}
