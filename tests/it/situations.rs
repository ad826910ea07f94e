//! The situations of a newcomer, one row each: how the situation comes about, and what the program
//! must say then. A message names the cause and the remedy, so each row expects a text of both.

mod addresses;
mod clients;
mod command_line;
mod configuration;
mod credentials;
mod services;

use std::{net::SocketAddr, path::Path};

use azure_emulator::{Emulator, Options};
use tempfile::TempDir;

use crate::support::{
    client::Answer,
    process::{self, Process, text},
    write_config,
};

const FHIR: &str = "https://contoso-fhir.fhir.azurehealthcareapis.com";
const DICOM: &str = "https://contoso-dicom.dicom.azurehealthcareapis.com";

/// The program runs to its end. In all texts `$FHIR` and `$DICOM` stand for the URLs above, and `$HERE`
/// for the working directory.
struct Row {
    name: &'static str,
    /// The arguments, separated by white space.
    line: &'static str,
    /// `ahds-proxy.toml` in the working directory, unless empty.
    file: &'static str,
    code: i32,
    /// Parts of what is printed.
    expected: &'static [&'static str],
}

const fn row(
    name: &'static str,
    line: &'static str,
    file: &'static str,
    code: i32,
    expected: &'static [&'static str],
) -> Row {
    Row {
        name,
        line,
        file,
        code,
        expected,
    }
}

fn filled(text: &str, folder: &Path) -> String {
    text.replace("$FHIR", FHIR)
        .replace("$DICOM", DICOM)
        .replace("$HERE", folder.to_str().expect("UTF-8"))
}

/// Checks each row in a folder of its own.
fn check(rows: &[Row]) {
    for row in rows {
        check_in(&tempfile::tempdir().expect("a folder"), row, &[]);
    }
}

fn check_in(folder: &TempDir, row: &Row, variables: &[(&str, &str)]) {
    let folder = folder.path();
    let line = filled(row.line, folder);
    let arguments: Vec<&str> = line.split_whitespace().collect();
    run(folder, row, &arguments, variables);
}

fn run(folder: &Path, row: &Row, arguments: &[&str], variables: &[(&str, &str)]) {
    if !row.file.is_empty() {
        let file = filled(row.file, folder);
        std::fs::write(folder.join("ahds-proxy.toml"), file).expect("written");
    }
    let mut command = process::command(arguments);
    command.current_dir(folder).envs(variables.iter().copied());
    let output = command.output().expect("the program runs");
    let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(
        output.status.code(),
        Some(row.code),
        "{}: {printed}",
        row.name
    );
    for part in row.expected {
        let part = filled(part, folder);
        assert!(
            printed.contains(&part),
            "{}: no {part:?} in {printed}",
            row.name
        );
    }
}

/// A running program in front of a loopback Azure.
struct Scene {
    emulator: Emulator,
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
    files: TempDir,
}

impl Scene {
    /// With more lines of the configuration.
    async fn start(lines: &[(&'static str, String)]) -> Self {
        Self::start_before(emulator().await, lines).await
    }

    async fn start_before(emulator: Emulator, lines: &[(&'static str, String)]) -> Self {
        let files = tempfile::tempdir().expect("a folder");
        let process = Process::start(process::run(&write_config(&emulator, &files, lines)));
        let (address, admin) = process.addresses().await;
        Self {
            emulator,
            process,
            address,
            admin,
            files,
        }
    }

    /// Waits for a line of the log with all of these parts.
    async fn logs(&self, parts: &[&'static str]) -> String {
        let parts = parts.to_vec();
        let find = move |log: &str| {
            let mut lines = log.lines();
            let found = lines.find(|line| parts.iter().all(|part| line.contains(part)));
            found.map(str::to_owned)
        };
        self.process.until_stderr(find).await
    }
}

/// Checks a response: its status, and parts of its text.
fn expect(row: &str, answer: &Answer, status: u16, parts: &[&str]) {
    assert_eq!(answer.status, status, "{row}: {answer:?}");
    for part in parts {
        let text = answer.text();
        assert!(text.contains(part), "{row}: no {part:?} in {text}");
    }
}

async fn emulator() -> Emulator {
    Emulator::start(Options::default()).await.expect("started")
}
