//! URLs of services, and addresses to listen on.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
};

use super::{Row, check, check_in, row, run};
use crate::support::{process, tls::Authority};

const URLS: &[Row] = &[
    row(
        "1: the host is misspelt",
        "check --fhir https://contoso-fhir.fhir.azurehealthcareapi.com",
        "",
        2,
        &[
            "is not part of Azure Health Data Services",
            "check its spelling",
        ],
    ),
    row(
        "2: the scheme is misspelt",
        "check --fhir htps://h",
        "",
        2,
        &["`htps`", "write it as https://HOST"],
    ),
    row(
        "2: a port beyond all ports",
        "check --fhir https://h:99999",
        "",
        2,
        &["`99999`", "from 1 to 65535"],
    ),
    row(
        "2: a query",
        "check --fhir $FHIR/?a=b",
        "",
        2,
        &["has a query", "remove everything from the `?`"],
    ),
    row(
        "2: a fragment",
        "check --fhir $FHIR/#a",
        "",
        2,
        &["has a fragment", "from the `#`"],
    ),
    row(
        "2: user info",
        "check --fhir https://a:b@h",
        "",
        2,
        &["user info", "authenticates with a token"],
    ),
    row(
        "3: one slash",
        "check --fhir https:/h.example",
        "",
        2,
        &["one slash", "write https://h.example"],
    ),
    row(
        "4: no scheme",
        "check --fhir h.example",
        "",
        2,
        &["not an absolute URL", "https://h.example"],
    ),
    row(
        "4: http to Azure",
        "check --fhir http://contoso-fhir.fhir.azurehealthcareapis.com",
        "",
        2,
        &["plain http would show the token", "write $FHIR"],
    ),
    row(
        "5: a slash at the end",
        "check --fhir $FHIR/",
        "",
        0,
        &["audience $FHIR\n"],
    ),
    row(
        "5: the default port",
        "check --fhir $FHIR:443/",
        "",
        0,
        &["audience $FHIR\n"],
    ),
    row(
        "5: capitals",
        "check --fhir https://Contoso-FHIR.fhir.azurehealthcareapis.com",
        "",
        0,
        &["audience https://contoso-fhir."],
    ),
    row(
        "6: quotes",
        "check --fhir \u{201c}$FHIR\u{201d}",
        "",
        2,
        &["quotation marks around it", "remove them"],
    ),
    row(
        "6: a quote inside",
        "check --fhir https://a\"b",
        "",
        2,
        &["contains `\"`", "remove it"],
    ),
    row(
        "6: a dash of a word processor",
        "check --fhir https://a\u{2013}b",
        "",
        2,
        &["`\u{2013}` (U+2013)", "type it as `-`"],
    ),
    row(
        "7: FHIR for DICOM",
        "check --dicom $FHIR",
        "",
        2,
        &["the host of a FHIR service", "give this URL to --fhir"],
    ),
    row(
        "7: DICOM for FHIR",
        "check --fhir $DICOM",
        "",
        2,
        &["the host of a DICOM service", "give this URL to --dicom"],
    ),
    row(
        "8: with /metadata",
        "check --fhir $FHIR/metadata",
        "",
        2,
        &["not the base of a FHIR service", "help: write $FHIR\n"],
    ),
    row(
        "8: with /Patient",
        "check --fhir $FHIR/Patient",
        "",
        2,
        &["not the base of a FHIR service", "help: write $FHIR\n"],
    ),
    row(
        "9: with two versions",
        "check --dicom $DICOM/v2/v2",
        "",
        2,
        &["not the base of a DICOM service", "/v2\n"],
    ),
    row(
        "10: a workspace, or a service that was retired",
        "check --fhir https://contoso.azurehealthcareapis.com",
        "",
        0,
        &[
            "warning: `routes.fhir.upstream`: contoso.azurehealthcareapis.com is the host of a workspace",
            "Azure API for FHIR",
            "contoso-SERVICE.fhir.azurehealthcareapis.com",
            "`ahds-proxy init`",
        ],
    ),
    row(
        "10: a workspace for DICOM",
        "check --dicom https://contoso.azurehealthcareapis.com",
        "",
        2,
        &[
            "contoso.azurehealthcareapis.com is the host of a workspace",
            "help: write https://contoso-SERVICE.dicom.azurehealthcareapis.com",
            "`ahds-proxy init`",
        ],
    ),
    row(
        "11: a page of the portal",
        "check --fhir https://portal.azure.com/#@contoso.com/resource/subscriptions/0/resourceGroups/r/providers/Microsoft.HealthcareApis/workspaces/contoso/fhirservices/fhir/overview",
        "",
        2,
        &[
            "a page of the Azure portal",
            "write https://contoso-fhir.fhir.",
        ],
    ),
    row(
        "12: an Azure resource ID",
        "check --fhir /subscriptions/0/resourceGroups/r/providers/Microsoft.HealthcareApis/workspaces/contoso/fhirservices/fhir",
        "",
        2,
        &["an Azure resource ID", "write https://contoso-fhir.fhir."],
    ),
    row(
        "13: another company's host",
        "check --fhir https://fhir.example.org",
        "",
        2,
        &[
            "not part of Azure",
            "trusted_upstreams = [\"fhir.example.org\"]",
        ],
    ),
    row(
        "37: the documentation's placeholder",
        "check --fhir https://WS-FHIR.fhir.azurehealthcareapis.com",
        "",
        0,
        &[
            "warning: `routes.fhir.upstream` is the placeholder",
            "ahds-proxy init",
        ],
    ),
    row(
        "50: every origin",
        "check --fhir $FHIR --allowed-origin *",
        "",
        2,
        &["would let every web page", "list each origin"],
    ),
    row(
        "50: an origin without its scheme",
        "check --fhir $FHIR --allowed-origin localhost:3000",
        "",
        2,
        &["its scheme is missing", "write http://localhost:3000"],
    ),
    row(
        "61: a part of 70 letters",
        "check --fhir https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.fhir.azurehealthcareapis.com",
        "",
        2,
        &["longer than 63 characters", "the portal shows"],
    ),
    row(
        "61: a dot at the end",
        "check --fhir https://h.example.",
        "",
        2,
        &["ends with a dot", "none at its end"],
    ),
];

