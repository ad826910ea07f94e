//! What the program itself prints, and how it exits.

use std::process::{Command, Output};

fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ahds-proxy"));
    // Variables of whoever runs the tests must not decide them.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("AHDS_PROXY") || name.starts_with("AZURE") || name == "RUST_LOG" {
            command.env_remove(&*name);
        }
    }
    command.args(arguments).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

const FHIR: [&str; 2] = ["--fhir", "https://ws-fhir.fhir.azurehealthcareapis.com"];

#[test]
fn the_program_refuses_with_exit_code_2() {
    let open = ["--listen", "0.0.0.0:8080", FHIR[0], FHIR[1]];
    for (arguments, expected) in [
        (&[][..], "ahds-proxy --fhir https://WS-FHIR.fhir."),
        (&open, "allow_remote"),
        (&["--no-such-flag"], "--no-such-flag"),
        (
            &["check", "--online", FHIR[0], FHIR[1]],
            "not available yet",
        ),
        (
            &["-c", "tests/it/config/invalid/headers.toml"],
            "Authorization",
        ),
        (&["token", "fhir"], "there is no route"),
        (&["--log", "inof"], "there is no route"),
    ] {
        let output = program(arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn the_program_checks() {
    let output = program(&[FHIR[0], FHIR[1], "check"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains(&format!("audience {}", FHIR[1])),
        "{stdout}"
    );
    assert!(stdout.contains("[::1]:8080"), "{stdout}");
    assert_eq!(text(&output.stderr), "");

    let output = program(&["check", "--output", "json", FHIR[0], FHIR[1]]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["routes"][0]["audience"], FHIR[1]);
    assert_eq!(json["routes"][0]["credential"]["kind"], "auto");
    assert_eq!(json["admin"], "127.0.0.1:8081");
}

#[test]
fn the_program_prints_completions_and_help() {
    for shell in ["bash", "zsh", "fish"] {
        let output = program(&["completions", shell]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("ahds-proxy"), "{shell}");
    }
    let help = program(&["--help"]);
    assert!(help.status.success());
    for expected in ["--fhir https://WS-FHIR", "Exit codes:", "AHDS_PROXY_FHIR"] {
        assert!(text(&help.stdout).contains(expected), "{expected}");
    }
}
