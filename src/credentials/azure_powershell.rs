//! `azure-powershell`: the token of the user who is signed in with `Connect-AzAccount`, from
//! `Get-AzAccessToken` of the Az.Accounts module.

use std::{
    ffi::OsString,
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use tokio::sync::Mutex;

use super::{
    AccessToken, CredentialError, Reason, aadsts,
    children::{Children, Finished},
    context::Context,
    requester::Requester,
    tool::{self, Advice, Tool},
};
use crate::config::{self, Audience, Tenant};

const SCRIPT: &str = include_str!("azure_powershell.ps1");

/// The start of the one line of output that counts.
const MARK: &str = "ahds-proxy ";

pub(super) static POWERSHELL: Tool = Tool {
    kind: "azure-powershell",
    name: "PowerShell",
    title: "PowerShell (pwsh)",
    programs: if cfg!(windows) {
        &["pwsh", "powershell"]
    } else {
        &["pwsh"]
    },
    install: "Install PowerShell (https://aka.ms/powershell)",
    run_in: "Run in PowerShell",
    environment: &[
        ("POWERSHELL_UPDATECHECK", Some("Off")),
        ("NO_COLOR", Some("1")),
        ("AZURE_CLIENT_SECRET", None),
        ("AZURE_CLIENT_CERTIFICATE_PASSWORD", None),
    ],
    turn: Mutex::const_new(()),
};

/// The account of the Az.Accounts module.
#[derive(Debug)]
pub(super) struct AzurePowerShell {
    keys: config::Tool,
    children: Children,
}

impl AzurePowerShell {
    pub(super) fn new(keys: config::Tool, context: &Context) -> Self {
        Self {
            keys,
            children: context.children.clone(),
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let path = self.keys.path.as_deref();
        let script = script(audience, self.keys.tenant.as_ref());
        let arguments: [OsString; 4] = [
            "-NoProfile".into(),
            "-NonInteractive".into(),
            "-EncodedCommand".into(),
            encode(&script).into(),
        ];
        let advice = self.advice(audience);
        let finished = POWERSHELL
            .run(&self.children, path, &arguments, self.keys.timeout, &advice)
            .await?;
        let stdout = String::from_utf8_lossy(&finished.stdout);
        // Control sequences for terminals may precede the mark on its line.
        let said = stdout
            .lines()
            .find_map(|line| Some(line.split_once(MARK)?.1.trim_end()));
        match said {
            Some(said) => self.understand(said, &finished, audience, &advice),
            None => Err(POWERSHELL.failed(&finished, &advice)),
        }
    }

    fn understand(
        &self,
        said: &str,
        finished: &Finished,
        audience: &Audience,
        advice: &Advice,
    ) -> Result<AccessToken, CredentialError> {
        let requester = Requester {
            tenant: self.keys.tenant.as_ref().map(Tenant::as_str),
            client_id: None,
            audience,
        };
        let sign_in = &advice.sign_in;
        let needs_action = |message: &str, remedy: &str| {
            CredentialError::new(Reason::NeedsAction, message, remedy)
        };
        let words: Vec<&str> = said.split(' ').collect();
        Err(match words[..] {
            ["token", seconds, token] if !token.is_empty() => {
                let expires_on = seconds
                    .parse()
                    .ok()
                    .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
                return Ok(AccessToken {
                    secret: SecretString::from(token),
                    expires_on: expires_on.ok_or_else(|| unreadable(advice))?,
                    renewal: tool::RENEWAL,
                });
            }
            ["token", ..] => unreadable(advice),
            // Many machines have PowerShell without the module, so `auto` skips this source.
            ["no-module"] => CredentialError::new(
                Reason::Absent,
                "PowerShell has no module Az.Accounts",
                format!(
                    "Run in PowerShell: Install-Module Az.Accounts -Scope CurrentUser. {sign_in}"
                ),
            ),
            ["old-module"] => needs_action(
                "the module Az.Accounts is too old to give out tokens",
                "Run in PowerShell: Update-Module Az.Accounts",
            ),
            ["signed-out"] => needs_action("nobody is signed in to Azure PowerShell", sign_in),
            ["policy"] => needs_action(
                "the execution policy keeps PowerShell from loading Az.Accounts",
                "Run in PowerShell: Set-ExecutionPolicy RemoteSigned -Scope CurrentUser",
            ),
            ["entra", code] => match code.parse() {
                Ok(code) => aadsts::explain(code, &requester, sign_in),
                Err(_) => POWERSHELL.failed(finished, advice),
            },
            _ => POWERSHELL.failed(finished, advice),
        })
    }

    fn advice(&self, audience: &Audience) -> Advice {
        let tenant = self.keys.tenant.as_ref();
        let tenant = tenant.map_or_else(String::new, |tenant| format!(" -TenantId {tenant}"));
        Advice {
            by_hand: format!("Get-AzAccessToken -ResourceUrl {audience}{tenant}"),
            sign_in: POWERSHELL.sign_in(self.keys.tenant.as_ref()),
        }
    }
}

fn unreadable(advice: &Advice) -> CredentialError {
    POWERSHELL.unreadable(
        "PowerShell did not print a token with its expiry",
        "Update-Module Az.Accounts",
        advice,
    )
}

/// The script that prints a token. Neither an audience nor a tenant can contain a quote, so they
/// cannot end their strings in the script.
fn script(audience: &Audience, tenant: Option<&Tenant>) -> String {
    let tenant = tenant.map_or("", Tenant::as_str);
    let mut script = String::new();
    // Writing into a String cannot fail.
    let _ = write!(
        script,
        "$audience = '{audience}'\n$tenant = '{tenant}'\n{SCRIPT}"
    );
    script
}

/// Encodes a script for `-EncodedCommand`: base64 of UTF-16LE.
fn encode(script: &str) -> String {
    let bytes: Vec<u8> = script.encode_utf16().flat_map(u16::to_le_bytes).collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_powershell_decodes() {
        // PowerShell's own example, from `pwsh -h`.
        assert_eq!(encode("dir"), "ZABpAHIA");
    }

    #[test]
    fn fits_into_the_shortest_command_line_there_is() {
        let long = format!("https://{}.example", "a".repeat(200));
        let audience = Audience::parse(&long).expect("an audience");
        let tenant = Tenant::parse("72f988bf-86f1-41af-91ab-2d7cd011db47").expect("a tenant");
        let encoded = encode(&script(&audience, Some(&tenant)));
        // `CreateProcess` of Windows takes 32767 characters, but a .cmd file in between only 8191.
        assert!(encoded.len() < 8000, "{}", encoded.len());
    }
}