#[test]
fn the_url_of_a_service() {
    check(URLS);
}

#[test]
fn white_space_in_a_url() {
    let folder = tempfile::tempdir().expect("a folder");
    for (url, row) in [
        (
            "https://h\n",
            row(
                "6: a line break",
                "",
                "",
                2,
                &["a line break, before or after", "help: remove it"],
            ),
        ),
        (
            "https://a b",
            row(
                "6: a space",
                "",
                "",
                2,
                &["contains white space", "help: remove it"],
            ),
        ),
    ] {
        run(folder.path(), &row, &["check", "--fhir", url], &[]);
    }
}

#[test]
fn addresses_to_listen_on() {
    check(&[
        row(
            "14: a port alone",
            "check --fhir $FHIR --listen 8000",
            "",
            2,
            &["not an IP address with a port", "127.0.0.1:8000"],
        ),
        row(
            "14: a colon and a port",
            "check --fhir $FHIR --listen :8000",
            "",
            2,
            &["not an IP address", "127.0.0.1:8000"],
        ),
        row(
            "14: a name",
            "check --fhir $FHIR --listen localhost:8000",
            "",
            2,
            &["not an IP address", "127.0.0.1:8000 or [::1]:8000"],
        ),
        row(
            "14: a URL",
            "check --fhir $FHIR --listen http://127.0.0.1:8000",
            "",
            2,
            &["not an IP address", "write it as 127.0.0.1:"],
        ),
        row(
            "14: no port",
            "check --fhir $FHIR --listen 127.0.0.1",
            "",
            2,
            &["not an IP address with a port", "127.0.0.1:8080"],
        ),
        row(
            "16: the listener is the admin address",
            "check --fhir $FHIR --listen 127.0.0.1:8081",
            "",
            2,
            &["are both 127.0.0.1:8081", "set `admin` to another port"],
        ),
        row(
            "16: the service is the proxy itself",
            "check --fhir http://localhost:8080",
            "",
            2,
            &["is this proxy itself", "the service's own address"],
        ),
        row(
            "17: the folder of the socket is missing",
            "--fhir $FHIR --admin off --listen unix:$HERE/absent/proxy.sock",
            "",
            1,
            &[
                "the folder $HERE/absent does not exist",
                "mkdir -p $HERE/absent",
            ],
        ),
        row(
            "17: a file in place of the socket's folder",
            "--fhir $FHIR --admin off --listen unix:$HERE/ahds-proxy.toml/proxy.sock",
            "[log]\n",
            1,
            &["ahds-proxy.toml is not a folder", "choose another path"],
        ),
        row(
            "18: the socket is a folder",
            "--fhir $FHIR --admin off --listen unix:$HERE",
            "",
            1,
            &["this is a folder", "name a file in it, such as unix:$HERE/"],
        ),
        row(
            "18: the socket is a plain file",
            "--fhir $FHIR --admin off --listen unix:$HERE/ahds-proxy.toml",
            "[log]\n",
            1,
            &[
                "a file that is not a socket",
                "remove it if nobody needs it",
            ],
        ),
        row(
            "51: 0.0.0.0",
            "check --fhir $FHIR --listen 0.0.0.0:8000",
            "",
            2,
            &[
                "other machines could use your token",
                "write 127.0.0.1:8000",
                "client_ca",
            ],
        ),
    ]);
}

