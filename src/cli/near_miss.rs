//! Hints for words, flags and variables that people expect of a program like this.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The variables that the program reads, apart from those of Azure.
pub(super) const VARIABLES: [&str; 8] = [
    "AHDS_PROXY_CONFIG",
    "AHDS_PROXY_FHIR",
    "AHDS_PROXY_DICOM",
    "AHDS_PROXY_LISTEN",
    "AHDS_PROXY_ADMIN",
    "AHDS_PROXY_CREDENTIAL",
    "AHDS_PROXY_TENANT",
    "AHDS_PROXY_LOG_FORMAT",
];

/// The hint for an argument that is not a command, a flag or a URL.
pub(super) fn argument(argument: &str) -> Option<&'static str> {
    let name = argument.split('=').next().unwrap_or_default();
    Some(match name {
        "serve" | "server" | "start" | "up" | "proxy" | "listen" => {
            "remove this word: `ahds-proxy` without a command starts the proxy"
        }
        "login" | "signin" | "sign-in" | "auth" => {
            "sign in with `az login`; without az, start `ahds-proxy --credential device-code --tenant \
             TENANT`"
        }
        "logout" => "sign out with `az logout`",
        "stop" if cfg!(windows) => "stop a running proxy with Ctrl-C in its window",
        "stop" => "stop a running proxy with Ctrl-C or SIGTERM",
        "validate" | "test" | "doctor" => {
            "the command is `ahds-proxy check` or `ahds-proxy check --online`"
        }
        "health" | "ping" => "the command is `ahds-proxy healthcheck`",
        "completion" => "the command is `ahds-proxy completions SHELL`",
        "version" => "the flag is --version",
        "run" | "init" | "check" | "token" | "demo" | "status" | "reload" | "healthcheck"
        | "completions" => "put the command before the URL",
        "--audience" | "--resource" | "--scope" => {
            "write the audience into a configuration file: audience = \"…\" below [routes.fhir]"
        }
        "--url" | "--upstream" | "--target" | "--service" | "--service-url" => {
            "give the URL to --fhir or --dicom, or write it without a flag"
        }
        "--host" | "--bind" | "--address" => {
            "the flag is --listen, for example --listen 127.0.0.1:8080"
        }
        "--tenant-id" => "the flag is --tenant",
        "--debug" => "the flag is --verbose or --log debug",
        "--readonly" => "the flag is --read-only",
        "--allowed-origins" | "--cors" | "--origin" => {
            "the flag is --allowed-origin, once for each origin"
        }
        "--insecure" | "-k" => {
            "ahds-proxy always verifies certificates; write your CA as `ca_file` below [network] in a \
             configuration file"
        }
        _ => return None,
    })
}

/// The hint for an error of the command line.
pub(super) fn of_error(error: &clap::Error) -> Option<&'static str> {
    if error.kind() == ErrorKind::ArgumentConflict
        && let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && error.get(ContextKind::PriorArg) == error.get(ContextKind::InvalidArg)
    {
        let is_service = flag.starts_with("--fhir") || flag.starts_with("--dicom");
        return Some(if is_service {
            "write a route for the second service into a configuration file: [routes.NAME] with \
             `upstream`"
        } else {
            "give it once"
        });
    }
    let kinds = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand];
    kinds.iter().find_map(|kind| match error.get(*kind) {
        Some(ContextValue::String(text)) => argument(text),
        _ => None,
    })
}

/// A warning for each variable that is set and whose name is close to one that the program reads.
pub(super) fn variables() -> Vec<String> {
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    set.filter_map(|name| {
        let meant = meant(&name, cfg!(windows))?;
        Some(format!(
            "the variable {name} is set, but ahds-proxy does not read it; did you mean {meant}?"
        ))
    })
    .collect()
}

/// The variable that a similar name probably stands for. Systems differ in whether the case of a
/// name counts.
fn meant(name: &str, ignores_case: bool) -> Option<&'static str> {
    let name = if ignores_case {
        name.to_ascii_uppercase()
    } else {
        name.to_owned()
    };
    let is_unknown = name.starts_with("AHDS") && !VARIABLES.contains(&&*name);
    let distances = VARIABLES.map(|known| (strsim::osa_distance(&name, known), known));
    let (distance, meant) = distances.into_iter().min()?;
    (is_unknown && distance <= 3).then_some(meant)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::Args;

    #[test]
    fn a_hint_never_stands_before_a_flag_that_exists() {
        for word in ["--fhir", "--dicom", "--verbose", "--port", "https://h"] {
            assert_eq!(argument(word), None, "{word}");
        }
    }

    #[test]
    fn the_case_of_a_variable_counts_where_it_does_for_the_system() {
        const FHIR: Option<&str> = Some("AHDS_PROXY_FHIR");
        for (name, where_it_counts, elsewhere) in [
            ("AHDS_PROXY_FHIR", None, None),
            ("AHDS_PROXY_Fhir", FHIR, None),
            ("AHDS_PROXY_FIHR", FHIR, FHIR),
            ("ahds_proxy_fihr", None, FHIR),
            ("PATH", None, None),
        ] {
            assert_eq!(meant(name, false), where_it_counts, "{name}");
            assert_eq!(meant(name, true), elsewhere, "{name}");
        }
    }

    #[test]
    fn knows_the_argument_in_an_error() {
        for line in ["ahds-proxy --audience=x", "ahds-proxy --bind 127.0.0.1:1"] {
            let error = Args::try_parse_from(line.split(' ')).expect_err(line);
            assert!(of_error(&error).is_some(), "{line}");
        }
    }
}
