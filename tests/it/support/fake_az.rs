//! A made-up `az`: a shell script in a folder of its own.

use std::{
    ops::Deref,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use azure_emulator::Emulator;

use super::{Setup, stub::Stub};

const TABLE: &str = "credentials.az.azure-cli";

/// A script that stands for `az`. In it `$R` is the value of `--resource`, and `answer` prints a
/// good answer.
pub(crate) struct FakeAz {
    stub: Stub,
}

impl Deref for FakeAz {
    type Target = Stub;

    fn deref(&self) -> &Stub {
        &self.stub
    }
}

impl FakeAz {
    /// A script that knows one good token for each audience of the emulator.
    pub(crate) fn new(emulator: &Emulator, script: &str) -> Self {
        let fake = Self::bare(script);
        fake.write_tokens(emulator, |token| answer(token, 3600));
        fake
    }

    /// A script without tokens.
    pub(crate) fn bare(script: &str) -> Self {
        let fake = Self {
            stub: Stub::new("az", ""),
        };
        fake.set(script);
        fake
    }

    /// Replaces the script.
    pub(crate) fn set(&self, script: &str) {
        self.stub.set(&format!(
            "R=\nP=\nfor A; do [ \"$P\" = --resource ] && R=$A; P=$A; done\n\
             answer() {{ case $R in *dicom*) cat \"$D/dicom\";; *) cat \"$D/fhir\";; esac; }}\n{script}"
        ));
    }

    /// A stage whose routes get their tokens from this script, with more keys of the credential.
    pub(crate) fn setup(&self, keys: &str) -> Setup {
        self.stub.setup(TABLE, keys)
    }

    /// The lines of a configuration file whose routes get their tokens from this script, with more
    /// keys of the credential.
    pub(crate) fn lines(&self, keys: &str) -> Vec<(&'static str, String)> {
        self.stub.lines(TABLE, keys)
    }
}

/// The output of `az account get-access-token`.
pub(crate) fn answer(token: &str, lifetime: u64) -> String {
    let expiry = SystemTime::now() + Duration::from_secs(lifetime);
    let epoch = expiry.duration_since(UNIX_EPOCH).expect("after 1970");
    serde_json::json!({
        "accessToken": token,
        "expiresOn": "2001-01-01 00:00:00.000000",
        "expires_on": epoch.as_secs(),
        "tenant": azure_emulator::TENANT,
        "tokenType": "Bearer",
    })
    .to_string()
}
