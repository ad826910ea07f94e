//! A Unix socket instead of a port.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::Scene;

#[tokio::test]
async fn serves_its_owner_and_leaves_nothing_behind() {
    for signals in [&[Signal::TERM][..], &[Signal::TERM, Signal::TERM]] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("proxy.sock");
        // Left behind by a process that is gone.
        drop(UnixListener::bind(&path).expect("bound"));
        let listen = format!("unix:{}", path.display());
        let mut scene = Scene::start(&[], &["--listen", &listen]).await;
        scene
            .process
            .until_stderr(move |log| log.contains(&listen).then_some(()))
            .await;
        let mode = fs::metadata(&path).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // No browser can call it, so the name is a formality.
        for host in ["localhost", "proxy", "fhir.example:8080"] {
            let mut stream = UnixStream::connect(&path).await.expect("accepted");
            let request =
                format!("GET /fhir/Patient HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }

        for signal in signals {
            if scene.process.is_running() {
                scene.process.signal(*signal);
            }
        }
        assert_eq!(scene.process.ended().await.code(), Some(0));
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn does_not_take_a_socket_from_a_running_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("proxy.sock");
    let _other = UnixListener::bind(&path).expect("bound");
    let listen = format!("unix:{}", path.display());
    let mut scene = Scene::start(&[], &["--listen", &listen]).await;
    assert_eq!(scene.process.ended().await.code(), Some(1));
    assert!(scene.process.stderr().contains("already in use"));
    assert!(path.exists());
}

/// As after a mistake of an administrator, or a new process beside the old one.
#[tokio::test]
async fn leaves_the_file_of_whoever_took_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("proxy.sock");
    let listen = format!("unix:{}", path.display());
    let mut scene = Scene::start(&[], &["--listen", &listen]).await;
    let listening = scene
        .process
        .until_stderr(move |log| log.contains(&listen).then_some(()));
    listening.await;
    fs::remove_file(&path).expect("removed");
    let _other = UnixListener::bind(&path).expect("bound");
    scene.process.signal(Signal::TERM);
    assert_eq!(scene.process.ended().await.code(), Some(0));
    assert!(path.exists());
}
