//! Runs the command-line tools that a user signs in to: finds the program, runs it and explains its
//! failures.

use std::{
    iter,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::{Duration, SystemTime},
};

use secrecy::SecretString;
use tokio::sync::Mutex;

use super::{
    AccessToken, CredentialError, Reason, Renewal, aadsts,
    children::{Call, Finished, SubprocessError},
    context::Context,
    entra,
    requester::{Names, Requester},
    search_path,
};
use crate::{
    config::{self, Audience},
    shell,
};

/// The renewal of tokens from tools. The tools return their cached token until five minutes before
/// its expiry, so an earlier renewal would run them repeatedly for the same token.
pub(super) const RENEWAL: Renewal = Renewal::NotBefore(Duration::from_secs(4 * 60 + 50));

/// The token that a program has printed, and its expiry. The error is the problem of the output.
pub(super) type Printed = Result<(SecretString, SystemTime), &'static str>;

/// A command as it is typed into a shell.
fn command_line(program: &str, path: Option<&Path>, arguments: &[&str]) -> String {
    let program = path.map_or_else(|| program.into(), Path::to_string_lossy);
    let words: Vec<String> = iter::once(&*program)
        .chain(arguments.iter().copied())
        .map(shell::quoted)
        .collect();
    words.join(" ")
}

/// One tool, and its names in messages.
#[derive(Debug)]
pub(super) struct Tool {
    /// The kind of credential that runs it: `azure-cli`.
    pub(super) kind: &'static str,
    /// The short name: `az`.
    pub(super) name: &'static str,
    /// The full name, for a first mention: `the Azure CLI (az)`.
    pub(super) title: &'static str,
    /// The names of its programs on PATH, the best first.
    pub(super) programs: &'static [&'static str],
    /// The way to install the tool, without a full stop.
    pub(super) install: &'static str,
    /// The way to upgrade the tool.
    pub(super) upgrade: &'static str,
    /// `Run`, or where to run a command.
    pub(super) run: &'static str,
    /// The command that signs out, for a tool that has to sign in again for the audience.
    pub(super) sign_out: Option<&'static str>,
    /// The variables to set, or to remove.
    pub(super) environment: &'static [(&'static str, Option<&'static str>)],
    /// The failures that its stderr reports. The first one that matches counts.
    pub(super) failures: &'static [Failure],
    /// Locked while the tool runs, since parallel runs damage its caches on disk.
    pub(super) turn: Mutex<()>,
}

/// A failure, recognized by texts that stay the same between versions.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) texts: &'static [&'static str],
    pub(super) reason: Reason,
    pub(super) message: &'static str,
    /// `None` if the remedy is to sign in. `{table}` stands for the credential's table, `{sign in}` for
    /// the sentence that says how.
    pub(super) remedy: Option<&'static str>,
}

impl Tool {
    /// The program that a call would run now.
    pub(super) fn find_now(&self, path: Option<&Path>) -> Option<PathBuf> {
        let mut programs = self.programs.iter().map(Path::new);
        match path {
            Some(path) => search_path::find_now(path),
            None => programs.find_map(search_path::find_now),
        }
    }
}

/// The account that is signed in to a tool.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) keys: config::Tool,
    tool: &'static Tool,
    context: Context,
}

impl Account {
    pub(super) fn new(tool: &'static Tool, keys: config::Tool, context: &Context) -> Self {
        Self {
            keys,
            tool,
            context: context.clone(),
        }
    }

    /// Runs a command of the tool and takes the token from its output with `read`.
    pub(super) async fn token(
        &self,
        audience: &Audience,
        arguments: &[&str],
        read: fn(&[u8]) -> Printed,
    ) -> Result<AccessToken, CredentialError> {
        let by_hand = command_line(self.tool.name, self.keys.path.as_deref(), arguments);
        let finished = self.run(arguments, &by_hand).await?;
        if !finished.success {
            return Err(self.explain(&finished, audience, &by_hand));
        }
        let (secret, expires_on) =
            read(&finished.stdout).map_err(|problem| self.unreadable(problem, &by_hand))?;
        Ok(AccessToken {
            secret,
            expires_on,
            renewal: RENEWAL,
        })
    }

