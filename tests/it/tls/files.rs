//! The files of `security.tls`, as they are and as they change.

use std::{fs, net::SocketAddr, path::Path};

use aws_lc_rs::{
    encoding::{AsDer as _, EcPrivateKeyRfc5915Der},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use azure_emulator::{Emulator, Options};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::KeyPair;
use rustix::process::Signal;

use super::{PATIENTS, exchange, get};
use crate::{
    certificate::{certificate, rsa_key},
    support::{
        client,
        process::{self, Process, text},
        tls::{Authority, Leaf},
        write_config,
    },
};

pub(super) async fn emulator() -> Emulator {
    let options = Options {
        samples: true,
        ..Options::default()
    };
    Emulator::start(options).await.expect("the emulator starts")
}

fn lines() -> Vec<(&'static str, String)> {
    let tls = "tls = { certificate = \"server.pem\", key = \"server.key\" }";
    vec![("security", tls.to_owned())]
}

pub(crate) fn write(folder: &Path, leaf: &Leaf) {
    fs::write(folder.join("server.pem"), &leaf.certificate).expect("written");
    fs::write(folder.join("server.key"), &leaf.key).expect("written");
}

/// By `run` and by `check`.
#[tokio::test]
async fn files_that_do_not_fit_are_refused() {
    let emulator = emulator().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &folder, &lines());
    let config = config.to_str().expect("UTF-8");
    let good = Authority::new().leaf();
    let other = Authority::new().leaf();
    let with = |certificate: &str, key: &str| Leaf {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    };
    for (leaf, complaint, remedy) in [
        (
            with(&good.certificate, &other.key),
            "server.key is not the key of the first certificate in",
            "that belongs to the certificate",
        ),
        (
            with(&good.certificate, &good.certificate),
            "server.key contains no private key in PEM",
            "openssl pkey",
        ),
        (
            with(&good.key, &good.key),
            "server.pem contains a private key, but no certificate",
            "BEGIN CERTIFICATE",
        ),
        (
            with(
                "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
                &good.key,
            ),
            "server.pem contains a broken certificate on line 1",
            "as its issuer provided it",
        ),
    ] {
        write(folder.path(), &leaf);
        for command in ["run", "check"] {
            let output = process::output(process::command(&["--config", config, command])).await;
            assert_eq!(output.status.code(), Some(2), "{complaint}");
            let said = text(&output.stderr);
            assert!(said.contains(complaint) && said.contains(remedy), "{said}");
        }
    }
    write(folder.path(), &good);
    let output = process::output(process::command(&["--config", config, "check"])).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("127.0.0.1:0, TLS"));
}

/// The first address behind `listening` and the admin address.
pub(crate) async fn addresses(process: &Process) -> (SocketAddr, SocketAddr) {
    process
        .until_stderr(|log| {
            let after = |mark: &str| {
                let (_, rest) = log.split_once(mark)?;
                let end = rest.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)))?;
                rest[..end].parse().ok()
            };
            Some((
                after("listening address=\"https://")
                    .or_else(|| after("listening address=https://"))?,
                after("admin address address=\"").or_else(|| after("admin address address="))?,
            ))
        })
        .await
}

#[tokio::test]
async fn a_renewed_certificate_takes_over_and_a_bad_one_does_not() {
    let emulator = emulator().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &folder, &lines());
    let (old, new) = (Authority::new(), Authority::new());
    write(folder.path(), &old.leaf());
    let process = Process::start(process::run(&config));
    let (address, admin) = addresses(&process).await;
    client::until(admin, "/readyz", |response| response.status == 200).await;
    let mut kept = old.connect(address).await;
    let request = get(PATIENTS, "localhost");
    assert_eq!(exchange(&mut kept, &request).await.status, 200);

    fs::write(folder.path().join("server.pem"), new.leaf().certificate).expect("written");
    process.signal(Signal::HUP);
    let complained = |log: &str| {
        let (_, after) = log.split_once("the old configuration keeps serving")?;
        after.contains("is not the key of").then_some(())
    };
    process.until_stderr(complained).await;
    let mut stream = old.connect(address).await;
    assert_eq!(exchange(&mut stream, &request).await.status, 200);

    write(folder.path(), &new.leaf());
    process.signal(Signal::HUP);
    let reloaded = |log: &str| log.contains("configuration reloaded").then_some(());
    process.until_stderr(reloaded).await;
    let mut stream = new.connect(address).await;
    assert_eq!(exchange(&mut stream, &request).await.status, 200);
    assert_eq!(exchange(&mut kept, &request).await.status, 200);
}

