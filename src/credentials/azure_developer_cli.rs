//! `azure-developer-cli`: the token of the user who is signed in with `azd auth login`, from
//! `azd auth token`.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    AccessToken, CredentialError, Reason,
    context::Context,
    entra,
    tool::{Account, Failure, Printed, Tool},
};
use crate::config::{self, Audience};

/// `azd` writes its errors as plain text or as lines of JSON, depending on its version.
pub(super) static AZD: Tool = Tool {
    kind: "azure-developer-cli",
    name: "azd",
    title: "the Azure Developer CLI (azd)",
    programs: &["azd"],
    install: "Install the Azure Developer CLI (https://aka.ms/azd-install)",
    upgrade: "https://aka.ms/azd-install",
    run: "Run",
    sign_out: None,
    environment: &[
        ("AZD_SKIP_UPDATE_CHECK", Some("true")),
        ("NO_COLOR", Some("1")),
        ("AZURE_CLIENT_SECRET", None),
        ("AZURE_CLIENT_CERTIFICATE_PASSWORD", None),
    ],
    failures: &[
        Failure {
            texts: &["x509:", "certificate signed by unknown authority"],
            reason: Reason::NeedsAction,
            message: "azd does not trust the certificate of Microsoft Entra ID",
            remedy: Some(
                "Behind a TLS-inspecting proxy, add its CA certificate to the system's, or set SSL_CERT_FILE for azd \
                 and network.ca_file for ahds-proxy.",
            ),
        },
        Failure {
            texts: &[
                "no such host",
                "dial tcp",
                "i/o timeout",
                "TLS handshake timeout",
            ],
            reason: Reason::Transient,
            message: "azd cannot reach Microsoft Entra ID",
            remedy: Some("Check the network, VPN and proxy settings of azd."),
        },
        Failure {
            texts: &["azd auth login", "azd login", "ot logged in"],
            reason: Reason::NeedsAction,
            message: "nobody is signed in to the Azure Developer CLI, or the sign-in has expired",
            remedy: None,
        },
        Failure {
            texts: &["unknown flag", "unknown command"],
            reason: Reason::NeedsAction,
            message: "this azd does not know `auth token --no-prompt --scope`",
            remedy: Some("Upgrade azd: https://aka.ms/azd-install"),
        },
    ],
    turn: Mutex::const_new(()),
};

/// The Azure Developer CLI's signed-in account.
#[derive(Debug)]
pub(super) struct AzureDeveloperCli(Account);

#[derive(Deserialize)]
struct Response {
    token: SecretString,
    /// The expiry, as RFC 3339 writes it.
    #[serde(rename = "expiresOn")]
    expires_on: String,
}

impl AzureDeveloperCli {
    pub(super) fn new(keys: config::Tool, context: &Context) -> Self {
        Self(Account::new(&AZD, keys, context))
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let scope = entra::default_scope(audience);
        let mut arguments = vec!["auth", "token", "--output", "json", "--no-prompt"];
        arguments.extend(["--scope", &scope]);
        if let Some(tenant) = &self.0.keys.tenant {
            arguments.extend(["--tenant-id", tenant.as_str()]);
        }
        self.0.token(audience, &arguments, read).await
    }
}

fn read(stdout: &[u8]) -> Printed {
    // Notices may precede the response, and the response may have several lines.
    let response: Response = stdout
        .split(|byte| *byte == b'\n')
        .find_map(|line| serde_json::from_slice(line).ok())
        .or_else(|| serde_json::from_slice(stdout).ok())
        .ok_or("azd did not print a token as JSON")?;
    let expires_on = response.expires_on.parse::<Timestamp>();
    let expires_on = expires_on.map_err(|_| "azd did not say when its token expires")?;
    Ok((response.token, expires_on.into()))
}