    /// Runs the tool to its end. `by_hand` is the command that shows a user why it failed.
    pub(super) async fn run(
        &self,
        arguments: &[&str],
        by_hand: &str,
    ) -> Result<Finished, CredentialError> {
        let call = Call {
            program: &self.find(by_hand).await?,
            arguments,
            environment: self.tool.environment,
            limit: self.keys.timeout,
            turn: &self.tool.turn,
        };
        let finished = self.context.children.run(call).await;
        finished.map_err(|error| self.not_run(&error, by_hand))
    }

    async fn find(&self, by_hand: &str) -> Result<PathBuf, CredentialError> {
        if let Some(path) = &self.keys.path {
            let found = search_path::find(path).await;
            return found.map_err(|error| self.not_run(&error, by_hand));
        }
        for program in self.tool.programs {
            match search_path::find(Path::new(program)).await {
                Err(SubprocessError::NotFound(_)) => {}
                found => return found.map_err(|error| self.not_run(&error, by_hand)),
            }
        }
        let message = format!("{} is not on PATH", self.tool.title);
        Err(CredentialError::absent(message, self.install()))
    }

    /// The remedy if there is no program.
    fn install(&self) -> String {
        let Tool {
            kind,
            name,
            install,
            ..
        } = self.tool;
        let table = self.context.table(kind);
        format!("{install}, or set `path` in {table} to the {name} program.")
    }

    fn not_run(&self, error: &SubprocessError, by_hand: &str) -> CredentialError {
        let name = self.tool.name;
        match error {
            SubprocessError::NotFound(program) => CredentialError::absent(
                format!("there is no program {}", program.display()),
                self.install(),
            ),
            SubprocessError::Start { program, reason } => CredentialError::needs_action(
                format!("{} cannot be started: {reason}", program.display()),
                self.install(),
            ),
            SubprocessError::Timeout(after) => CredentialError::transient(
                format!(
                    "{name} gave no token within {} s and was ended",
                    after.as_secs_f32()
                ),
                format!(
                    "Run `{by_hand}` to see what it waits for; a larger `timeout` in {} helps a slow machine. {}",
                    self.context.table(self.tool.kind),
                    self.sign_in()
                ),
            ),
            SubprocessError::Output => CredentialError::transient(
                format!("the output of {name} could not be read"),
                format!("Run `{by_hand}` to see what it prints."),
            ),
        }
    }

    /// The error for a tool that failed. Its output is never shown or logged, since it may contain
    /// codes and account names.
    fn explain(&self, finished: &Finished, audience: &Audience, by_hand: &str) -> CredentialError {
        let stderr = String::from_utf8_lossy(&finished.stderr);
        if let Some(code) = aadsts::find_code(&stderr) {
            return self.refused(code, audience, &stderr);
        }
        let says = |failure: &&Failure| failure.texts.iter().any(|text| stderr.contains(text));
        let table = self.context.table(self.tool.kind);
        match self.tool.failures.iter().find(says) {
            Some(failure) => CredentialError::new(
                failure.reason,
                failure.message,
                failure.remedy.map_or_else(
                    || self.sign_in(),
                    |remedy| {
                        remedy
                            .replace("{table}", &table)
                            .replace("{sign in}", &self.sign_in())
                    },
                ),
            ),
            None => self.failed(finished, by_hand),
        }
    }

    /// The error for an AADSTS code. `said` is the output of the tool, which may name the command that
    /// signs in.
    pub(super) fn refused(&self, code: u64, audience: &Audience, said: &str) -> CredentialError {
        let requester = Requester {
            tenant: self.keys.tenant.as_ref().map(config::Tenant::as_str),
            client_id: None,
            audience,
            names: &Names::ELSEWHERE,
        };
        let sign_in = match self.tool.sign_out {
            Some(sign_out) => {
                // Some versions have to sign out first, and say so.
                let first = if said.contains(sign_out) {
                    format!("{sign_out}, then ")
                } else {
                    String::new()
                };
                let tenant = self.keys.tenant.clone().or_else(|| tenant_in(said));
                format!(
                    "{}: {first}{} --scope {}",
                    self.tool.run,
                    self.sign_in_command(tenant.as_ref()),
                    entra::default_scope(audience)
                )
            }
            None => self.sign_in(),
        };
        aadsts::explain(code, &requester, &sign_in)
    }

