//! `command`: tokens from any program.

use std::time::Duration;

use ahds_proxy::{
    config::{Command as Keys, Credential as Config},
    credentials::{AccessToken, CredentialError, Reason},
};
use azure_emulator::{DICOM_AUDIENCE, Emulator, FHIR_AUDIENCE, Options};

use crate::support::{
    PATIENCE, Setup, client,
    fake_az::answer,
    process::{self, text},
    stub::{Stub, ask},
};

const FHIR: &str = "/fhir/Patient?_count=1";
const DICOM: &str = "/dicom/v2/changefeed?limit=1";
const BY_AUDIENCE: &str =
    "case $AHDS_PROXY_AUDIENCE in *dicom*) cat \"$D/dicom\";; *) cat \"$D/fhir\";; esac";

async fn token(script: &str, timeout: Duration) -> Result<AccessToken, CredentialError> {
    let stub = Stub::new("get-token", script);
    ask(&Config::Command(Keys {
        program: stub.program(),
        arguments: Vec::new(),
        timeout,
    }))
    .await
}

async fn error_of(script: &str) -> CredentialError {
    token(script, PATIENCE).await.expect_err("no token")
}

fn setup(argv: &str) -> Setup {
    Setup::new()
        .with("routes.fhir", "credential = \"tool\"")
        .with("routes.dicom", "credential = \"tool\"")
        .with("credentials.tool.command", format!("argv = {argv}"))
}

