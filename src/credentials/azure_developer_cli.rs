//! `azure-developer-cli`: the token of the user who is signed in with `azd auth login`, from
//! `azd auth token`.

use std::{ffi::OsString, time::SystemTime};

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    AccessToken, CredentialError, Reason, aadsts,
    children::{Children, Finished},
    context::Context,
    entra,
    requester::Requester,
    tool::{self, Advice, Tool},
};
use crate::config::{self, Audience};

pub(super) static AZD: Tool = Tool {
    kind: "azure-developer-cli",
    name: "azd",
    title: "the Azure Developer CLI (azd)",
    programs: &["azd"],
    install: "Install the Azure Developer CLI (https://aka.ms/azd-install)",
    run_in: "Run",
    environment: &[
        ("AZD_SKIP_UPDATE_CHECK", Some("true")),
        ("NO_COLOR", Some("1")),
        ("AZURE_CLIENT_SECRET", None),
        ("AZURE_CLIENT_CERTIFICATE_PASSWORD", None),
    ],
    turn: Mutex::const_new(()),
};

/// The Azure Developer CLI's signed-in account.
#[derive(Debug)]
pub(super) struct AzureDeveloperCli {
    keys: config::Tool,
    children: Children,
}

#[derive(Deserialize)]
struct Response {
    token: SecretString,
    /// The expiry, as RFC 3339 writes it.
    #[serde(rename = "expiresOn")]
    expires_on: String,
}

impl AzureDeveloperCli {
    pub(super) fn new(keys: config::Tool, context: &Context) -> Self {
        Self {
            keys,
            children: context.children.clone(),
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let path = self.keys.path.as_deref();
        let arguments = self.arguments(audience);
        let advice = Advice {
            by_hand: tool::command_line(AZD.name, path, &arguments),
            sign_in: AZD.sign_in(self.keys.tenant.as_ref()),
        };
        let finished = AZD
            .run(&self.children, path, &arguments, self.keys.timeout, &advice)
            .await?;
        if !finished.success {
            return Err(self.failed(&finished, audience, &advice));
        }
        read(&finished.stdout, &advice)
    }

    fn arguments(&self, audience: &Audience) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = [
            "auth",
            "token",
            "--output",
            "json",
            "--no-prompt",
            "--scope",
        ]
        .map(Into::into)
        .into();
        arguments.push(entra::default_scope(audience).into());
        if let Some(tenant) = &self.keys.tenant {
            arguments.extend(["--tenant-id".into(), tenant.as_str().into()]);
        }
        arguments
    }

    /// Classifies the output of `azd`, which is plain text or lines of JSON, depending on the
    /// version. The output is never shown or logged.
    fn failed(&self, finished: &Finished, audience: &Audience, advice: &Advice) -> CredentialError {
        let stderr = String::from_utf8_lossy(&finished.stderr);
        let says = |texts: &[&str]| texts.iter().any(|text| stderr.contains(text));
        let requester = Requester {
            tenant: self.keys.tenant.as_ref().map(config::Tenant::as_str),
            client_id: None,
            audience,
        };
        if let Some(code) = aadsts::find_code(&stderr) {
            return aadsts::explain(code, &requester, &advice.sign_in);
        }
        if says(&["x509:", "certificate signed by unknown authority"]) {
            return CredentialError::new(
                Reason::NeedsAction,
                "azd does not trust the certificate of Microsoft Entra ID",
                "Behind a TLS-inspecting proxy add its CA certificate to the system's, or set SSL_CERT_FILE.",
            );
        }
        if says(&[
            "no such host",
            "dial tcp",
            "i/o timeout",
            "TLS handshake timeout",
        ]) {
            return CredentialError::new(
                Reason::Transient,
                "azd cannot reach Microsoft Entra ID",
                "Check the network, VPN and proxy settings of azd.",
            );
        }
        if says(&["azd auth login", "azd login", "ot logged in"]) {
            return CredentialError::new(
                Reason::NeedsAction,
                "nobody is signed in to the Azure Developer CLI, or the sign-in has expired",
                advice.sign_in.as_str(),
            );
        }
        if says(&["unknown flag", "unknown command"]) {
            return CredentialError::new(
                Reason::NeedsAction,
                "this azd does not know `auth token --no-prompt --scope`",
                "Upgrade it: https://aka.ms/azd-install",
            );
        }
        AZD.failed(finished, advice)
    }
}

fn read(stdout: &[u8], advice: &Advice) -> Result<AccessToken, CredentialError> {
    let unreadable = |message: &str| AZD.unreadable(message, "https://aka.ms/azd-install", advice);
    // Notices may precede the response, and the response may have several lines.
    let response: Response = stdout
        .split(|byte| *byte == b'\n')
        .find_map(|line| serde_json::from_slice(line).ok())
        .or_else(|| serde_json::from_slice(stdout).ok())
        .ok_or_else(|| unreadable("azd did not print a token as JSON"))?;
    let expires_on: Timestamp = response
        .expires_on
        .parse()
        .map_err(|_| unreadable("azd did not say when its token expires"))?;
    Ok(AccessToken {
        secret: response.token,
        expires_on: SystemTime::from(expires_on),
        renewal: tool::RENEWAL,
    })
}
