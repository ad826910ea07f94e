//! The grammar of the command line. `config` parses the values and also reads the environment, so
//! that a bad value gets the same error from a flag, a variable and the file.

use std::path::PathBuf;

use clap::{Arg, Args as _, Parser, Subcommand, ValueEnum, ValueHint};

use crate::config::Overrides;

const EXAMPLES: &str = "\
First steps, after `az login`:
  ahds-proxy init
  ahds-proxy
  curl http://localhost:8080/fhir/Patient

Without a file, if you know the URL of your service:
  ahds-proxy https://WS-FHIR.fhir.azurehealthcareapis.com

Flags beat environment variables, which beat the configuration file.

Exit codes:
  0  done
  1  failed while running
  2  bad usage or bad configuration; every problem is listed";

/// Authenticating reverse proxy for Azure Health Data Services.
///
/// Serves your FHIR and DICOM services on localhost and adds the bearer token, so that tools
/// without Azure sign-in can call them.
#[derive(Debug, Parser)]
#[command(name = "ahds-proxy", version, after_help = EXAMPLES, max_term_width = 100)]
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
    /// Services to serve, each by its URL; a host of Azure says which kind it is
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub(super) urls: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve; the default when no command is given
    Run {
        #[command(flatten)]
        services: Services,
    },
    /// Find the FHIR and DICOM services that you may use, and write a configuration
    Init {
        #[command(flatten)]
        options: InitOptions,
    },
    /// Test the configuration, and with --online each route up to its service, without serving
    Check {
        #[command(flatten)]
        services: Services,
        /// Test DNS, TLS, tokens, upstreams and roles
        #[arg(long)]
        online: bool,
        /// The output format
        #[arg(long, value_enum, default_value_t)]
        output: CheckOutput,
    },
    /// Print a token for a route
    Token {
        /// The route's name, for example `fhir`
        route: String,
        /// `json` is the shape of `az account get-access-token`
        #[arg(long, value_enum, default_value_t)]
        output: TokenOutput,
    },
    /// Try everything on loopback, without Azure: an emulator with the proxy in front of it
    #[command(args = unlisted_in_demo())]
    Demo {
        #[command(flatten)]
        options: DemoOptions,
    },
    /// Show the routes, tokens and last errors of a running proxy
    Status {
        /// The output format
        #[arg(long, value_enum, default_value_t)]
        output: StatusOutput,
    },
    /// Have a running proxy read its configuration again, as SIGHUP does
    Reload,
    /// Check whether a running proxy is ready: exit 0 or 1
    Healthcheck,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct DemoOptions {
    /// Have both services fail: a status such as 403, close, hang, delay:SECONDS or
    /// throttle:SECONDS
    #[arg(long, value_name = "FAULT", value_hint = ValueHint::Other)]
    pub(super) fault: Option<String>,
    /// Print the configuration with which another ahds-proxy can use the demo's services
    #[arg(long)]
    pub(super) print_config: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct InitOptions {
    /// Serve all services that are found, without a question
    #[arg(long)]
    pub(super) all: bool,
    /// Search only this subscription, by name or id
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub(super) subscription: Option<String>,
    /// Where to write, or `-` for stdout [default: ahds-proxy.toml]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
    /// Replace a file that exists, but keep its tables other than the routes
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
    /// Configuration file (TOML); flags and environment are enough without one
    /// [env: AHDS_PROXY_CONFIG] [default: ahds-proxy.toml here, or ahds-proxy/config.toml in your
    /// configuration folder, if there is one]
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,

    /// FHIR service to serve below /fhir [env: AHDS_PROXY_FHIR]
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url)]
    fhir: Option<String>,

    /// DICOM service to serve below /dicom [env: AHDS_PROXY_DICOM]
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url)]
    dicom: Option<String>,

    /// Serve the FHIR and DICOM service of this workspace, which Azure is asked for
    #[arg(long, global = true, value_name = "NAME", value_hint = ValueHint::Other,
          conflicts_with_all = ["fhir", "dicom"])]
    pub(super) workspace: Option<String>,

    // Not a doc comment: rustdoc takes the address for a link.
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        value_hint = ValueHint::Other,
        help = "Where to listen, repeatable [env: AHDS_PROXY_LISTEN] \
                [default: 127.0.0.1:8080 and, with IPv6, [::1]:8080]"
    )]
    listen: Vec<String>,

    /// Serve on this port of loopback instead of 8080
    #[arg(long, global = true, value_name = "N", conflicts_with = "listen",
          value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Where health and status are served, or `off` [env: AHDS_PROXY_ADMIN]
    /// [default: 127.0.0.1:8081]
    #[arg(long, global = true, value_name = "ADDR", value_hint = ValueHint::Other)]
    admin: Option<String>,

    /// How to get tokens, for example `azure-cli` [env: AHDS_PROXY_CREDENTIAL] [default: auto]
    #[arg(long, global = true, value_name = "KIND", value_hint = ValueHint::Other)]
    credential: Option<String>,

    /// Tenant to sign in to, id or domain [env: AHDS_PROXY_TENANT]
    #[arg(long, global = true, value_name = "ID", value_hint = ValueHint::Other)]
    tenant: Option<String>,

    /// Refuse requests that would change data
    #[arg(long, global = true)]
    read_only: bool,

    /// Origin of web pages that may call, repeatable, for example http://localhost:3000
    #[arg(long, global = true, value_name = "ORIGIN", value_hint = ValueHint::Url)]
    allowed_origin: Vec<String>,

    /// `text` or `json` [env: AHDS_PROXY_LOG_FORMAT] [default: text]
    #[arg(long, global = true, value_name = "FORMAT", value_hint = ValueHint::Other)]
    log_format: Option<String>,

    /// A level, or target=level directives separated by commas [env: RUST_LOG] [default: info]
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
