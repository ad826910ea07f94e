//! What the command-line tools that somebody signs in to have in common: where the program is, and
//! what to say when it gives no answer.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::Mutex;

use super::{
    CredentialError, Reason, Renewal,
    subprocess::{self, Call, Finished, SubprocessError},
};

/// These tools hand out their cached token until five minutes before that ends. To ask any earlier
/// would start them over and over for the same token.
pub(super) const RENEWAL: Renewal = Renewal::NotBefore(Duration::from_secs(4 * 60 + 50));

/// One tool and how messages speak of it.
#[derive(Debug)]
pub(super) struct Tool {
    /// As messages call it: `az`.
    pub(super) name: &'static str,
    /// For those who have never heard of it: `the Azure CLI (az)`.
    pub(super) title: &'static str,
    /// What its programs may be called on PATH, the best first.
    pub(super) programs: &'static [&'static str],
    /// What to do when there is none.
    pub(super) install: &'static str,
    /// What to run by hand to see what is wrong.
    pub(super) by_hand: &'static str,
    /// Set for it, or kept from it.
    pub(super) environment: &'static [(&'static str, Option<&'static str>)],
    /// Its caches on disk do not survive parallel runs.
    pub(super) turn: Mutex<()>,
}

impl Tool {
    /// Runs it to its end, however that is.
    pub(super) async fn run(
        &self,
        path: Option<&Path>,
        arguments: &[OsString],
        limit: Duration,
        sign_in: &str,
    ) -> Result<Finished, CredentialError> {
        let program = self.find(path)?;
        let call = Call {
            program: &program,
            arguments,
            environment: self.environment,
            limit,
            turn: &self.turn,
        };
        let finished = subprocess::run(call).await;
        finished.map_err(|error| self.not_run(&error, sign_in))
    }

    fn find(&self, path: Option<&Path>) -> Result<PathBuf, CredentialError> {
        if let Some(path) = path {
            return subprocess::find(path)
                .ok_or_else(|| self.not_run(&SubprocessError::NotFound(path.to_owned()), ""));
        }
        let mut programs = self.programs.iter();
        let found = programs.find_map(|program| subprocess::find(Path::new(program)));
        found.ok_or_else(|| {
            let message = format!("{} is not on PATH", self.title);
            CredentialError::new(Reason::Absent, message, self.install)
        })
    }

    fn not_run(&self, error: &SubprocessError, sign_in: &str) -> CredentialError {
        let Self { name, by_hand, .. } = self;
        match error {
            SubprocessError::NotFound(program) => CredentialError::new(
                Reason::Absent,
                format!("there is no program {}", program.display()),
                self.install,
            ),
            SubprocessError::Start { program, reason } => CredentialError::new(
                Reason::NeedsAction,
                format!("{} cannot be started: {reason}", program.display()),
                self.install,
            ),
            SubprocessError::Timeout(after) => CredentialError::new(
                Reason::Transient,
                format!(
                    "{name} gave no token within {} s and was ended",
                    after.as_secs_f32()
                ),
                format!(
                    "Run `{by_hand}` to see what it waits for; a larger `timeout` helps a slow machine. {sign_in}"
                ),
            ),
            SubprocessError::Output => CredentialError::new(
                Reason::Transient,
                format!("what {name} printed could not be read"),
                format!("Run `{by_hand}` to see what it prints."),
            ),
        }
    }

    /// It failed in a way of which nothing is known.
    pub(super) fn failed(&self, finished: &Finished, sign_in: &str) -> CredentialError {
        CredentialError::new(
            Reason::Transient,
            format!("{} failed ({})", self.name, finished.status),
            format!("Run `{}` to see why. {sign_in}", self.by_hand),
        )
    }

    /// It says that it succeeded, but its answer is of no use.
    pub(super) fn unreadable(&self, message: impl Into<String>, upgrade: &str) -> CredentialError {
        CredentialError::new(
            Reason::NeedsAction,
            message,
            format!(
                "Run `{}` to see what it prints; an old {} may need: {upgrade}",
                self.by_hand, self.name
            ),
        )
    }
}
