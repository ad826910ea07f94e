//! Certificate files as people have them: `check` and the start take the same ones, and name the cure
//! for the others.

use std::{fs, process::Command};

use azure_emulator::{Emulator, Options};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{
    client,
    process::{self, Process, text},
    tls::Authority,
    write_config,
};

const BROKEN: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.contains("-----")).collect();
    STANDARD.decode(base64).expect("Base64")
}

/// The output of openssl, which has made such files for decades.
fn openssl(arguments: &[&str], input: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("in"), input).expect("written");
    let output = Command::new("openssl")
        .current_dir(folder.path())
        .args(arguments)
        .output()
        .expect("openssl runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::read(folder.path().join("out")).expect("readable")
}

/// The refusal of a `ca_file` with this content, which is the same by `check` and at the start.
async fn refusal(emulator: &Emulator, content: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(emulator, &folder, &[]);
    fs::write(folder.path().join("ca.pem"), content).expect("written");
    let mut said = Vec::new();
    for command in ["check", "run"] {
        let config = config.to_str().expect("UTF-8");
        let output = process::output(process::command(&["--config", config, command])).await;
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        said.push(text(&output.stderr).to_owned());
    }
    assert_eq!(said[0], said[1]);
    said.remove(0)
}

#[tokio::test]
async fn a_file_that_is_not_good_pem_is_refused_with_its_cure() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let good = emulator.ca_pem().to_owned();
    let lines = good.lines().count();
    let pkcs7 = ["crl2pkcs7", "-nocrl", "-certfile", "in", "-out", "out"];
    let utf16: Vec<u8> = format!("\u{feff}{good}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let second = format!("line {}", lines + 1);
    for (content, cause, cure) in [
        (
            format!("{good}{BROKEN}").into_bytes(),
            &*second,
            "as its issuer provided it",
        ),
        (
            good.replace("-----END CERTIFICATE-----\n", "").into_bytes(),
            "line 1",
            "as its issuer provided it",
        ),
        (
            format!("{BROKEN}{BROKEN}{good}").into_bytes(),
            "line 1 and line 4",
            "as its issuer provided it",
        ),
        (Vec::new(), "is empty", "BEGIN CERTIFICATE"),
        (
            b"\xef\xbb\xbf \r\n".to_vec(),
            "contains no certificate",
            "BEGIN CERTIFICATE",
        ),
        (
            Authority::new().leaf().key.into_bytes(),
            "contains a private key, but no certificate",
            "BEGIN CERTIFICATE",
        ),
        (der(&good), "is DER", "openssl x509 -inform DER -in"),
        (
            openssl(&pkcs7, &good),
            "is PKCS #7",
            "openssl pkcs7 -print_certs -in",
        ),
        (
            openssl(&[&pkcs7[..], &["-outform", "DER"]].concat(), &good),
            "is PKCS #7 in DER",
            "openssl pkcs7 -inform DER -print_certs -in",
        ),
        (
            openssl(
                &[
                    "pkcs12", "-export", "-nokeys", "-in", "in", "-out", "out", "-passout",
                    "pass:x",
                ],
                &good,
            ),
            "is PKCS #12",
            "openssl pkcs12 -nokeys -in",
        ),
        (utf16, "UTF-16", "iconv -f UTF-16"),
    ] {
        let said = refusal(&emulator, &content).await;
        assert!(said.contains("`network.ca_file`"), "{said}");
        assert!(
            said.contains(cause) && said.contains(cure),
            "{cause}: {said}"
        );
    }
}

#[tokio::test]
async fn the_command_that_is_named_makes_a_good_file() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let said = refusal(&emulator, &der(emulator.ca_pem())).await;
    let command = said.split_once("openssl ").expect("a command").1;
    let command = command.lines().next().expect("a line");
    let words: Vec<&str> = command.split(' ').collect();
    let input = words.len() - 3;
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &folder, &[]);
    fs::write(folder.path().join("ca.der"), der(emulator.ca_pem())).expect("written");
    let status = Command::new("openssl")
        .args(&words[..input])
        .args(["ca.der", "-out", "ca.pem"])
        .current_dir(folder.path())
        .status()
        .expect("openssl runs");
    assert!(status.success(), "{command}");
    let process = Process::start(process::run(&config));
    let (_, admin) = process.addresses().await;
    client::until(admin, "/readyz", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn marks_and_line_ends_of_windows_editors_do_no_harm() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &folder, &[]);
    let windows = format!("\u{feff}{}", emulator.ca_pem().replace('\n', "\r\n"));
    let windows = windows.replace("CERTIFICATE", "X509 CERTIFICATE");
    fs::write(folder.path().join("ca.pem"), windows).expect("written");
    let secret = fs::read_to_string(folder.path().join("secret")).expect("readable");
    fs::write(
        folder.path().join("secret"),
        format!("\u{feff}{secret}\r\n"),
    )
    .expect("written");
    let process = Process::start(process::run(&config));
    let (_, admin) = process.addresses().await;
    client::until(admin, "/readyz", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn folders_are_refused_wherever_a_file_is_wanted() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    for name in ["ca.pem", "secret"] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = write_config(&emulator, &folder, &[]);
        fs::remove_file(folder.path().join(name)).expect("removed");
        fs::create_dir(folder.path().join(name)).expect("made");
        for command in ["check", "run"] {
            let config = config.to_str().expect("UTF-8");
            let output = process::output(process::command(&["--config", config, command])).await;
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains("is a directory"), "{said}");
        }
    }
}
