//! Warnings about a valid configuration, by `check` and in the log.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use super::emulator;
use crate::support::{
    process::{self, Process, text},
    write_config,
};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode is set");
}

#[tokio::test]
async fn a_secret_that_everybody_can_replace_is_warned_of() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let secret = files.path().join("secret");
    let config_name = config.to_str().expect("UTF-8");
    let check = || process::output(process::command(&["--config", config_name, "check"]));
    chmod(&secret, 0o600);
    let checked = check().await;
    assert!(
        !text(&checked.stderr).contains("chmod"),
        "{}",
        text(&checked.stderr)
    );

    chmod(&secret, 0o666);
    let cure = format!("chmod o-w {}", secret.display());
    let checked = check().await;
    assert_eq!(checked.status.code(), Some(0));
    assert!(
        text(&checked.stderr).contains(&cure),
        "{}",
        text(&checked.stderr)
    );
    let process = Process::start(process::run(&config));
    process
        .until_stderr(move |log| log.contains(&cure).then_some(()))
        .await;
}

#[tokio::test]
async fn a_tool_in_a_folder_that_everybody_can_write_to_is_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let az = folder.path().join("az");
    fs::write(&az, "#!/bin/sh\nexit 1\n").expect("written");
    chmod(&az, 0o755);
    let arguments = ["check", "--fhir", azure_emulator::FHIR_AUDIENCE];
    let before = tempfile::tempdir().expect("a folder");
    let path = format!("{}:{}", before.path().display(), folder.path().display());
    chmod(before.path(), 0o777);
    let mut command = process::command(&arguments);
    command
        .args(["--credential", "azure-cli"])
        .env("PATH", path);
    let checked = process::output(command).await;
    let cure = format!("chmod o-w {}", before.path().display());
    assert!(
        text(&checked.stderr).contains(&cure),
        "{}",
        text(&checked.stderr)
    );
    for (mode, credential, is_warned) in [
        (0o755, "azure-cli", false),
        (0o777, "azure-cli", true),
        (0o1777, "auto", true),
    ] {
        chmod(folder.path(), mode);
        let mut command = process::command(&arguments);
        command
            .args(["--credential", credential])
            .env("PATH", folder.path());
        let checked = process::output(command).await;
        let said = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(0), "{said}");
        let cure = format!("chmod o-w {}", folder.path().display());
        assert_eq!(said.contains(&cure), is_warned, "{said}");
    }
}
