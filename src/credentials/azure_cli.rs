//! `azure-cli`: the token of the user who is signed in with `az login`, from
//! `az account get-access-token`.

use std::{ffi::OsString, time::SystemTime};

use tokio::sync::Mutex;

use super::{
    AccessToken, CredentialError, Reason, aadsts,
    az_json::AzOutput,
    children::{Children, Finished},
    context::Context,
    entra,
    requester::Requester,
    tool::{self, Advice, Tool},
};
use crate::config::{self, Audience};

pub(super) static AZ: Tool = Tool {
    kind: "azure-cli",
    name: "az",
    title: "the Azure CLI (az)",
    programs: &["az"],
    install: "Install the Azure CLI (https://aka.ms/azure-cli)",
    run_in: "Run",
    environment: &[
        ("AZURE_CORE_NO_COLOR", Some("true")),
        ("AZURE_CLIENT_SECRET", None),
        ("AZURE_CLIENT_CERTIFICATE_PASSWORD", None),
    ],
    turn: Mutex::const_new(()),
};

/// The number of opening braces that are tried. `az` prints few.
const MAX_NOTICES: usize = 64;

/// The Azure CLI's signed-in account.
#[derive(Debug)]
pub(super) struct AzureCli {
    keys: config::AzureCli,
    children: Children,
}

impl AzureCli {
    pub(super) fn new(keys: config::AzureCli, context: &Context) -> Self {
        Self {
            keys,
            children: context.children.clone(),
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let path = self.keys.path.as_deref();
        let arguments = self.arguments(audience);
        let advice = Advice {
            by_hand: tool::command_line(AZ.name, path, &arguments),
            sign_in: AZ.sign_in(self.keys.tenant.as_ref()),
        };
        let finished = AZ
            .run(&self.children, path, &arguments, self.keys.timeout, &advice)
            .await?;
        if !finished.success {
            return Err(self.failed(&finished, audience, &advice));
        }
        read(&finished.stdout, &advice)
    }

    fn arguments(&self, audience: &Audience) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = [
            "account",
            "get-access-token",
            "--output",
            "json",
            "--resource",
        ]
        .map(Into::into)
        .into();
        arguments.push(audience.as_str().into());
        if let Some(tenant) = &self.keys.tenant {
            arguments.extend(["--tenant".into(), tenant.as_str().into()]);
        }
        if let Some(subscription) = &self.keys.subscription {
            arguments.extend(["--subscription".into(), subscription.into()]);
        }
        arguments
    }

    /// Classifies the output of `az` by the few texts that stay the same between versions. The
    /// output is never shown or logged, since it may contain codes and account names.
    fn failed(&self, finished: &Finished, audience: &Audience, advice: &Advice) -> CredentialError {
        let stderr = String::from_utf8_lossy(&finished.stderr);
        let says = |texts: &[&str]| texts.iter().any(|text| stderr.contains(text));
        let requester = Requester {
            tenant: self.keys.tenant.as_ref().map(config::Tenant::as_str),
            client_id: None,
            audience,
        };
        if let Some(code) = aadsts::find_code(&stderr) {
            return aadsts::explain(code, &requester, &self.sign_in_again(audience));
        }
        // Before the network: requests says "Max retries exceeded" of such a connection, too.
        if says(&["CERTIFICATE_VERIFY_FAILED"]) {
            return CredentialError::new(
                Reason::NeedsAction,
                "az does not trust the certificate of Microsoft Entra ID",
                "Behind a TLS-inspecting proxy set REQUESTS_CA_BUNDLE to its CA certificate.",
            );
        }
        if says(&[
            "NameResolutionError",
            "Failed to resolve",
            "Max retries exceeded",
            "ConnectionError",
            "Failed to establish",
        ]) {
            return CredentialError::new(
                Reason::Transient,
                "az cannot reach Microsoft Entra ID",
                "Check the network, VPN and proxy settings of az.",
            );
        }
        if says(&[
            "az login",
            "az account set",
            "not found in MSAL",
            "find token from MSAL",
        ]) {
            return CredentialError::new(
                Reason::NeedsAction,
                "nobody is signed in to the Azure CLI",
                advice.sign_in.as_str(),
            );
        }
        if says(&["unrecognized arguments", "is misspelled"]) {
            return CredentialError::new(
                Reason::NeedsAction,
                "this az does not know `account get-access-token --resource`",
                "Upgrade it: az upgrade",
            );
        }
        AZ.failed(finished, advice)
    }

    /// The remedy for a failure that needs a sign-in for this audience.
    fn sign_in_again(&self, audience: &Audience) -> String {
        let tenant = match &self.keys.tenant {
            Some(tenant) => format!(" --tenant {tenant}"),
            None => String::new(),
        };
        format!(
            "Run: az logout, then az login{tenant} --scope {}",
            entra::default_scope(audience)
        )
    }
}

fn read(stdout: &[u8], advice: &Advice) -> Result<AccessToken, CredentialError> {
    let unreadable = |message: &str| AZ.unreadable(message, "az upgrade", advice);
    // Extensions, and programs that wrap az, print notices around the response, with or without
    // braces.
    let response = stdout
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'{')
        .take(MAX_NOTICES)
        .find_map(|(start, _)| AzOutput::starting(&stdout[start..]))
        .ok_or_else(|| unreadable("az did not print a token as JSON"))?;
    let expires_on = response
        .expires_on(SystemTime::now())
        .ok_or_else(|| unreadable("az did not say when its token expires"))?;
    Ok(AccessToken {
        secret: response.access_token,
        expires_on,
        renewal: tool::RENEWAL,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice() -> Advice {
        Advice {
            by_hand: String::new(),
            sign_in: String::new(),
        }
    }

    #[test]
    fn skips_notices_around_the_answer() {
        let text = b"A new {version} is available.\n{\"accessToken\":\"t\",\"expires_on\":\"1900000000\"}\nbye\n";
        let token = read(text, &advice()).expect("a token");
        let expiry = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_900_000_000);
        assert_eq!(token.expires_on, expiry);
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
            assert!(read(text.as_bytes(), &advice()).is_err(), "{text}");
        }
    }
}
