//! A program played by a shell script, in a folder of its own.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use ahds_proxy::{
    clock::Clock,
    config::{Audience, Credential as Keys},
    credentials::{AccessToken, CredentialError, Credentials},
    upstream::Connections,
};
use azure_emulator::{DICOM_AUDIENCE, Emulator, FHIR_AUDIENCE, Options};
use tempfile::TempDir;

use super::{Setup, client, process};

/// A script and the files it keeps, in a folder with a space in its name. In the script `$D` is
/// that folder.
pub(crate) struct Stub {
    name: &'static str,
    folder: TempDir,
}

impl Stub {
    pub(crate) fn new(name: &'static str, script: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("a stub ")
            .tempdir()
            .expect("a temporary folder");
        let stub = Self { name, folder };
        stub.set(script);
        stub
    }

    /// Replaces the script.
    pub(crate) fn set(&self, script: &str) {
        let text = format!(
            "#!/bin/sh\nD='{}'\necho run >>\"$D/runs\"\n{script}\n",
            self.folder.path().display()
        );
        // Written aside and moved into place: a file open for writing cannot be run.
        let new = self.path("new");
        fs::write(&new, text).expect("a script is written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("made executable");
        fs::rename(new, self.program()).expect("moved into place");
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.path(self.name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file is written");
    }

    /// The text that the script left in a file; empty while there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The number of times it was run.
    pub(crate) fn runs(&self) -> usize {
        self.read("runs").lines().count()
    }

    /// Leaves a good token for each audience of the emulator in the files `fhir` and `dicom`.
    pub(crate) fn write_tokens(&self, emulator: &Emulator, answer: impl Fn(&str) -> String) {
        for (name, audience) in [("fhir", FHIR_AUDIENCE), ("dicom", DICOM_AUDIENCE)] {
            let token = emulator.entra().issue(audience, 3600);
            self.write(name, &answer(&token));
        }
    }

    /// Lines of a configuration whose routes get their tokens from this script.
    pub(crate) fn lines(&self, table: &'static str, keys: &str) -> Vec<(&'static str, String)> {
        let name = table.split('.').nth(1).expect("credentials.NAME.KIND");
        let keys = format!("path = \"{}\"\n{keys}", self.program().display());
        vec![
            ("routes.fhir", format!("credential = \"{name}\"")),
            ("routes.dicom", format!("credential = \"{name}\"")),
            (table, keys),
        ]
    }

    /// A stage whose routes get their tokens from this script.
    pub(crate) fn setup(&self, table: &'static str, keys: &str) -> Setup {
        let lines = self.lines(table, keys).into_iter();
        lines.fold(Setup::new(), |setup, (table, lines)| {
            setup.with(table, lines)
        })
    }
}

/// Checks that a program with valid tokens serves both routes and is run once for each.
pub(crate) async fn check_both_routes(
    stub: &Stub,
    table: &'static str,
    answer: impl Fn(&str) -> String,
) {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    stub.write_tokens(&emulator, answer);
    let stage = stub.setup(table, "").start_before(emulator).await;
    for path in ["/fhir/Patient?_count=1", "/dicom/v2/changefeed?limit=1"] {
        let answer = client::get(stage.address(), path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(stub.runs(), 2);
}

/// The error for a token of this kind where PATH holds no program.
pub(crate) async fn error_without_program(kind: &str) -> String {
    let nothing = tempfile::tempdir().expect("a folder");
    let mut command = process::command(&["token", "fhir", "--fhir", FHIR_AUDIENCE]);
    command
        .args(["--credential", kind])
        .env("PATH", nothing.path());
    let output = process::output(command).await;
    assert_eq!(output.status.code(), Some(1));
    process::text(&output.stderr).to_owned()
}

/// The result of a credential for the FHIR audience.
pub(crate) async fn ask(keys: &Keys) -> Result<AccessToken, CredentialError> {
    let mut config = super::minimal_config();
    let name: Arc<str> = "default".into();
    config.credentials.insert(name.clone(), keys.clone());
    let connections = Connections::new(&config.network).expect("a client");
    let credentials = Credentials::new(
        &config.credentials,
        &config.secret_variables,
        &connections,
        &Clock::default(),
    );
    let credential = &credentials[&name];
    let audience = Audience::parse(FHIR_AUDIENCE).expect("an audience");
    credential.token(Some(&audience)).await
}