#[tokio::test]
async fn a_program_serves_raw_tokens_and_the_json_of_az() {
    let raw = |token: &str| format!("{token}\n");
    let json = |token: &str| answer(token, 3600);
    for print in [&raw as &dyn Fn(&str) -> String, &json] {
        let emulator = Emulator::start(Options::default()).await.expect("started");
        let stub = Stub::new("get-token", BY_AUDIENCE);
        stub.write_tokens(&emulator, print);
        let argv = format!("[\"{}\"]", stub.program().display());
        let stage = setup(&argv).start_before(emulator).await;
        for path in [FHIR, DICOM, FHIR] {
            let answer = client::get(stage.address(), path).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        assert_eq!(stub.runs(), 2);
    }
}

#[tokio::test]
async fn its_arguments_reach_it_as_they_are() {
    let stub = Stub::new(
        "get-token",
        "for A; do echo \"[$A]\" >>\"$D/args\"; done; pwd >\"$D/cwd\"\n\
         read LINE && echo open >\"$D/stdin\"; echo \"$AHDS_PROXY_AUDIENCE\" >\"$D/audience\"; echo token",
    );
    let arguments = ["a b", "", "$HOME", "'; x", "*", "--"];
    let keys = Config::Command(Keys {
        program: stub.program(),
        arguments: arguments.map(str::to_owned).into(),
        timeout: PATIENCE,
    });
    ask(&keys).await.expect("a token");
    let expected = arguments.map(|argument| format!("[{argument}]"));
    assert_eq!(stub.read("args").lines().collect::<Vec<_>>(), expected);
    assert_eq!(stub.read("cwd"), "/\n");
    assert_eq!(stub.read("stdin"), "");
    assert_eq!(stub.read("audience").trim(), FHIR_AUDIENCE);
}

#[tokio::test]
async fn each_failure_says_what_to_do_and_hides_what_was_printed() {
    const BY_HAND: &str = "Run it by hand";
    for (script, reason, expected) in [
        (
            "echo SECRET-OUTPUT; echo SECRET-OUTPUT >&2; exit 3",
            Reason::Transient,
            "failed (exit status: 3)",
        ),
        ("kill -9 $$", Reason::Transient, "failed (signal: 9"),
        ("", Reason::NeedsAction, "printed nothing"),
        (
            "echo SECRET-OUTPUT >&2",
            Reason::NeedsAction,
            "printed nothing",
        ),
        ("echo; echo '  '", Reason::NeedsAction, "printed nothing"),
        (
            "echo Token:; echo SECRET-OUTPUT",
            Reason::NeedsAction,
            "several lines",
        ),
        (
            "echo Error: SECRET-OUTPUT",
            Reason::NeedsAction,
            "not a token",
        ),
        ("echo null", Reason::NeedsAction, "not a token"),
        (
            "echo '{\"token\":\"SECRET-OUTPUT\"}'",
            Reason::NeedsAction,
            "JSON",
        ),
        (
            "printf 'SECRET-OUTPUT\\377'",
            Reason::NeedsAction,
            "not text",
        ),
    ] {
        let error = error_of(script).await;
        assert_eq!(error.reason, reason, "{script}");
        let error = error.to_string();
        for text in [expected, BY_HAND, "get-token"] {
            assert!(error.contains(text), "{text} in {error}");
        }
        assert!(!error.contains("SECRET-OUTPUT"), "{error}");
    }
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_its_children() {
    let stub = Stub::new("get-token", "sleep 60 & echo $! >\"$D/child\"; wait");
    let keys = Config::Command(Keys {
        program: stub.program(),
        arguments: Vec::new(),
        timeout: Duration::from_millis(300),
    });
    let error = ask(&keys).await.expect_err("no token");
    assert_eq!(error.reason, Reason::Transient);
    assert!(error.to_string().contains("within 0.3 s"), "{error}");
    let child = std::path::Path::new("/proc").join(stub.read("child").trim());
    let deadline = std::time::Instant::now() + PATIENCE;
    while child.exists() {
        assert!(std::time::Instant::now() < deadline, "{}", child.display());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_that_hangs_does_not_hold_up_another() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let (hangs, works) = (
        Stub::new("hangs", "sleep 60"),
        Stub::new("works", BY_AUDIENCE),
    );
    works.write_tokens(&emulator, str::to_owned);
    let argv = |stub: &Stub| format!("argv = [\"{}\"]", stub.program().display());
    let stage = Setup::new()
        .with("routes.fhir", "credential = \"hangs\"")
        .with("routes.dicom", "credential = \"works\"")
        .with("credentials.hangs.command", argv(&hangs))
        .with("credentials.works.command", argv(&works))
        .start_before(emulator)
        .await;
    let answer = client::get(stage.address(), DICOM).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// `token R` with a program that is named in a certain way, from a folder with rogues in it.
async fn token_from(program: &str, rogues: &[&str]) -> std::process::Output {
    let stub = Stub::new("get-token", "echo right");
    let here = tempfile::tempdir().expect("a folder");
    for rogue in rogues {
        let path = here.path().join(rogue);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::copy(Stub::new("rogue", "echo rogue").program(), path).expect("copied");
    }
    let config = stub.path("ahds-proxy.toml");
    let text = format!(
        "[routes.fhir]\nupstream = \"{FHIR_AUDIENCE}\"\n[credentials.default.command]\nargv = [\"{program}\"]\n"
    );
    std::fs::write(&config, text).expect("written");
    let mut command = process::command(&["token", "fhir", "--output", "raw", "--config"]);
    let path = format!(".:bin:{}:/usr/bin:/bin", stub.folder().display());
    command
        .arg(&config)
        .current_dir(here.path())
        .env("PATH", path);
    process::output(command).await
}

#[tokio::test]
async fn a_bare_name_is_on_path_and_a_relative_path_beside_the_configuration() {
    for program in ["get-token", "./get-token"] {
        let output = token_from(program, &["get-token", "bin/get-token"]).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "right\n", "{program}");
    }
    for program in ["no-such-program", "./no-such-program"] {
        let output = token_from(program, &["no-such-program"]).await;
        assert_eq!(output.status.code(), Some(1));
        let error = text(&output.stderr);
        assert!(error.contains("does not exist"), "{error}");
        assert!(error.contains("`argv`"), "{error}");
    }
}

#[tokio::test]
async fn it_sees_neither_secrets_of_the_configuration_nor_another_audience() {
    let stub = Stub::new("get-token", "env >\"$D/env\"; echo token");
    let config = stub.path("ahds-proxy.toml");
    let text = format!(
        "[routes.fhir]\nupstream = \"{FHIR_AUDIENCE}\"\n\
         [credentials.default.command]\nargv = [\"./get-token\"]\n\
         [credentials.unused.client-secret]\ntenant = \"t\"\nclient_id = \"c\"\nsecret = {{ env = \"MY_OWN_SECRET\" }}\n\
         [credentials.other.oauth2-client-credentials]\ntoken_url = \"https://login.example\"\nclient_id = \"c\"\n\
         client_secret = {{ env = \"MY_OTHER_SECRET\" }}\nheaders = {{ X-Key = {{ env = \"MY_HEADER\" }} }}\n"
    );
    std::fs::write(&config, text).expect("written");
    let mut command = process::command(&["token", "fhir", "--config"]);
    command
        .arg(&config)
        .env("MY_OWN_SECRET", "SECRET-1")
        .env("MY_OTHER_SECRET", "SECRET-2")
        .env("MY_HEADER", "SECRET-3")
        .env("TOOL_SETTING", "kept")
        .env("AHDS_PROXY_AUDIENCE", DICOM_AUDIENCE);
    let output = process::output(command).await;
    assert_eq!(output.status.code(), Some(0), "{:?}", output.stderr);
    let environment = stub.read("env");
    assert!(!environment.contains("SECRET"), "{environment}");
    assert!(!environment.contains(DICOM_AUDIENCE), "{environment}");
    assert!(environment.contains("TOOL_SETTING=kept"), "{environment}");
}
