//! A made-up `az`: a shell script in a folder of its own.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ahds_proxy::emulator::{DICOM_AUDIENCE, Emulator, FHIR_AUDIENCE};
use tempfile::TempDir;

use super::Setup;

/// A script and the files it keeps. In the script `$D` is its folder, `$R` the value of
/// `--resource`, and `answer` prints a good answer.
pub(crate) struct FakeAz {
    folder: TempDir,
}

impl FakeAz {
    /// A script that knows one good token for each audience of the emulator.
    pub(crate) fn new(emulator: &Emulator, script: &str) -> Self {
        let fake = Self::bare(script);
        for (name, audience) in [("fhir", FHIR_AUDIENCE), ("dicom", DICOM_AUDIENCE)] {
            let token = emulator.entra().issue(audience, 3600);
            fake.write(name, &answer(&token, 3600));
        }
        fake
    }

    /// A script without tokens.
    pub(crate) fn bare(script: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("fake az ")
            .tempdir()
            .expect("a temporary folder");
        let fake = Self { folder };
        fake.set(script);
        fake
    }

    /// Replaces the script.
    pub(crate) fn set(&self, script: &str) {
        let text = format!(
            "#!/bin/sh\nD='{}'\nR=\nP=\nfor A; do [ \"$P\" = --resource ] && R=$A; P=$A; done\n\
             answer() {{ case $R in *dicom*) cat \"$D/dicom\";; *) cat \"$D/fhir\";; esac; }}\n\
             echo run >>\"$D/runs\"\n{script}\n",
            self.folder.path().display()
        );
        // Written aside and moved into place: a file open for writing cannot be run.
        let new = self.path("az.new");
        fs::write(&new, text).expect("a script is written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("made executable");
        fs::rename(new, self.program()).expect("moved into place");
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.path("az")
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

    /// What the script left in a file; empty while there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// How often it was run.
    pub(crate) fn runs(&self) -> usize {
        self.read("runs").lines().count()
    }

    /// A stage whose routes get their tokens from this script, with more keys of the credential.
    pub(crate) fn setup(&self, keys: &str) -> Setup {
        self.lines(keys)
            .into_iter()
            .fold(Setup::new(), |setup, (table, lines)| {
                setup.with(table, lines)
            })
    }

    /// Likewise, as lines of a configuration file.
    pub(crate) fn lines(&self, keys: &str) -> Vec<(&'static str, String)> {
        let keys = format!("path = \"{}\"\n{keys}", self.program().display());
        vec![
            ("routes.fhir", "credential = \"az\"".to_owned()),
            ("routes.dicom", "credential = \"az\"".to_owned()),
            ("credentials.az.azure-cli", keys),
        ]
    }
}

/// What `az account get-access-token` prints.
pub(crate) fn answer(token: &str, lifetime: u64) -> String {
    let expiry = SystemTime::now() + Duration::from_secs(lifetime);
    let epoch = expiry.duration_since(UNIX_EPOCH).expect("after 1970");
    serde_json::json!({
        "accessToken": token,
        "expiresOn": "2001-01-01 00:00:00.000000",
        "expires_on": epoch.as_secs(),
        "tenant": ahds_proxy::emulator::TENANT,
        "tokenType": "Bearer",
    })
    .to_string()
}
