//! The real program with one credential of its own, in front of a loopback Azure.

use std::{path::PathBuf, process::Command};

use azure_emulator::{self, Emulator, Options};
use tempfile::TempDir;

use super::process::{self, text};

/// The authorities that Entra plays here: of the public cloud, the US Government's and China's.
pub(crate) const AUTHORITIES: [&str; 3] = [
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
];

/// A loopback Azure, and a folder for what a credential needs.
pub(crate) struct SigningIn {
    pub(crate) emulator: Emulator,
    pub(crate) files: TempDir,
}

impl SigningIn {
    pub(crate) async fn new() -> Self {
        let options = Options {
            samples: true,
            ..Options::default()
        };
        let emulator = Emulator::start(options).await.expect("the emulator starts");
        let files = tempfile::tempdir().expect("a folder");
        Self { emulator, files }
    }

    /// Writes a file that keys may name.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.files.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    /// The program with a credential of this kind and these keys.
    pub(crate) fn program(&self, kind: &str, keys: &str, arguments: &[&str]) -> Command {
        self.write("ca.pem", self.emulator.ca_pem());
        let entra = self.emulator.entra_address();
        let mut resolve: Vec<String> = AUTHORITIES
            .map(|host| format!("\"{host}:443\" = \"{entra}\""))
            .to_vec();
        resolve.push(format!(
            "\"{}:443\" = \"{}\"",
            azure_emulator::FHIR_HOST,
            self.emulator.fhir_address()
        ));
        let config = format!(
            "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n\
             [routes.fhir]\nupstream = \"{}\"\n\
             [credentials.default.{kind}]\n{keys}\n\
             [network]\nca_file = \"ca.pem\"\nresolve = {{ {} }}\n",
            azure_emulator::FHIR_AUDIENCE,
            resolve.join(", ")
        );
        let config = self.write("ahds-proxy.toml", config);
        let mut command = process::run(&config);
        command.args(arguments);
        for name in [
            "IDENTITY_ENDPOINT",
            "IDENTITY_HEADER",
            "IDENTITY_SERVER_THUMBPRINT",
            "IMDS_ENDPOINT",
            "MSI_ENDPOINT",
            "MSI_SECRET",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// `ahds-proxy token fhir`: the token, or what the program says instead.
    pub(crate) async fn token(
        &self,
        kind: &str,
        keys: &str,
        variables: &[(&str, &str)],
    ) -> Result<String, String> {
        let mut command = self.program(kind, keys, &["token", "fhir", "--output", "raw"]);
        command.envs(variables.iter().copied());
        let output = process::output(command).await;
        if output.status.success() {
            Ok(text(&output.stdout).trim().to_owned())
        } else {
            assert_eq!(text(&output.stdout), "");
            Err(text(&output.stderr).to_owned())
        }
    }
}