/// At start, at a reload and by `check`; clients judge it, so it is served all the same.
#[tokio::test]
async fn a_certificate_out_of_its_time_is_told() {
    let emulator = emulator().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &folder, &lines());
    let path = config.to_str().expect("UTF-8");
    let authority = Authority::new();
    let ended = (
        authority.leaf_of(2019, 2020),
        "expired on 2020-01-01T00:00:00Z",
    );
    let early = (
        authority.leaf_of(2090, 2100),
        "is not valid before 2090-01-01T00:00:00Z",
    );
    for (leaf, complaint) in [&ended, &early] {
        write(folder.path(), leaf);
        let check = ["--config", path, "check", "--output", "json"];
        let output = process::output(process::command(&check)).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let said = text(&output.stderr);
        assert!(said.contains(complaint), "{said}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let warning = json["warnings"][0].as_str().expect("a warning");
        assert!(warning.contains(complaint), "{warning}");
    }

    write(folder.path(), &ended.0);
    let process = Process::start(process::run(&config));
    let told = |complaint: &'static str| {
        process.until_stderr(move |log| {
            let mut lines = log.lines();
            lines.find(|line| line.contains("WARN") && line.contains(complaint))?;
            Some(())
        })
    };
    told(ended.1).await;
    addresses(&process).await;
    write(folder.path(), &early.0);
    process.signal(Signal::HUP);
    told(early.1).await;

    write(folder.path(), &authority.leaf());
    let output = process::output(process::command(&["--config", path, "check"])).await;
    assert_eq!(text(&output.stderr), "");
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// The key formats that `openssl` has written over the years; the tests above have PKCS #8.
#[tokio::test]
async fn older_forms_of_keys_are_read() {
    let emulator = emulator().await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &folder, &lines());
    let config = config.to_str().expect("UTF-8");

    let ec = KeyPair::generate().expect("a key");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &ec.serialize_der());
    let sec1: EcPrivateKeyRfc5915Der = pair.expect("a key").private_key().as_der().expect("DER");
    let sec1 = pem("EC PRIVATE KEY", sec1.as_ref());
    let rsa = rsa_key("first");
    // PKCS #8 has 26 bytes before a key of 2048 bits.
    let pkcs1 = pem("RSA PRIVATE KEY", &rsa.serialize_der()[26..]);
    for (key, form) in [(&ec, sec1), (rsa, pkcs1)] {
        let leaf = Leaf {
            certificate: certificate(key, 2100).pem(),
            key: form,
        };
        write(folder.path(), &leaf);
        let output = process::output(process::command(&["--config", config, "check"])).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

/// A client on another machine has to send a certificate.
#[tokio::test]
async fn remote_callers_are_let_in_only_where_they_show_a_certificate() {
    let emulator = emulator().await;
    let authority = Authority::new();
    for (client_ca, is_valid) in [("", false), (", client_ca = \"clients.pem\"", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let security = format!(
            "allow_remote = true\ntls = {{ certificate = \"server.pem\", key = \"server.key\"{client_ca} }}"
        );
        let config = write_config(&emulator, &folder, &[("security", security)]);
        write(folder.path(), &authority.leaf());
        fs::write(folder.path().join("clients.pem"), &authority.pem).expect("written");
        let config = config.to_str().expect("UTF-8");
        let arguments = ["--config", config, "--listen", "0.0.0.0:0", "check"];
        let output = process::output(process::command(&arguments)).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.success(), is_valid, "{said}");
        assert_eq!(
            said.contains("require client certificates"),
            !is_valid,
            "{said}"
        );
    }
}
