//! The command line as people guess it: flags in place of a file, URLs without a flag, near misses.

use crate::support::process::{self, text};

const FHIR: &str = "https://ws-fhir.fhir.azurehealthcareapis.com";
const DICOM: &str = "https://ws-dicom.dicom.azurehealthcareapis.com";

/// The exit code, and both streams.
fn check(
    line: &str,
    variables: &[(&str, &str)],
    folder: &std::path::Path,
) -> (Option<i32>, String) {
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let mut command = process::command(&arguments);
    command.current_dir(folder).envs(variables.iter().copied());
    let output = command.output().expect("the program runs");
    let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
    (output.status.code(), printed)
}

#[test]
fn flags_and_urls_are_enough() {
    let folder = tempfile::tempdir().expect("a folder");
    for (line, expected) in [
        (
            format!("check --fhir {FHIR} --port 9000"),
            "listen  127.0.0.1:9000\nlisten  [::1]:9000",
        ),
        (format!("check --fhir {FHIR} --read-only"), "read only"),
        (
            format!("check {FHIR} {DICOM}"),
            "route   /dicom -> https://ws-dicom",
        ),
        (
            format!("check {FHIR} {DICOM}"),
            "route   /fhir -> https://ws-fhir",
        ),
        (
            format!("check {FHIR} --credential device-code --tenant contoso.com"),
            "credential default (device-code)",
        ),
        (
            format!("check {FHIR} --allowed-origin http://localhost:3000 --tenant contoso.com"),
            "the configuration is valid",
        ),
        (format!("check {FHIR} -v"), "the configuration is valid"),
        (format!("check {FHIR} -q"), "the configuration is valid"),
    ] {
        let (code, printed) = check(&line, &[], folder.path());
        assert_eq!(code, Some(0), "{line}: {printed}");
        assert!(printed.contains(expected), "{line}: {printed}");
    }
}

#[test]
fn near_misses_get_a_hint() {
    let folder = tempfile::tempdir().expect("a folder");
    for (line, expected) in [
        ("serve", "without a command starts the proxy"),
        ("start", "without a command starts the proxy"),
        ("login", "az login"),
        ("nonsense", "--help` lists the commands"),
        ("--audience https://x", "below [routes.fhir]"),
        ("--url https://x", "--fhir or --dicom"),
        ("--bind 127.0.0.1:1", "the flag is --listen"),
        (
            "https://ws-fhir.fhir.azurehealthcareapis.com check",
            "put the command before the URL",
        ),
        (
            "check https://localhost:1",
            "give the URL to --fhir or --dicom",
        ),
        (
            "check --dicom https://ws-fhir.fhir.azurehealthcareapis.com",
            "give this URL to --fhir",
        ),
        (
            "check --fhir https://ws-dicom.dicom.azurehealthcareapis.com",
            "give this URL to --dicom",
        ),
        (
            "check --fhir https:/ws-fhir.fhir.azurehealthcareapis.com",
            "write https://ws-fhir.",
        ),
        ("check --port 1 --listen 127.0.0.1:1", "cannot be used with"),
        ("check --port 0", "1..=65535"),
        ("check --tenant a/b", "the tenant contains `/`"),
        (
            "check --credential managed-identity --tenant a",
            "`managed-identity` does not use a tenant",
        ),
    ] {
        let (code, printed) = check(line, &[], folder.path());
        assert_eq!(code, Some(2), "{line}: {printed}");
        assert!(printed.contains(expected), "{line}: {printed}");
    }
}

#[test]
fn a_misspelt_variable_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [("AHDS_PROXY_FIHR", FHIR)];
    let (code, printed) = check("check", &variables, folder.path());
    assert_eq!(code, Some(2), "{printed}");
    assert!(
        printed.contains("did you mean AHDS_PROXY_FHIR?"),
        "{printed}"
    );
    // A variable for a secret may have any name.
    let variables = [("AHDS_PROXY_FHIR", FHIR), ("AHDS_PROXY_CLIENT_SECRET", "x")];
    let (code, printed) = check("check", &variables, folder.path());
    assert_eq!(code, Some(0), "{printed}");
    assert!(!printed.contains("did you mean"), "{printed}");
}

#[test]
fn a_file_in_its_usual_place_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    let own = home.join("ahds-proxy");
    std::fs::create_dir_all(&own).expect("made");
    let home = [("XDG_CONFIG_HOME", home.to_str().expect("UTF-8"))];
    let write = |path: std::path::PathBuf, url: &str| {
        std::fs::write(path, format!("[routes.fhir]\nupstream = \"{url}\"\n")).expect("written");
    };

    let (code, _) = check("check", &home, folder.path());
    assert_eq!(code, Some(2), "nothing is configured");

    if cfg!(target_os = "linux") {
        write(
            own.join("config.toml"),
            "https://of-user.fhir.azurehealthcareapis.com",
        );
        let (code, printed) = check("check", &home, folder.path());
        assert_eq!(code, Some(0), "{printed}");
        assert!(printed.contains("https://of-user."), "{printed}");
    }

    let here = folder.path().join("ahds-proxy.toml");
    write(here.clone(), "https://here.fhir.azurehealthcareapis.com");
    let (_, printed) = check("check", &home, folder.path());
    assert!(printed.contains("https://here."), "{printed}");

    // A file that is broken is an error, not a reason to take the next one.
    std::fs::write(here, "routes = 1").expect("written");
    let (code, printed) = check("check", &home, folder.path());
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("ahds-proxy.toml:1"), "{printed}");
}
