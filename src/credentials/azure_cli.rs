//! `azure-cli`: the token of the user who is signed in with `az login`, from
//! `az account get-access-token`.

use std::time::SystemTime;

use tokio::sync::Mutex;

use super::{
    AccessToken, CredentialError, Reason,
    az_json::AzOutput,
    context::Context,
    tool::{Account, Failure, Printed, Tool},
};
use crate::config::{self, Audience};

pub(super) static AZ: Tool = Tool {
    kind: "azure-cli",
    name: "az",
    title: "the Azure CLI (az)",
    programs: &["az"],
    install: "Install the Azure CLI (https://aka.ms/azure-cli)",
    upgrade: "az upgrade",
    run: "Run",
    sign_out: Some("az logout"),
    environment: &[
        ("AZURE_CORE_NO_COLOR", Some("true")),
        ("AZURE_CLIENT_SECRET", None),
        ("AZURE_CLIENT_CERTIFICATE_PASSWORD", None),
    ],
    failures: &[
        // Behind it there may be all the texts of a network failure, too.
        Failure {
            texts: &["CERTIFICATE_VERIFY_FAILED"],
            reason: Reason::NeedsAction,
            message: "az does not trust the certificate of Microsoft Entra ID",
            remedy: Some(
                "Behind a TLS-inspecting proxy, set REQUESTS_CA_BUNDLE for az to a file with its CA certificate \
                 (PEM), and network.ca_file for ahds-proxy.",
            ),
        },
        // Behind a failure of the cache there may be the advice to sign in, which does not help alone.
        Failure {
            texts: &[
                "PersistenceDecryptionError",
                "Decryption failed",
                "PersistenceEncryptionError",
                "msal_extensions",
                "JSONDecodeError",
            ],
            reason: Reason::NeedsAction,
            message: if cfg!(windows) {
                "az cannot read its own files in %USERPROFILE%\\.azure (AZURE_CONFIG_DIR)"
            } else {
                "az cannot read its own files in ~/.azure (AZURE_CONFIG_DIR)"
            },
            remedy: Some("Remove them with `az account clear`, and sign in again. {sign in}"),
        },
        Failure {
            texts: &[
                "ModuleNotFoundError",
                "No module named",
                "ImportError",
                "bad interpreter",
                "cannot open shared object file",
                "No pyvenv.cfg",
            ],
            reason: Reason::NeedsAction,
            message: "this installation of az is broken: a part of it is missing",
            remedy: Some("Install the Azure CLI again: https://aka.ms/azure-cli"),
        },
        Failure {
            texts: &["Subscription '", "The subscription of '"],
            reason: Reason::NeedsAction,
            message: "the Azure CLI does not know the subscription",
            remedy: Some(
                "Correct `subscription` in {table}. `az account list --output table` lists the known \
                 ones. A new subscription appears there after the next sign-in. {sign in}",
            ),
        },
        Failure {
            texts: &[
                "NameResolutionError",
                "Failed to resolve",
                "Max retries exceeded",
                "ConnectionError",
                "Failed to establish",
            ],
            reason: Reason::Transient,
            message: "az cannot reach Microsoft Entra ID",
            remedy: Some("Check the network, VPN and proxy settings of az."),
        },
        Failure {
            texts: &[
                "az login",
                "az account set",
                "not found in MSAL",
                "find token from MSAL",
            ],
            reason: Reason::NeedsAction,
            message: "nobody is signed in to the Azure CLI",
            remedy: None,
        },
        Failure {
            texts: &["unrecognized arguments", "is misspelled"],
            reason: Reason::NeedsAction,
            message: "this az does not know `account get-access-token --resource`",
            remedy: Some("Upgrade az. Run: az upgrade"),
        },
    ],
    turn: Mutex::const_new(()),
};

/// The number of opening braces that are tried. `az` prints few.
const MAX_NOTICES: usize = 64;

/// The Azure CLI's signed-in account.
#[derive(Debug)]
pub(super) struct AzureCli {
    account: Account,
    subscription: Option<String>,
}

impl AzureCli {
    pub(super) fn new(keys: config::AzureCli, context: &Context) -> Self {
        let subscription = keys.subscription;
        let keys = config::Tool {
            tenant: keys.tenant,
            path: keys.path,
            timeout: keys.timeout,
        };
        Self {
            account: Account::new(&AZ, keys, context),
            subscription,
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let mut arguments = vec!["account", "get-access-token", "--output", "json"];
        arguments.extend(["--resource", audience.as_str()]);
        if let Some(tenant) = &self.account.keys.tenant {
            arguments.extend(["--tenant", tenant.as_str()]);
        }
        if let Some(subscription) = &self.subscription {
            arguments.extend(["--subscription", subscription]);
        }
        self.account.token(audience, &arguments, read).await
    }
}

fn read(stdout: &[u8]) -> Printed {
    // Extensions, and programs that wrap az, print notices around the response, with or without
    // braces.
    let response = stdout
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'{')
        .take(MAX_NOTICES)
        .find_map(|(start, _)| AzOutput::starting(&stdout[start..]))
        .ok_or("az did not print a token as JSON")?;
    let expires_on = response
        .expires_on(SystemTime::now())
        .ok_or("az did not say when its token expires")?;
    Ok((response.access_token, expires_on))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_notices_around_the_answer() {
        let text = b"A new {version} is available.\n{\"accessToken\":\"t\",\"expires_on\":\"1900000000\"}\nbye\n";
        let (_, expires_on) = read(text).expect("a token");
        let expiry = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_900_000_000);
        assert_eq!(expires_on, expiry);
    }

    #[test]
    fn refuses_what_is_no_token() {
        for text in [
            "",
            "hello",
            "{}",
            "[]",
            r#"{"accessToken":"t"}"#,
            r#"{"accessToken":1,"expires_on":1}"#,
            r#"{"accessToken":"t","expiresOn":"soon"}"#,
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
