//! An `az` that does not end is ended, with all its children.

use std::{fs, path::Path, time::Duration};

use azure_emulator::{Emulator, Options};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::support::{
    PATIENCE, client,
    fake_az::FakeAz,
    process::{self, Process},
    write_config,
};

const FHIR: &str = "/fhir/Patient?_count=1";

/// Writes the ids of a shell and of a child of its own that both ignore SIGTERM. They end after a
/// minute all the same, so that a proxy that forgets them does not leave them behind for good.
const STUBBORN: &str = "trap '' TERM\n\
    sh -c \"trap '' TERM; echo \\$\\$ >>'$D/pids'; i=0; while [ \\$i -lt 600 ]; do i=\\$((i+1)); sleep 0.1; done\" &\n\
    echo $$ >>\"$D/pids\"\nwait";

fn pids(fake: &FakeAz) -> Vec<String> {
    fake.read("pids").lines().map(str::to_owned).collect()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn exists(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

/// Children of a process, zombies included.
fn children(parent: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).expect("it runs");
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|ids| {
            ids.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn a_stubborn_az_and_its_children_are_killed_when_the_time_is_over() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(&emulator, STUBBORN);
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &fake.lines("timeout = \"500ms\""));
    let process = Process::start(process::run(&config));
    let (proxy, _) = process.addresses().await;
    let answer = client::get(proxy, FHIR).await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("within 0.5 s"), "{}", answer.text());
    assert!(answer.text().contains("az login"), "{}", answer.text());
    let started = pids(&fake);
    assert!(started.len() >= 2, "{started:?}");
    for pid in &started[..2] {
        until("the first az and its child are gone", || !exists(pid)).await;
    }
    fake.set("answer");
    client::until(proxy, FHIR, |answer| answer.status == 200).await;
    let id = process.id();
    until("no zombie is left", || children(id).is_empty()).await;
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipe_does_not_hold_up_the_token() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(&emulator, "sleep 20 &\necho $! >>\"$D/pids\"\nanswer");
    let stage = fake.setup("").start_before(emulator).await;
    let start = Instant::now();
    assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    assert!(start.elapsed() < Duration::from_secs(10));
    // az leaves such children on purpose, to send telemetry; they are this test's to end.
    for pid in pids(&fake) {
        let id = rustix::process::Pid::from_raw(pid.parse().expect("an id"));
        let _ = rustix::process::kill_process(id.expect("an id"), Signal::KILL);
    }
}

#[tokio::test]
async fn az_ends_with_the_proxy() {
    for signals in [&[Signal::TERM][..], &[Signal::TERM, Signal::INT]] {
        let emulator = Emulator::start(Options::default()).await.expect("started");
        let fake = FakeAz::new(&emulator, STUBBORN);
        let files = tempfile::tempdir().expect("a folder");
        let config = write_config(&emulator, &files, &fake.lines(""));
        let mut process = Process::start(process::run(&config));
        process.addresses().await;
        until("az runs", || pids(&fake).len() == 2).await;
        for signal in signals {
            process.signal(*signal);
        }
        assert_eq!(process.ended().await.code(), Some(0));
        for pid in pids(&fake) {
            until("az and its child are gone", || !exists(&pid)).await;
        }
    }
}

#[tokio::test]
async fn az_ends_with_a_command_that_is_stopped() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let files = tempfile::tempdir().expect("a folder");
    for line in ["token fhir", "check --online"] {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let fake = FakeAz::new(&emulator, STUBBORN);
            let config = write_config(&emulator, &files, &fake.lines(""));
            let mut command = process::run(&config);
            command.args(line.split(' '));
            let mut process = Process::start(command);
            until("az runs", || pids(&fake).len() == 2).await;
            process.signal(signal);
            assert_eq!(process.ended().await.code(), Some(1), "{line}");
            for pid in pids(&fake) {
                until("az and its child are gone", || !exists(&pid)).await;
            }
        }
    }
}

#[tokio::test]
async fn az_inherits_neither_sockets_nor_files() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(&emulator, "ls -l /proc/self/fd >>\"$D/fds\"; answer");
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &fake.lines(""));
    let process = Process::start(process::run(&config));
    let (proxy, _) = process.addresses().await;
    assert_eq!(client::get(proxy, FHIR).await.status, 200);
    let open = fake.read("fds");
    assert!(open.contains(" 0 -> /dev/null"), "{open}");
    let own: Vec<String> = links("self").collect();
    let sockets = links(&process.id().to_string())
        .filter(|link| link.starts_with("socket:") || link.starts_with("anon_inode:[event"))
        // The runner of the tests may have left files open for every process.
        .filter(|link| !own.contains(link));
    let mut count = 0;
    for socket in sockets {
        assert!(!open.contains(&socket), "{socket} in {open}");
        count += 1;
    }
    assert!(count >= 2, "the proxy listens");
}

/// The open files of a process.
fn links(process: &str) -> impl Iterator<Item = String> + use<> {
    let folder = fs::read_dir(format!("/proc/{process}/fd")).expect("it runs");
    folder
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|link| link.to_string_lossy().into_owned())
}
