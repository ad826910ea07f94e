//! The configuration file, flags over it, and the environment.

use std::fs;

use super::{FHIR, Row, check, check_in, filled, row};
use crate::support::process;

const FILES: &[Row] = &[
    row(
        "19: missing",
        "check --config absent.toml",
        "",
        2,
        &[
            "absent.toml cannot be read",
            "write the path of a TOML file, or no path",
        ],
    ),
    row(
        "19: a folder",
        "check --config $HERE",
        "",
        2,
        &["cannot be read", "the path of the file in this folder"],
    ),
    row(
        "19: empty",
        "check --config ahds-proxy.toml",
        "\n",
        2,
        &["there is no route", "run: ahds-proxy --fhir"],
    ),
    row(
        "21: no quotation marks",
        "check",
        "[routes.fhir]\nupstream = $FHIR\n",
        2,
        &[
            "ahds-proxy.toml:2:",
            "a text has no quotation marks",
            "key = \"value\"",
        ],
    ),
    row(
        "21: no closing bracket",
        "check",
        "[routes.fhir\nupstream = \"$FHIR\"\n",
        2,
        &["ahds-proxy.toml:1:", "no closing bracket", "[routes.fhir]"],
    ),
    row(
        "21: several mistakes at once",
        "check",
        "listen = 8080\n[routes.fhir]\nupstream = 1\nread_only = \"yes\"\n[network]\nconnect_timeout = \"soon\"\n",
        2,
        &[
            "`listen` cannot be a number",
            "`routes.fhir.upstream` cannot be a number",
            "write true or false",
            "`network.connect_timeout`",
            "4 problems",
        ],
    ),
    row(
        "21: a byte order mark and CR LF",
        "check",
        "\u{feff}[routes.fhir]\r\nupstream = \"$FHIR\"\r\n",
        0,
        &["is valid"],
    ),
    row(
        "22: a table twice",
        "check",
        "[routes.fhir]\nupstream = \"$FHIR\"\n[routes.fhir]\nread_only = true\n",
        2,
        &[
            "ahds-proxy.toml:3:",
            "`fhir` is defined twice",
            "keep one of the two tables",
            "a table of another name",
        ],
    ),
    row(
        "22: a key twice",
        "check",
        "[routes.fhir]\nupstream = \"$FHIR\"\nupstream = \"$FHIR\"\n",
        2,
        &[
            "ahds-proxy.toml:3:",
            "`upstream` is defined twice",
            "keep one of the two lines",
        ],
    ),
    row(
        "22: a list of tables",
        "check",
        "[[routes]]\nupstream = \"$FHIR\"\n",
        2,
        &[
            "`routes` cannot be a list",
            "write [routes.fhir], with one pair of brackets",
        ],
    ),
    row(
        "22: a path of Windows",
        "check",
        "[network]\nca_file = \"C:\\users\\ca.pem\"\n",
        2,
        &[
            "ahds-proxy.toml:2:",
            "begins an escape sequence",
            "between single quotes, such as 'C:\\certs",
        ],
    ),
    row(
        "22: another path of Windows",
        "check",
        "[network]\nca_file = \"C:\\certs\\ca.pem\"\n",
        2,
        &["begins an escape sequence", "between single quotes"],
    ),
    row(
        "22: a path of Windows whose escape sequences are valid",
        "check",
        "[network]\nca_file = \"C:\\temp\\new.pem\"\n",
        2,
        &[
            "ahds-proxy.toml:2:",
            "a `\\` begins an escape sequence such as `\\t`",
            "between single quotes",
        ],
    ),
    row(
        "23: a misspelt table",
        "check",
        "[route.fhir]\nupstream = \"$FHIR\"\n",
        2,
        &["unknown key `route`", "did you mean `routes`?"],
    ),
    row(
        "23: another key",
        "check",
        "[routes.fhir]\nurl = \"$FHIR\"\n",
        2,
        &[
            "unknown key `url`",
            "url = \"$FHIR\"",
            "upstream",
            "needs the key `upstream`",
        ],
    ),
    row(
        "24: a secret",
        "check",
        "[routes.fhir]\nupstream = \"$FHIR\"\n[credentials.default.client-secret]\ntenant = \"t\"\nclient_id = \"a\"\n\
             secret = \"hunter2\"\n",
        2,
        &[
            "secret = \"***\"",
            "must not contain secrets",
            "{ file = \"PATH\" }, and replace the secret",
        ],
    ),
    row(
        "67: telemetry",
        "check",
        "[routes.fhir]\nupstream = \"$FHIR\"\n[telemetry]\notlp_endpoint = \"http://127.0.0.1:4317\"\n",
        2,
        &["is not available yet", "remove it"],
    ),
    row(
        "friction 16: a file that is missing is shown",
        "check",
        "[routes.fhir]\nupstream = \"$FHIR\"\n[security]\ntls = { certificate = \"a.pem\", key = \"a.key\" }\n",
        2,
        &["key = \"a.key\"", "write the path of a PEM file"],
    ),
    row(
        "friction 16: a kind in the wrong place is shown",
        "check",
        "[routes.fhir]\nupstream = \"$FHIR\"\n[credentials.default]\nkind = \"azure-cli\"\n",
        2,
        &["kind = \"azure-cli\"", "[credentials.NAME.KIND]"],
    ),
];

