//! Commands about a running proxy: they need no flag repeated, and only its user may reload it.

use std::{net::SocketAddr, process::Command};

use tempfile::TempDir;

use super::emulator;
use crate::support::{
    client,
    process::{self, Process, Ran},
    scripted::Scripted,
    write_config,
};

/// A user with a folder for the records of running processes.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { home }
    }

    fn command(&self, line: &str) -> Command {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let mut command = process::command(&arguments);
        command.current_dir(self.home.path());
        command.env("XDG_RUNTIME_DIR", self.home.path());
        command
    }

    async fn run(&self, line: &str) -> Ran {
        process::ran(self.command(line)).await
    }

    /// Starts a proxy in another folder, with a relative path.
    async fn serve(&self, files: &TempDir) -> (Process, SocketAddr) {
        let mut command = self.command("--config ahds-proxy.toml");
        command.current_dir(files.path());
        let process = Process::start(command);
        let (_, admin) = process.addresses().await;
        client::until(admin, "/readyz", |response| response.status == 200).await;
        (process, admin)
    }

    /// The records of running processes.
    fn records(&self) -> usize {
        let folder = self.home.path().join("ahds-proxy");
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }
}

#[tokio::test]
async fn no_flag_is_repeated() {
    let user = User::new();
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    write_config(&emulator, &files, &[]);
    let (mut process, admin) = user.serve(&files).await;

    let ran = user.run("status").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for shown in [
        "listens on 127.0.0.1:",
        "fhir  /fhir -> https://demo-fhir.fhir.azurehealthcareapis.com",
        "  credential default (client-secret)",
        "  identity   ca11ab1e-0000-4000-8000-00000000d3a0, tenant c0ffee00",
        "Z (for 59 min)",
    ] {
        assert!(ran.stdout.contains(shown), "{shown} in {}", ran.stdout);
    }
    let ran = user.run("status --output json").await;
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(json["process_id"], process.id());

    let ran = user.run("check").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let expected = format!("(process {}, admin address {admin})", process.id());
    assert!(ran.stderr.contains(&expected), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("route   /fhir -> https://demo-fhir"),
        "{}",
        ran.stdout
    );
    let ran = user.run("check --online").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    let ran = user.run("token fhir --output raw").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout.matches('.').count(), 2);

    // A service that the command names is used, not the running proxy's.
    let ran = user
        .run("check --fhir https://own.fhir.azurehealthcareapis.com")
        .await;
    assert!(ran.stdout.contains("https://own.fhir."), "{}", ran.stdout);

    process.signal(rustix::process::Signal::TERM);
    process.ended().await;
    assert_eq!(user.records(), 0);
    let ran = user.run("check").await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("there is no route"), "{}", ran.stderr);
    let ran = user.run(&format!("status --admin {admin}")).await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("Start the proxy with `ahds-proxy`"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn its_user_reloads_it_and_nobody_else() {
    let user = User::new();
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    write_config(&emulator, &files, &[]);
    let (process, admin) = user.serve(&files).await;

    let clinic = [("routes.fhir", "prefix = \"/clinic\"".to_owned())];
    write_config(&emulator, &files, &clinic);
    let ran = user.run("reload").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("configuration reloaded"),
        "{}",
        ran.stderr
    );
    let status = client::get(admin, "/status").await;
    assert!(status.text().contains("/clinic"), "{}", status.text());

    let broken = [("routes.fhir", "prefix = 1".to_owned())];
    write_config(&emulator, &files, &broken);
    let ran = user.run("reload").await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("the old configuration keeps serving: "),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("ahds-proxy check"), "{}", ran.stderr);

    // Whoever has no record, or another one, changes nothing.
    write_config(&emulator, &files, &[]);
    let ran = User::new().run(&format!("reload --admin {admin}")).await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("no ahds-proxy of this user runs"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("SIGHUP"), "{}", ran.stderr);
    for headers in [&[][..], &[("x-ahds-proxy-instance", "guessed")]] {
        let refused = client::request(admin, "POST", "/reload", headers, b"").await;
        assert_eq!(refused.status, 403, "{}", refused.text());
    }
    assert!(
        client::get(admin, "/status")
            .await
            .text()
            .contains("/clinic")
    );
    drop(process);
}

