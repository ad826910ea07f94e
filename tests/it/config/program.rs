//! The output and exit codes of the program.

use std::process::{Command, Output};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::{Engine as _, engine::general_purpose::STANDARD};

fn program(arguments: &[&str]) -> Output {
    program_with(&[], arguments)
}

fn program_with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ahds-proxy"));
    // Variables of whoever runs the tests must not decide them.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("AHDS_PROXY") || name.starts_with("AZURE") || name == "RUST_LOG" {
            command.env_remove(&*name);
        }
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command.envs(variables.iter().copied());
    command.args(arguments).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

const FHIR: [&str; 2] = [
    "--fhir",
    "https://contoso-fhir.fhir.azurehealthcareapis.com",
];

#[test]
fn the_program_refuses_with_exit_code_2() {
    let open = ["--listen", "0.0.0.0:8080", FHIR[0], FHIR[1]];
    for (arguments, expected) in [
        (&[][..], "ahds-proxy --fhir https://WS-FHIR.fhir."),
        (&open, "allow_remote"),
        (&["--no-such-flag"], "--no-such-flag"),
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
fn an_endpoint_that_the_platform_names_is_not_led_elsewhere_either() {
    let files = tempfile::tempdir().expect("a folder");
    let config = files.path().join("ahds-proxy.toml");
    let lines = "[routes.fhir]\nupstream = \"https://contoso-fhir.fhir.azurehealthcareapis.com\"\n\
                 [credentials.default.managed-identity]\n\
                 [network.resolve]\n\"localhost:8005\" = \"192.0.2.1:8005\"\n";
    std::fs::write(&config, lines).expect("written");
    let platform = [
        ("IDENTITY_ENDPOINT", "http://localhost:8005/msi/token"),
        ("IDENTITY_HEADER", "s3cret"),
    ];
    let path = config.to_str().expect("UTF-8");
    let output = program_with(&platform, &["-c", path, "token", "fhir"]);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let expected = "network.resolve leads localhost:8005 to another machine";
    assert!(stderr.contains(expected), "{stderr}");
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
    for expected in [
        "ahds-proxy https://WS-FHIR",
        "Exit codes:",
        "AHDS_PROXY_FHIR",
    ] {
        assert!(text(&help.stdout).contains(expected), "{expected}");
    }
}

#[test]
fn the_program_prints_problems_as_json_too() {
    let bad = ["-c", "tests/it/config/invalid/headers.toml", "check"];
    let in_text = program(&bad);
    assert_eq!(text(&in_text.stdout), "");
    for online in [false, true] {
        let mut arguments = [&bad[..], &["--output", "json"]].concat();
        arguments.extend(online.then_some("--online"));
        let output = program(&arguments);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(output.stderr, in_text.stderr);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let first = if online {
            assert_eq!(json[0]["status"], "failed");
            let detail = json[0]["detail"].as_str().expect("text");
            assert!(
                detail.contains("headers.toml:4:1: `routes.fhir"),
                "{detail}"
            );
            assert_eq!(json.as_array().map(Vec::len), Some(9));
            &json[0]
        } else {
            assert_eq!(json["valid"], false);
            assert_eq!(json["problems"].as_array().map(Vec::len), Some(9));
            assert_eq!(json["problems"][0]["line"], 4);
            &json["problems"][0]
        };
        assert!(
            first["remedy"]
                .as_str()
                .is_some_and(|text| text.contains("remove it"))
        );
    }
    let output = program(&["check", "--output", "json", "--fhir", "nonsense"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["problems"][0]["argument"], "--fhir");
}

#[test]
fn the_program_finds_a_key_that_its_algorithm_cannot_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let key = STANDARD.encode(pair.to_pkcs8v1().expect("DER"));
    let key = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    std::fs::write(folder.path().join("key.pem"), key).expect("written");
    let file = folder.path().join("c.toml");
    for (algorithm, needed) in [
        ("RS384", "bits, which RS384 needs"),
        (
            "ES384",
            "is not an elliptic curve key on P-384, which ES384 needs",
        ),
    ] {
        let config = format!(
            "[routes.fhir]\nupstream = \"{}\"\n[credentials.default.smart-backend-services]\n\
             client_id = \"a\"\nkey = {{ file = \"key.pem\" }}\nalgorithm = \"{algorithm}\"\n\
             scope = \"system/*.rs\"\ntoken_url = \"https://login.example/token\"\n",
            FHIR[1]
        );
        std::fs::write(&file, config).expect("written");
        let path = file.to_str().expect("UTF-8");
        let output = program(&["check", "-c", path]);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("error: credential default: "), "{stderr}");
        assert!(stderr.contains(needed), "{stderr}");
        assert!(stderr.contains(" = help: Use such a key"), "{stderr}");

        let output = program(&["check", "--output", "json", "-c", path]);
        assert_eq!(output.status.code(), Some(2));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(json["valid"], false);
        let message = json["problems"][0]["message"].as_str().expect("a message");
        assert!(message.contains(needed), "{message}");
    }
}