#[test]
fn a_file_that_cannot_be_used() {
    check(FILES);
}

/// A row can only have text in UTF-8.
#[test]
fn a_file_of_another_encoding() {
    for (name, content, expected) in [
        (
            "19: UTF-16",
            &b"\xff\xfe[\0"[..],
            &[
                "is in UTF-16, as `>` of Windows PowerShell writes it",
                "save it as UTF-8",
                "`ahds-proxy init --output FILE`",
            ][..],
        ),
        (
            "19: UTF-16, big end first",
            b"\xfe\xff\0[",
            &["is in UTF-16", "save it as UTF-8"],
        ),
        (
            "19: Latin-1",
            b"# \xe4\n",
            &["is not UTF-8", "save it as UTF-8"],
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ahds-proxy.toml"), content).expect("written");
        check_in(&folder, &row(name, "check", "", 2, expected), &[]);
    }
}

#[test]
fn the_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    for (row, variables) in [
        (
            row(
                "57: nothing else",
                "check",
                "",
                0,
                &["the configuration is valid", "azure-cli"],
            ),
            &[
                ("AHDS_PROXY_FHIR", FHIR),
                ("AHDS_PROXY_CREDENTIAL", "azure-cli"),
            ][..],
        ),
        (
            row(
                "58: misspelt",
                "check",
                "",
                2,
                &["AHDS_PROXY_FIHR is set", "did you mean AHDS_PROXY_FHIR?"],
            ),
            &[("AHDS_PROXY_FIHR", FHIR)],
        ),
        (
            row(
                "64: the HTTP proxy of a network",
                "check --fhir $FHIR",
                "",
                0,
                &["proxy   proxy.example:3128 (HTTPS_PROXY)"],
            ),
            &[("HTTPS_PROXY", "http://proxy.example:3128")],
        ),
    ] {
        check_in(&folder, &row, variables);
    }
}