#[test]
fn an_address_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    for flag in ["--listen", "--admin"] {
        let row = row(
            "15: in use",
            "",
            "",
            1,
            &[
                "is already in use",
                "end the other program, or choose another address with --listen or --admin",
            ],
        );
        let others = if flag == "--listen" {
            ["--admin", "off"]
        } else {
            ["--listen", "127.0.0.1:0"]
        };
        let arguments = [&["--fhir", super::FHIR, flag, &address][..], &others].concat();
        run(folder.path(), &row, &arguments, &[]);
    }
}

/// A machine has no address of TEST-NET-1 (RFC 5737).
#[test]
fn an_address_of_another_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    remote(&folder);
    let row = row(
        "17: not an address of this machine",
        "--listen 192.0.2.1:8000 --admin off",
        REMOTE,
        1,
        &[
            "this machine does not have this address",
            "such as 127.0.0.1:8000",
        ],
    );
    check_in(&folder, &row, &[]);
}

const REMOTE: &str = "[routes.fhir]\nupstream = \"$FHIR\"\n[security]\nallow_remote = true\n\
                      tls = { certificate = \"server.pem\", key = \"server.key\", client_ca = \"ca.pem\" }\n";

/// The files of [`REMOTE`].
fn remote(folder: &tempfile::TempDir) {
    let authority = Authority::new();
    let leaf = authority.leaf();
    for (name, text) in [
        ("server.pem", &leaf.certificate),
        ("server.key", &leaf.key),
        ("ca.pem", &authority.pem),
    ] {
        fs::write(folder.path().join(name), text).expect("written");
    }
}

#[test]
fn a_listener_for_other_machines() {
    let folder = tempfile::tempdir().expect("a folder");
    remote(&folder);
    let row = row(
        "52: 0.0.0.0 with allow_remote",
        "check --listen 0.0.0.0:8443",
        REMOTE,
        0,
        &[
            "warning: `listen`: other machines reach 0.0.0.0:8443",
            "a certificate that `client_ca` has signed uses your token",
            "write 127.0.0.1:8443 if only this machine calls",
        ],
    );
    check_in(&folder, &row, &[]);
}

/// As a user who is not root, if the tests run as root.
fn as_a_user(folder: &tempfile::TempDir, arguments: &[&str]) -> String {
    let mut command = process::command(arguments);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("its mode is set");
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command
        .current_dir(folder.path())
        .output()
        .expect("the program runs");
    process::text(&output.stderr).to_owned()
}

#[test]
fn a_port_of_root() {
    let lowest = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if lowest.is_ok_and(|port| port.trim().parse::<u16>().is_ok_and(|port| port < 1024)) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["--fhir", super::FHIR, "--port", "80", "--admin", "off"];
    let printed = as_a_user(&folder, &arguments);
    for part in [
        "this user may not use ports below 1024",
        "--port or --listen",
        "setcap cap_net_bind_service",
    ] {
        assert!(printed.contains(part), "17: no {part} in {printed}");
    }
}

#[test]
fn a_configuration_file_of_another_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ahds-proxy.toml");
    fs::write(&file, "[log]\n").expect("written");
    fs::set_permissions(
        &file,
        Permissions::from_mode(if rustix::process::geteuid().is_root() {
            0o600
        } else {
            0
        }),
    )
    .expect("its mode is set");
    let printed = as_a_user(&folder, &["check"]);
    for part in [
        "Permission denied",
        "run ahds-proxy as the owner of the file",
        "chmod o+r",
    ] {
        assert!(printed.contains(part), "20: no {part} in {printed}");
    }
}
