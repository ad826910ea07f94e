//! The folders in which `az` is looked for, and the environment it gets.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Output};

use azure_emulator::{Emulator, FHIR_AUDIENCE, Options};

use crate::support::{
    fake_az::FakeAz,
    process::{self, text},
};

fn program(path: &std::path::Path, script: &str) {
    fs::write(path, script).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("made executable");
}

/// `token fhir` in a folder with a rogue `az`, with relative folders before the good one in PATH.
async fn token(fake: &FakeAz, keys: &[&str]) -> Output {
    let here = tempfile::tempdir().expect("a folder");
    let rogue = format!(
        "#!/bin/sh\necho rogue >>'{}'\nexit 1\n",
        fake.path("rogue").display()
    );
    program(&here.path().join("az"), &rogue);
    fs::create_dir(here.path().join("bin")).expect("a folder");
    program(&here.path().join("bin/az"), &rogue);
    let mut command = process::command(&["token", "fhir", "--fhir", FHIR_AUDIENCE]);
    command.args(keys).current_dir(here.path()).env(
        "PATH",
        format!(".:bin::{}:/usr/bin:/bin", fake.folder().display()),
    );
    process::output(command).await
}

#[tokio::test]
async fn no_az_in_a_relative_folder_is_ever_run() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(&emulator, "answer");
    let bare = fake.path("bare.toml");
    fs::write(
        &bare,
        format!(
            "[routes.fhir]\nupstream = \"{FHIR_AUDIENCE}\"\n[credentials.default.azure-cli]\npath = \"az\"\n"
        ),
    )
    .expect("written");
    let bare = bare.to_str().expect("UTF-8");
    for keys in [&["--credential", "azure-cli"][..], &["-c", bare]] {
        let output = token(&fake, keys).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(fake.read("rogue"), "");
    }
    assert_eq!(fake.runs(), 2);
}

#[tokio::test]
async fn an_expired_token_is_not_printed() {
    let fake = FakeAz::bare("echo '{\"accessToken\":\"t\",\"expires_on\":1}'");
    let output = token(&fake, &["--credential", "azure-cli"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(text(&output.stderr).contains("has already expired"));
}

#[tokio::test]
async fn az_sees_what_it_needs_and_no_secret() {
    let fake = FakeAz::bare(
        "env >\"$D/env\"; tr '\\000' ' ' </proc/$$/cmdline >\"$D/cmdline\"\n\
         echo '{\"accessToken\":\"t\",\"expires_on\":4070908800}'",
    );
    let config = fake.path("ahds-proxy.toml");
    let text = format!(
        "[routes.fhir]\nupstream = \"{FHIR_AUDIENCE}\"\n\
         [credentials.default.azure-cli]\npath = \"./az\"\n\
         [credentials.unused.static]\ntoken = {{ env = \"MY_OWN_TOKEN\" }}\n"
    );
    fs::write(&config, text).expect("written");
    let needed = [
        ("HOME", "/home/somebody"),
        ("AZURE_CONFIG_DIR", "/home/somebody/.azure"),
        ("HTTPS_PROXY", "http://proxy.example:3128"),
        ("NO_PROXY", "127.0.0.1"),
        ("REQUESTS_CA_BUNDLE", "/etc/ssl/ca.pem"),
        ("TZ", "Asia/Tokyo"),
        ("LANG", "C.UTF-8"),
    ];
    let mut command = process::command(&["token", "fhir", "--config"]);
    command
        .arg(&config)
        .envs(needed)
        .env("AZURE_CLIENT_SECRET", "SECRET-1")
        .env("AZURE_CLIENT_CERTIFICATE_PASSWORD", "SECRET-3")
        .env("MY_OWN_TOKEN", "SECRET-2");
    let output = process::output(command).await;
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        self::text(&output.stderr)
    );
    let environment = fake.read("env");
    for (name, value) in needed {
        let line = format!("{name}={value}");
        assert!(environment.lines().any(|known| known == line), "{line}");
    }
    assert!(!environment.contains("SECRET"), "{environment}");
    let command = fake.read("cmdline");
    assert!(command.contains("get-access-token"), "{command}");
    assert!(!command.contains("SECRET"), "{command}");
}