#[test]
fn flags_over_a_file() {
    check(&[
        row(
            "59: the kind of the file keeps its tenant",
            "check --credential azure-cli --tenant contoso.com",
            "[routes.fhir]\nupstream = \"$FHIR\"\n[credentials.default.azure-cli]\ntenant = \"fabrikam.com\"\n",
            0,
            &["credential default (azure-cli)"],
        ),
        row(
            "59: the route keeps its other keys",
            "check --fhir https://fabrikam-fhir.fhir.azurehealthcareapis.com",
            "[routes.fhir]\nupstream = \"$FHIR\"\nread_only = true\n",
            0,
            &["https://fabrikam-fhir.", "read only"],
        ),
        row(
            "60: the audience of another service",
            "check --fhir https://fabrikam-fhir.fhir.azurehealthcareapis.com",
            "[routes.fhir]\nupstream = \"$FHIR\"\naudience = \"$FHIR\"\n",
            0,
            &[
                "warning: --fhir replaces the service of [routes.fhir]",
                "tokens are now for https://fabrikam-fhir.fhir.azurehealthcareapis.com, not for its `audience` $FHIR",
                "write `upstream` and `audience` into the file",
                "        audience https://fabrikam-fhir.fhir.azurehealthcareapis.com\n",
            ],
        ),
        row(
            "60: the audience of the same service",
            "check --fhir $FHIR",
            "[routes.fhir]\nupstream = \"$FHIR\"\naudience = \"api://fhir\"\n",
            0,
            &["        audience api://fhir\n"],
        ),
        row(
            "60: an audience that belongs to no other service",
            "check --fhir $FHIR",
            "[routes.fhir]\naudience = \"api://fhir\"\n",
            0,
            &["        audience api://fhir\n"],
        ),
        row(
            "60: a service without a default",
            "check --dicom https://contoso-dicom.dicom.azurehealthcareapis.us",
            "[routes.dicom]\nupstream = \"$DICOM\"\naudience = \"api://dicom\"\n",
            0,
            &[
                "tokens are still for its `audience` api://dicom",
                "        audience api://dicom\n",
            ],
        ),
    ]);
}

#[test]
fn a_static_token_that_is_a_header() {
    const FILE: &str = "[routes.fhir]\nupstream = \"$FHIR\"\n[credentials.default.static]\ntoken = { file = \"token\" }\n";
    for (content, cause, cure) in [
        (
            "Bearer abc\n",
            "the word Bearer before the token",
            "Write the token alone there",
        ),
        (
            "Authorization: Bearer abc",
            "the word Authorization: before the token",
            "Write the token alone there",
        ),
        (
            "\"abc\"",
            "characters that a bearer token cannot have",
            "without quotation marks",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("token"), content).expect("written");
        for (line, code) in [("check", 2), ("token fhir", 1)] {
            let expected = Box::leak(Box::new([cause, cure]));
            check_in(
                &folder,
                &Row {
                    name: "62",
                    line,
                    file: FILE,
                    code,
                    expected,
                },
                &[],
            );
        }
    }
}

#[test]
fn errors_in_json() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, line, variables, code, message, remedy) in [
        (
            "72: a port that no user has",
            "--fhir $FHIR --log-format json --listen unix:/absent/x --admin off",
            &[][..],
            1,
            "the folder /absent does not exist",
            None,
        ),
        (
            "72: a configuration",
            "--log-format=json --fhir h",
            &[],
            2,
            "not an absolute URL",
            Some("https://h"),
        ),
        (
            "72: the environment",
            "check --config absent.toml",
            &[("AHDS_PROXY_LOG_FORMAT", "json")],
            2,
            "absent.toml cannot be read",
            Some("write the path"),
        ),
        (
            "72: a flag",
            "--log-format json --nonsense",
            &[],
            2,
            "'--nonsense'",
            Some("--help"),
        ),
    ] {
        let line = filled(line, folder.path());
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let mut command = process::command(&arguments);
        let output = command
            .envs(variables.iter().copied())
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(code), "{name}");
        let printed = process::text(&output.stderr);
        let mut lines = printed
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect(printed));
        let last = lines.next_back().expect("a line");
        assert_eq!(last["level"], "ERROR", "{name}: {printed}");
        let text = last["message"].as_str().expect("a text");
        assert!(text.contains(message), "{name}: {printed}");
        if let Some(remedy) = remedy {
            assert!(
                last["remedy"]
                    .as_str()
                    .is_some_and(|text| text.contains(remedy)),
                "{name}: {printed}"
            );
        }
    }
    let text = row(
        "72: text unless it is asked for",
        "check --config absent.toml",
        "",
        2,
        &["error: the configuration file"],
    );
    check_in(&folder, &text, &[]);
}
