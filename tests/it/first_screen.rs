//! The first lines of the README, as a newcomer types them into an empty folder.

use std::process::Command;

use azure_emulator::{DICOM_AUDIENCE, Emulator, FHIR_AUDIENCE, Options};

use crate::support::{
    client,
    fake_az::{self, FakeAz},
    forward_proxy,
    process::{self, Process, text},
};

/// az, which gives a token for what it is asked for once somebody has signed in.
const AZ: &str = "\
    [ \"$1\" = login ] && { touch \"$D/signed-in\"; exit; }\n\
    [ -f \"$D/signed-in\" ] || { echo \"Please run 'az login' to setup account.\" >&2; exit 1; }\n\
    case $R in\n\
    *management*) cat \"$D/management\";;\n\
    *) answer;;\n\
    esac";

/// The commands of the README's first screen, without the installation.
fn commands() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).expect("a README");
    let screen: Vec<&str> = readme.lines().take(40).collect();
    let start = screen
        .iter()
        .position(|line| *line == "```sh")
        .expect("commands");
    let lines = screen[start + 1..]
        .iter()
        .take_while(|line| **line != "```");
    lines.map(|line| (*line).to_owned()).collect()
}

#[tokio::test]
async fn the_first_screen_leads_to_the_first_patient() {
    let commands = commands();
    let [login, init, serve, curl] = &commands[..] else {
        panic!("{commands:?}");
    };
    let options = Options {
        samples: true,
        ..Options::default()
    };
    let emulator = Emulator::start(options).await.expect("started");
    // The network leads Azure's names to the emulator, and the machine trusts its certificates.
    let network = forward_proxy::start(&emulator, None).await;
    let az = FakeAz::new(&emulator, AZ);
    let token = emulator.entra().issue("https://management.azure.com", 3600);
    az.write("management", &fake_az::answer(&token, 3600));
    let folder = tempfile::tempdir().expect("a folder");
    let trusted = az.path("ca.pem");
    std::fs::write(&trusted, emulator.ca_pem()).expect("written");
    let path = format!("{}:/usr/bin:/bin", az.folder().display());
    let newcomer = |command: &mut Command| {
        command
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("SSL_CERT_FILE", &trusted)
            .env("HTTPS_PROXY", format!("http://{}", network.address()))
            .env("AHDS_PROXY_LISTEN", "127.0.0.1:0")
            .env("AHDS_PROXY_ADMIN", "127.0.0.1:0")
            .env("RUST_LOG", "info");
    };
    let program = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], "ahds-proxy");
        let mut command = process::command(&words[1..]);
        newcomer(&mut command);
        command
    };

    // Without a sign-in, the remedy is the line above.
    let refused = process::output(program(init)).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        text(&refused.stderr).contains(login),
        "{}",
        text(&refused.stderr)
    );

    assert_eq!(login, "az login");
    let signed_in = Command::new(az.program()).arg("login").status();
    assert!(signed_in.expect("it runs").success());
    let written = process::output(program(init)).await;
    let said = text(&written.stderr);
    assert_eq!(written.status.code(), Some(0), "{said}");
    // It says how to go on, in the words of the README.
    assert!(said.contains(&format!("\n  {serve}\n")), "{said}");

    let proxy = Process::start(program(serve));
    let (address, _) = proxy.addresses().await;
    let target = curl
        .split_once("localhost:8080")
        .map(|(_, target)| target.trim_end_matches('\''))
        .expect("a URL of the default address");
    assert!(said.contains(&format!("localhost:8080{target}'")), "{said}");
    let patients = client::get(address, target).await;
    assert_eq!(patients.status, 200, "{}", patients.text());
    assert!(patients.text().contains("\"resourceType\":\"Patient\""));
    for audience in [FHIR_AUDIENCE, DICOM_AUDIENCE] {
        assert!(proxy.stderr().contains(&format!("audience={audience}")));
    }
}