#[tokio::test]
async fn a_record_left_behind_is_passed_over_and_removed() {
    let user = User::new();
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    write_config(&emulator, &files, &[]);
    let (mut process, _) = user.serve(&files).await;
    process.signal(rustix::process::Signal::KILL);
    process.ended().await;
    assert_eq!(user.records(), 1);
    let ran = user.run("check").await;
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("there is no route"), "{}", ran.stderr);
    assert_eq!(user.records(), 0, "it is removed");
}

#[tokio::test]
async fn several_proxies_are_named() {
    let user = User::new();
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    write_config(&emulator, &files, &[]);
    let (_first, one) = user.serve(&files).await;
    let (_second, other) = user.serve(&files).await;
    for line in ["status", "reload", "check", "token fhir"] {
        let ran = user.run(line).await;
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.stderr);
        for named in [
            "2 proxies run",
            "--admin",
            &one.to_string(),
            &other.to_string(),
        ] {
            assert!(ran.stderr.contains(named), "{line}: {}", ran.stderr);
        }
        let ran = user.run(&format!("{line} --admin {other}")).await;
        assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn another_program_at_the_admin_address_is_told_from_the_proxy() {
    const OTHER: &str = "is not an ahds-proxy of this version";

    let user = User::new();
    for (response, cause, remedy) in [
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nabsent",
            OTHER,
            "--admin",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            OTHER,
            "--admin",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            "refuses this command (status 403)",
            "Run it on the machine of the proxy and as its user.",
        ),
    ] {
        let other = Scripted::answering(response).await;
        let ran = user
            .run(&format!("status --admin {}", other.address()))
            .await;
        assert_eq!(ran.code, Some(1));
        assert_eq!(ran.stdout, "");
        for part in [cause, remedy] {
            assert!(ran.stderr.contains(part), "{}", ran.stderr);
        }
    }
}

const DEMO: &str = "demo --listen 127.0.0.1:0 --admin 127.0.0.1:0";

#[tokio::test]
async fn the_demo_is_checked_like_any_proxy() {
    let user = User::new();
    let demo = Process::start(user.command(DEMO));
    let (address, admin) = demo.addresses().await;
    client::until(admin, "/readyz", |response| response.status == 200).await;
    let ran = user.run("check --online").await;
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("14 checks: 14 ok"), "{}", ran.stdout);
    let ran = user.run("token dicom").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(user.run("status").await.code, Some(0));
    assert_eq!(user.run("reload").await.code, Some(0));
    assert_eq!(
        client::get(address, "/fhir/Patient?_count=1").await.status,
        200
    );
}

#[tokio::test]
async fn the_demo_shows_a_fault_and_its_configuration() {
    let user = User::new();
    let demo = Process::start(user.command(&format!("{DEMO} --fault 403 --print-config")));
    let (address, _) = demo.addresses().await;
    let config = demo
        .until_stdout(|text| {
            text.contains("management.azure.com:443")
                .then(|| text.to_owned())
        })
        .await;
    for path in ["/fhir/Patient", "/dicom/v2/studies"] {
        assert_eq!(client::get(address, path).await.status, 403);
    }
    // Another proxy uses the demo's services.
    let path = user.home.path().join("other.toml");
    std::fs::write(&path, config).expect("written");
    let ran = user
        .run("token fhir --output raw --config other.toml")
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = user.run("check --online --config other.toml").await;
    assert!(
        ran.stdout.contains("has no role that allows this request"),
        "{}",
        ran.stdout
    );

    let ran = user.run("demo --fault 9").await;
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("`9` is not a fault; write a status"),
        "{}",
        ran.stderr
    );
}