    /// The error for a failure without a known cause.
    pub(super) fn failed(&self, finished: &Finished, by_hand: &str) -> CredentialError {
        let Tool { name, install, .. } = self.tool;
        match signal(finished.status) {
            Some(SIGKILL) => CredentialError::transient(
                format!("{name} was killed ({})", finished.status),
                format!(
                    "See whether this machine or container ran out of memory. Run `{by_hand}` to see \
                     whether it works alone."
                ),
            ),
            Some(_) => CredentialError::transient(
                format!("{name} crashed ({})", finished.status),
                format!("Run `{by_hand}`. If {name} crashes there, too, reinstall it. {install}."),
            ),
            None => CredentialError::transient(
                format!("{name} failed ({})", finished.status),
                format!(
                    "Run `{by_hand}` to see why. If nobody is signed in, {}{}",
                    self.tool.run[..1].to_ascii_lowercase(),
                    &self.sign_in()[1..]
                ),
            ),
        }
    }

    /// The error for output that cannot be used, although the tool succeeded.
    pub(super) fn unreadable(&self, message: &str, by_hand: &str) -> CredentialError {
        let Tool { name, upgrade, .. } = self.tool;
        CredentialError::needs_action(
            message,
            format!("Run `{by_hand}` to see what it prints; an old {name} may need: {upgrade}"),
        )
    }

    /// The remedy if nobody is signed in.
    pub(super) fn sign_in(&self) -> String {
        let command = self.sign_in_command(self.keys.tenant.as_ref());
        format!("{}: {command}", self.tool.run)
    }

    fn sign_in_command(&self, tenant: Option<&config::Tenant>) -> String {
        let kind = config::kind(self.tool.kind);
        kind.and_then(|kind| kind.sign_in.command(tenant))
            .expect("the kind of a tool has a command that signs in")
    }
}

/// The tenant of the command that a tool names. Only an id or a domain is taken from its output.
fn tenant_in(said: &str) -> Option<config::Tenant> {
    let (_, rest) = said.split_once("--tenant ")?;
    let word = rest.split_ascii_whitespace().next()?;
    config::Tenant::parse(word.trim_matches(['"', '\''])).ok()
}

const SIGKILL: i32 = 9;

/// The signal that ended a program, or a program that it ran, of which a shell tells by its status.
#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    let of_shell = status.code().map(|code| code - 128);
    std::os::unix::process::ExitStatusExt::signal(&status)
        .or_else(|| of_shell.filter(|signal| (1..32).contains(signal)))
}

/// The exception that ended a program, such as 0xC0000005 (NTSTATUS values, severity 3).
#[cfg(not(unix))]
fn signal(status: ExitStatus) -> Option<i32> {
    let code = status.code()?;
    (0xC000_0000..0xD000_0000)
        .contains(&code.cast_unsigned())
        .then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tenant_is_taken_from_the_output_of_a_tool() {
        let tenant = |said| tenant_in(said).map(|tenant| tenant.to_string());
        assert_eq!(
            tenant("az login --tenant \"t-1\" --scope x").as_deref(),
            Some("t-1")
        );
        assert_eq!(
            tenant("az login --tenant contoso.com").as_deref(),
            Some("contoso.com")
        );
        for said in [
            "",
            "--tenant ",
            "--tenant \"a/b\"",
            "--tenant $(x)",
            "--tenant --x",
        ] {
            assert_eq!(tenant(said), None, "{said}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_can_be_typed_as_it_is_shown() {
        let arguments = [
            "--resource",
            "https://a.example",
            "--subscription",
            "Jane's own",
        ];
        assert_eq!(
            command_line("az", None, &arguments),
            r"az --resource https://a.example --subscription 'Jane'\''s own'"
        );
        let path = Path::new("/opt/my tools/az");
        assert_eq!(command_line("az", Some(path), &[]), "'/opt/my tools/az'");
    }
}
