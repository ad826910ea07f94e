//! `auto`: tries the sources in the order of `DefaultAzureCredential`, and keeps the first that
//! works (learn.microsoft.com/azure/developer/intro/authentication-overview).

mod environment;
mod failure;
mod machine;
mod source;

use std::sync::OnceLock;

use super::{AccessToken, CredentialError, context::Context};
use crate::config::{self, Audience};
use failure::Standing;
use source::Source;

/// The sources, and the one that has worked.
#[derive(Debug)]
pub(super) struct Chain {
    sources: Vec<Source>,
    /// The index in `sources` of the source that has worked.
    settled: OnceLock<usize>,
}

impl Chain {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as the other kinds take theirs"
    )]
    pub(super) fn new(keys: config::Auto, context: &Context) -> Self {
        let context = Context {
            is_auto: true,
            ..context.clone()
        };
        let source = |kind: &_| Source::new(*kind, &keys, &context);
        Self {
            sources: keys.sources.iter().map(source).collect(),
            settled: OnceLock::new(),
        }
    }

    /// The name of the source that has worked.
    pub(super) fn settled_on(&self) -> Option<&'static str> {
        self.settled().map(Source::name)
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let mut failures = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            // A fetch for another audience may have settled the source in the meantime.
            if let Some(settled) = self.settled() {
                return settled.token(audience).await;
            }
            let is_last = index + 1 == self.sources.len();
            match source.attempt(audience, is_last).await {
                Ok(token) => return self.settle(index, token, audience).await,
                Err(failure) => {
                    let why = &failure.error.message;
                    tracing::debug!(source = failure.name, "auto skips a source: {why}");
                    let is_final = failure.standing == Standing::Final;
                    failures.push(failure);
                    if is_final {
                        break;
                    }
                }
            }
        }
        Err(failure::summary(failures))
    }

    /// Keeps the source of this token from now on. If a fetch for another audience was faster, that
    /// one's source is kept, and gives the token, since all audiences use one identity.
    async fn settle(
        &self,
        index: usize,
        token: AccessToken,
        audience: &Audience,
    ) -> Result<AccessToken, CredentialError> {
        let settled = *self.settled.get_or_init(|| index);
        if settled == index {
            return Ok(token);
        }
        self.sources[settled].token(audience).await
    }

    fn settled(&self) -> Option<&Source> {
        self.settled.get().map(|index| &self.sources[*index])
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, time::Duration};

    use secrecy::ExposeSecret as _;
    use tempfile::TempDir;

    use super::{
        super::{azure_cli::AzureCli, azure_developer_cli::AzureDeveloperCli},
        *,
    };

    /// As az and azd print it, in one.
    const ANSWER: &str = r#"{"expires_on":4070908800,"expiresOn":"2099-01-01T00:00:00Z""#;

    fn program(folder: &TempDir, name: &str, script: &str) -> PathBuf {
        let path = folder.path().join(name);
        let new = folder.path().join("new");
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("made executable");
        fs::rename(new, &path).expect("moved into place");
        path
    }

    /// az with a script and a time limit, then an azd that works.
    fn chain(folder: &TempDir, az: &str, timeout: Duration) -> Chain {
        let az = config::AzureCli {
            tenant: None,
            subscription: None,
            path: Some(program(folder, "az", az)),
            timeout,
        };
        let response = format!("echo '{ANSWER},\"token\":\"of azd\"}}'");
        let azd = config::Tool {
            tenant: None,
            path: Some(program(folder, "azd", &response)),
            timeout: Duration::from_secs(30),
        };
        let context = Context::for_tests();
        Chain {
            sources: vec![
                Source::AzureCli(AzureCli::new(az, &context)),
                Source::AzureDeveloperCli(AzureDeveloperCli::new(azd, &context)),
            ],
            settled: OnceLock::new(),
        }
    }

    fn audience() -> Audience {
        Audience::parse("https://a.example").expect("an audience")
    }

    #[tokio::test]
    async fn a_tool_that_hangs_holds_the_next_up_no_longer_than_it_may_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let chain = chain(&folder, "exec sleep 600", Duration::from_millis(50));
        let token = chain.token(&audience()).await.expect("a token");
        assert_eq!(token.secret.expose_secret(), "of azd");
        assert_eq!(chain.settled_on(), Some("azure-developer-cli"));
    }

    #[tokio::test]
    async fn the_identity_of_the_fastest_audience_serves_them_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let response = format!("echo '{ANSWER},\"accessToken\":\"of az\"}}'");
        let chain = chain(&folder, &response, Duration::from_secs(30));
        let late = chain.sources[0].token(&audience()).await.expect("a token");
        assert_eq!(late.secret.expose_secret(), "of az");
        chain.settled.set(1).expect("not settled before");
        let token = chain.settle(0, late, &audience()).await.expect("a token");
        assert_eq!(token.secret.expose_secret(), "of azd");
    }
}
