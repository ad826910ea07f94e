//! Commands and flags as people guess them, and the life of the process.

use std::{fs::OpenOptions, process::Stdio};

use rustix::process::Signal;

use super::{Scene, check, row};
use crate::support::{
    client,
    process::{self, Process},
    write_config,
};

#[test]
fn commands_and_flags() {
    check(&[
        row(
            "69: a URL alone",
            "check $FHIR $DICOM",
            "",
            0,
            &["/fhir -> $FHIR", "/dicom -> $DICOM"],
        ),
        row(
            "69: serve",
            "serve",
            "",
            2,
            &["`serve` is not a command", "remove this word"],
        ),
        row(
            "69: start",
            "start",
            "",
            2,
            &["`start` is not a command", "remove this word"],
        ),
        row(
            "69: login",
            "login",
            "",
            2,
            &["`login` is not a command", "az login"],
        ),
        row(
            "69: a port",
            "check --fhir $FHIR --port 9000",
            "",
            0,
            &["listen  127.0.0.1:9000"],
        ),
        row("69: verbose", "check --fhir $FHIR -v", "", 0, &["is valid"]),
        row(
            "69: a tenant",
            "check --fhir $FHIR --tenant contoso.com",
            "",
            0,
            &["is valid"],
        ),
        row(
            "69: read only",
            "check --fhir $FHIR --read-only",
            "",
            0,
            &["read only"],
        ),
        row(
            "69: an audience",
            "check --audience x",
            "",
            2,
            &[
                "'--audience'",
                "write the audience into a configuration file",
            ],
        ),
        row(
            "71: a flag twice",
            "check --fhir $FHIR --fhir $FHIR",
            "",
            2,
            &[
                "cannot be used multiple times",
                "a route for the second service into a configuration file",
            ],
        ),
        row(
            "71: two URLs of one kind",
            "check $FHIR https://fabrikam-fhir.fhir.azurehealthcareapis.com",
            "",
            2,
            &[
                "two URLs of FHIR services",
                "a route for the second service into a configuration file",
            ],
        ),
        row(
            "71: another flag twice",
            "check --admin off --admin off",
            "",
            2,
            &["cannot be used multiple times", "give it once"],
        ),
    ]);
}

#[tokio::test]
async fn the_demo_on_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("demo.sock");
    let listen = format!("unix:{}", path.display());
    let demo = process::command(&["demo", "--listen", &listen, "--admin", "off"]);
    let mut demo = Process::start(demo);
    let ends = |text: &str| text.contains("Stop with").then(|| text.to_owned());
    let invitation = demo.until_stdout(ends).await;
    let curl = format!(
        "curl --unix-socket {} http://localhost/fhir/Patient\n",
        path.display()
    );
    assert!(invitation.contains(&curl), "68: {invitation}");
    demo.signal(Signal::TERM);
    assert_eq!(demo.ended().await.code(), Some(0));
}

/// The second Ctrl-C is in `tests/it/process/draining.rs`, colors are in `starting.rs` there.
#[tokio::test]
async fn the_end_of_the_process() {
    let mut scene = Scene::start(&[]).await;
    scene.process.signal(Signal::INT);
    assert_eq!(scene.process.ended().await.code(), Some(0), "53");

    let mut scene = Scene::start(&[]).await;
    client::until(scene.admin, "/readyz", |answer| answer.status == 200).await;
    let address = scene.address;
    let fhir = scene.emulator.fhir().traffic();
    let request = tokio::spawn(async move { client::get(address, "/fhir/emulator/hang").await });
    fhir.until(|now| now.running == 1).await;
    scene.process.signal(Signal::INT);
    scene
        .logs(&[
            "stopping once the requests in flight have finished",
            "a second Ctrl-C or SIGTERM ends them",
            "requests=1",
        ])
        .await;
    // Until then, a signal counts as part of the first one.
    scene.logs(&["the next stop signal ends"]).await;
    scene.process.signal(Signal::INT);
    assert_eq!(scene.process.ended().await.code(), Some(0), "54");
    request.abort();
}

#[tokio::test]
async fn a_reload() {
    let scene = Scene::start(&[]).await;
    client::until(scene.admin, "/readyz", |answer| answer.status == 200).await;
    let lines = [("routes.fhir", "prefxi = \"/x\"".to_owned())];
    write_config(&scene.emulator, &scene.files, &lines);
    scene.process.signal(Signal::HUP);
    scene
        .logs(&[
            "ERROR",
            "the old configuration keeps serving",
            "ahds-proxy.toml:",
            "did you mean `prefix`?",
        ])
        .await;
    assert_eq!(
        client::get(scene.address, "/fhir/metadata").await.status,
        200,
        "55"
    );

    write_config(
        &scene.emulator,
        &scene.files,
        &[("shutdown", "drain = \"1s\"".to_owned())],
    );
    scene.process.signal(Signal::HUP);
    scene
        .logs(&[
            "WARN",
            "the change of `shutdown.drain`",
            "takes effect after a restart",
        ])
        .await;
}

#[tokio::test]
async fn standard_streams_that_are_full_or_closed() {
    let full = || {
        OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("opened")
    };
    let mut command = process::command(&["check", "--fhir", super::FHIR]);
    let output = command.stdout(full()).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(1), "56");
    let printed = process::text(&output.stderr);
    assert!(
        printed.contains("cannot write to stdout: No space left"),
        "56: {printed}"
    );

    let scene = Scene::start(&[]).await;
    let mut command = process::run(&scene.files.path().join("ahds-proxy.toml"));
    let (mut reader, end) = std::io::pipe().expect("a pipe");
    let mut child = command
        .stdout(Stdio::null())
        .stderr(end)
        .spawn()
        .expect("the program starts");
    drop(command);
    // The reader leaves after the first line.
    std::io::Read::read_exact(&mut reader, &mut [0; 1]).expect("a line");
    drop(reader);
    assert!(
        child.try_wait().expect("its state is known").is_none(),
        "56"
    );
    child.kill().expect("it runs");
    child.wait().expect("its state is known");
}

#[tokio::test]
async fn a_verbose_log() {
    let emulator = super::emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let mut command = process::run(&write_config(&emulator, &files, &[]));
    command.env_remove("RUST_LOG").args(["--log", "debug"]);
    let process = Process::start(command);
    process
        .until_stderr(|log| log.contains("DEBUG token requested").then_some(()))
        .await;
}
