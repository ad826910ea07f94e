//! Runs the command-line tools that a user signs in to: finds the program, runs it and explains its
//! failures.

use std::{
    ffi::OsString,
    iter,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::Mutex;

use super::{
    CredentialError, Reason, Renewal,
    children::{self, Call, Children, Finished, SubprocessError},
};
use crate::config::{self, Tenant};

/// The renewal of tokens from tools. The tools return their cached token until five minutes before
/// its expiry, so an earlier renewal would run them repeatedly for the same token.
pub(super) const RENEWAL: Renewal = Renewal::NotBefore(Duration::from_secs(4 * 60 + 50));

/// The remedies when a tool fails.
#[derive(Debug)]
pub(super) struct Advice {
    /// The command that failed, to be run by hand.
    pub(super) by_hand: String,
    /// The way to sign in.
    pub(super) sign_in: String,
}

/// A command as it is typed into a shell.
pub(super) fn command_line(program: &str, path: Option<&Path>, arguments: &[OsString]) -> String {
    let program = path.map_or_else(|| program.into(), Path::to_string_lossy);
    let arguments = arguments.iter().map(|argument| argument.to_string_lossy());
    let words: Vec<String> = iter::once(program)
        .chain(arguments)
        .map(|word| quoted(&word))
        .collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@\\".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else if cfg!(windows) {
        format!("\"{word}\"")
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
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
    /// `Run`, or where to run a command.
    pub(super) run_in: &'static str,
    /// The variables to set, or to remove.
    pub(super) environment: &'static [(&'static str, Option<&'static str>)],
    /// Locked while the tool runs, since parallel runs damage its caches on disk.
    pub(super) turn: Mutex<()>,
}

impl Tool {
    /// Runs the tool to its end.
    pub(super) async fn run(
        &self,
        children: &Children,
        path: Option<&Path>,
        arguments: &[OsString],
        limit: Duration,
        advice: &Advice,
    ) -> Result<Finished, CredentialError> {
        let program = self.find(path, advice).await?;
        let call = Call {
            program: &program,
            arguments,
            environment: self.environment,
            limit,
            turn: &self.turn,
        };
        let finished = children.run(call).await;
        finished.map_err(|error| self.not_run(&error, advice))
    }

    async fn find(&self, path: Option<&Path>, advice: &Advice) -> Result<PathBuf, CredentialError> {
        let find = async |program| {
            let found = children::find(program).await;
            found.map_err(|error| self.not_run(&error, advice))
        };
        if let Some(path) = path {
            let absent = || self.not_run(&SubprocessError::NotFound(path.to_owned()), advice);
            return find(path).await?.ok_or_else(absent);
        }
        for program in self.programs {
            if let Some(found) = find(Path::new(program)).await? {
                return Ok(found);
            }
        }
        let message = format!("{} is not on PATH", self.title);
        Err(CredentialError::new(
            Reason::Absent,
            message,
            self.install(),
        ))
    }

    /// The remedy if there is no program. It names the table, too, since `auto` has no keys.
    fn install(&self) -> String {
        format!(
            "{}, or set `path` below [credentials.NAME.{}] to the {} program.",
            self.install, self.kind, self.programs[0]
        )
    }

    /// The remedy if nobody is signed in.
    pub(super) fn sign_in(&self, tenant: Option<&Tenant>) -> String {
        let kind = config::kind(self.kind).and_then(|kind| kind.sign_in.command(tenant));
        format!("{}: {}", self.run_in, kind.unwrap_or_default())
    }

    /// The program that a call would run now.
    pub(super) fn find_now(&self, path: Option<&Path>) -> Option<PathBuf> {
        let mut programs = self.programs.iter().map(Path::new);
        match path {
            Some(path) => children::find_now(path),
            None => programs.find_map(children::find_now),
        }
    }

    fn not_run(&self, error: &SubprocessError, advice: &Advice) -> CredentialError {
        let name = self.name;
        let Advice { by_hand, sign_in } = advice;
        match error {
            SubprocessError::NotFound(program) => CredentialError::new(
                Reason::Absent,
                format!("there is no program {}", program.display()),
                self.install(),
            ),
            SubprocessError::Start { program, reason } => CredentialError::new(
                Reason::NeedsAction,
                format!("{} cannot be started: {reason}", program.display()),
                self.install(),
            ),
            SubprocessError::Timeout(after) => CredentialError::new(
                Reason::Transient,
                format!(
                    "{name} gave no token within {} s and was ended",
                    after.as_secs_f32()
                ),
                format!(
                    "Run `{by_hand}` to see what it waits for; a larger `timeout` below \
                     [credentials.NAME.{}] helps a slow machine. {sign_in}",
                    self.kind
                ),
            ),
            SubprocessError::Output => CredentialError::new(
                Reason::Transient,
                format!("the output of {name} could not be read"),
                format!("Run `{by_hand}` to see what it prints."),
            ),
        }
    }

    /// The error for a failure without a known cause.
    pub(super) fn failed(&self, finished: &Finished, advice: &Advice) -> CredentialError {
        CredentialError::new(
            Reason::Transient,
            format!("{} failed ({})", self.name, finished.status),
            format!("Run `{}` to see why. {}", advice.by_hand, advice.sign_in),
        )
    }

    /// The error for output that cannot be used, although the tool succeeded.
    pub(super) fn unreadable(
        &self,
        message: impl Into<String>,
        upgrade: &str,
        advice: &Advice,
    ) -> CredentialError {
        CredentialError::new(
            Reason::NeedsAction,
            message,
            format!(
                "Run `{}` to see what it prints; an old {} may need: {upgrade}",
                advice.by_hand, self.name
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_command_can_be_typed_as_it_is_shown() {
        let arguments = [
            "--resource",
            "https://a.example",
            "--subscription",
            "Jane's own",
        ];
        let arguments = arguments.map(OsString::from);
        assert_eq!(
            command_line("az", None, &arguments),
            r"az --resource https://a.example --subscription 'Jane'\''s own'"
        );
        let path = Path::new("/opt/my tools/az");
        assert_eq!(command_line("az", Some(path), &[]), "'/opt/my tools/az'");
    }
}
