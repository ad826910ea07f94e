//! The process keeps its memory to itself, and cleans up where it is a container's first.

use std::{
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    process::Command,
};

use azure_emulator::FHIR_AUDIENCE;

use super::emulator;
use crate::support::{PATIENCE, client, process::Process, stub::Stub, write_config};

/// A user of no rights. Whoever may not become that user tests with the own one.
const NOBODY: u32 = 65534;

/// The files that describe a process belong to root where its memory is not to be read.
#[tokio::test]
async fn memory_with_tokens_in_it_cannot_be_dumped_or_read() {
    let is_root = rustix::process::getuid().is_root();
    let files = tempfile::tempdir().expect("a folder");
    let program = files.path().join("ahds-proxy");
    fs::copy(env!("CARGO_BIN_EXE_ahds-proxy"), &program).expect("copied");
    fs::set_permissions(
        files.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .expect("opened");
    let mut command = Command::new(&program);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "demo"]);
    if is_root {
        command.uid(NOBODY);
    }
    let process = Process::start(command);
    process.addresses().await;
    let about = format!("/proc/{}", process.id());
    let limits = fs::read_to_string(format!("{about}/limits")).expect("readable");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.expect("a limit").split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"]);
    assert_eq!(
        fs::metadata(format!("{about}/mem")).expect("there").uid(),
        0
    );
}

#[tokio::test]
async fn the_first_process_of_a_container_reaps_what_tools_leave_behind() {
    // With the files about its own processes, and with those about all.
    for files in [&["--mount-proc"][..], &[]] {
        let container = [
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--kill-child",
        ];
        reaps_in(&[&container, files].concat()).await;
    }
}

async fn reaps_in(container: &[&str]) {
    let possible = Command::new("unshare").args(container).arg("true").status();
    if !possible.is_ok_and(|status| status.success()) {
        // As in a container that must not have containers of its own.
        return;
    }
    let emulator = emulator().await;
    let token = emulator.entra().issue(FHIR_AUDIENCE, 3600);
    let script = format!(
        "(setsid sh -c 'echo $PPID >\"$0\"' \"$D/left\" &)\nwhile ! [ -s \"$D/left\" ]; do :; done\necho {token}"
    );
    let stub = Stub::new("tool", &script);
    let files = tempfile::tempdir().expect("a folder");
    let lines = [
        ("routes.fhir", "credential = \"tool\"".to_owned()),
        (
            "credentials.tool.command",
            format!("argv = [\"{}\"]", stub.program().display()),
        ),
    ];
    let config = write_config(&emulator, &files, &lines);
    let mut command = Command::new("unshare");
    command
        .args(container)
        .arg(env!("CARGO_BIN_EXE_ahds-proxy"));
    command.arg("--config").arg(config);
    let process = Process::start(command);
    let (_, admin) = process.addresses().await;
    client::until(admin, "/readyz", |answer| answer.status == 200).await;
    assert_ne!(stub.read("left"), "");

    let children = |id: u32| -> Vec<u32> {
        let list = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let list = list.expect("this system lists children");
        list.split_whitespace()
            .map(|id| id.parse().expect("an id"))
            .collect()
    };
    let first = children(process.id())[0];
    let none_is_left = async {
        while !children(first).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, none_is_left)
        .await
        .expect("reaped in time");
}
