//! File descriptors: raised as far as the limits need, shared out where there are too few, and none
//! left to accept a connection with.

use std::{fs, net::SocketAddr, process::Command};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use super::{Scene, emulator};
use crate::support::{
    PATIENCE, client,
    process::{self, Process},
    write_config,
};

/// A program under limits that a shell sets first.
async fn start_under(limits: &str) -> Scene {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    // One socket for each request.
    let lines = ["routes.fhir", "routes.dicom"].map(|table| (table, "http = 1".to_owned()));
    let program = process::run(&write_config(&emulator, &files, &lines));
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limits} && exec \"$0\" \"$@\"")])
        .arg(program.get_program())
        .args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Scene {
        emulator,
        process: Process::start(command),
        _files: files,
    }
}

async fn open(address: SocketAddr, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("it accepts");
    stream.write_all(sent).await.expect("it reads");
    stream
}

#[tokio::test]
async fn the_soft_limit_is_raised_as_far_as_the_limits_need() {
    let scene = start_under("ulimit -Sn 64").await;
    scene.process.addresses().await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", scene.process.id()));
    let limits = limits.expect("it runs");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    // 4096 connections, 1024 requests and the reserve.
    assert_eq!(soft, Some("5280"), "{limits}");
    assert!(!scene.process.stderr().contains("too few open files"));
}

#[tokio::test]
async fn too_few_descriptors_are_told_and_shared_out() {
    let mut scene = start_under("ulimit -n 300").await;
    let (proxy, admin) = scene.process.addresses().await;
    let log = scene.process.stderr();
    let line = log.lines().find(|line| line.contains("too few open files"));
    let line = line.expect("it is told");
    for expected in [
        "WARN",
        "needed=5280",
        "available=300",
        "connections=75",
        "requests=75",
        "LimitNOFILE",
    ] {
        assert!(line.contains(expected), "{expected} in {line}");
    }
    let mut streams = Vec::new();
    // Each route leaves nine places to the other.
    for (route, count) in [("fhir", 66), ("dicom", 9)] {
        for _ in 0..count {
            let head = format!("GET /{route}/emulator/hang HTTP/1.1\r\nHost: localhost\r\n\r\n");
            streams.push(open(proxy, head.as_bytes()).await);
        }
    }
    let emulator = &scene.emulator;
    for (traffic, count) in [
        (emulator.fhir().traffic(), 66),
        (emulator.dicom().traffic(), 9),
    ] {
        let arrived = traffic.until(|now| now.running == count);
        timeout(PATIENCE, arrived).await.expect("each is served");
    }
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(open(admin, b"").await);
    }
    // These wait in the system's queue.
    for _ in 0..30 {
        idle.push(open(proxy, b"").await);
    }
    let ready = client::until(admin, "/readyz", |answer| answer.status == 200).await;
    assert_eq!(ready.text(), "ok\n");
    drop(streams);
    let answer = client::get(proxy, "/fhir/metadata").await;
    assert_eq!(answer.status, 200);
    assert!(
        !scene
            .process
            .stderr()
            .contains("cannot accept a connection")
    );
    scene.process.signal(Signal::TERM);
    assert!(scene.process.ended().await.success());
}

/// The limit is lowered afterwards, since the program never gets there by itself.
#[tokio::test]
async fn without_a_descriptor_the_longest_idle_connection_makes_room() {
    let scene = Scene::start(&[], &[]).await;
    let (proxy, _) = scene.process.addresses().await;
    // The token and the connection to the service are there afterwards.
    client::until(proxy, "/fhir/metadata", |answer| answer.status == 200).await;
    let get = b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut stream = open(proxy, get).await;
        assert_eq!(client::read_response(&mut stream, false).await.status, 200);
        kept.push(stream);
    }
    let id = scene.process.id();
    let open_files = fs::read_dir(format!("/proc/{id}/fd")).expect("it runs");
    let limit = Rlimit {
        current: Some(open_files.count() as u64),
        maximum: Some(4096),
    };
    let pid = Pid::from_raw(i32::try_from(id).expect("an id")).expect("an id");
    prlimit(Some(pid), Resource::Nofile, limit).expect("our own child");
    for _ in 0..2 {
        let mut stream = open(proxy, get).await;
        let answer = timeout(PATIENCE, client::read_response(&mut stream, false)).await;
        assert_eq!(answer.expect("in time").status, 200);
        kept.push(stream);
    }
    let log = scene.process.stderr();
    assert_eq!(
        log.matches("cannot accept a connection").count(),
        1,
        "{log}"
    );
    assert!(log.contains("ulimit -n"), "{log}");
}
