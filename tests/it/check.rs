//! `ahds-proxy check --online`: its finding for each way a route can fail.

use std::path::Path;

use azure_emulator::{
    CLIENT_ID, DICOM_AUDIENCE, Emulator, FHIR_AUDIENCE, FHIR_HOST, Fault, Options, SigningKey,
    TENANT,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    MISNAMED_HOST, WORKSPACE_HOST,
    fake_az::{self, FakeAz},
    process::{self, Process, text},
    scripted::{Scripted, route_to},
    write_config,
};

type Lines = Vec<(&'static str, String)>;

const ELSEWHERE: &str = "e15e0000-0000-4000-8000-000000000001";

async fn emulator() -> Emulator {
    let options = Options {
        samples: true,
        ..Options::default()
    };
    Emulator::start(options).await.expect("the emulator starts")
}

/// The output of a run.
struct Report {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Report {
    async fn of(files: &TempDir, arguments: &[&str]) -> Self {
        let mut command = process::run(&files.path().join("ahds-proxy.toml"));
        command.args(["check", "--online"]).args(arguments);
        let output = process::output(command).await;
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout).to_owned(),
            stderr: text(&output.stderr).to_owned(),
        }
    }

    fn findings(&self) -> Vec<Value> {
        let json: Value = serde_json::from_str(&self.stdout).expect(&self.stderr);
        json.as_array().expect("an array").clone()
    }

    fn finding(&self, route: &str, check: &str) -> Value {
        let found = self
            .findings()
            .into_iter()
            .find(|finding| finding["route"] == route && finding["check"] == check);
        found.unwrap_or_else(|| panic!("{route} {check}: {}", self.stdout))
    }

    /// Neither a token nor what a service holds may be in what is printed.
    fn leaks_nothing(&self, emulator: &Emulator) {
        let fhir = emulator.fhir().traffic().recorded();
        let dicom = emulator.dicom().traffic().recorded();
        let tokens = fhir
            .iter()
            .chain(&dicom)
            .filter_map(|request| request.headers.get("authorization"))
            .map(|value| value.to_str().expect("text").trim_start_matches("Bearer "));
        let all = format!("{}{}", self.stdout, self.stderr);
        for token in tokens {
            let signature = token.rsplit('.').next().expect("a part");
            assert!(!all.contains(signature), "{all}");
        }
        for word in ["eyJ", "Bearer", "resourceType", "\"Patient\"", "hunter2"] {
            assert!(!all.contains(word), "{word}: {all}");
        }
    }
}

fn text_of<'a>(finding: &'a Value, key: &str) -> &'a str {
    finding[key].as_str().unwrap_or_default()
}

/// Replaces what differs from run to run.
fn steady(emulator: &Emulator, text: &str) -> String {
    let mut text = text
        .replace(&emulator.fhir_address().to_string(), "FHIR-ADDRESS")
        .replace(&emulator.dicom_address().to_string(), "DICOM-ADDRESS");
    for (before, length, name) in [
        ("valid until ", "2030-01-01".len(), "DAY"),
        ("expires ", "2030-01-01T00:00:00Z".len(), "TIME"),
    ] {
        let mut from = 0;
        while let Some(at) = text[from..].find(before) {
            from += at + before.len();
            text.replace_range(from..from + length, name);
        }
    }
    text
}

#[tokio::test]
async fn all_is_well() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    write_config(&emulator, &files, &[]);

    let report = Report::of(&files, &[]).await;
    assert_eq!(report.code, Some(0), "{}", report.stdout);
    assert_eq!(report.stderr, "");
    let certificate =
        "certificate of ahds-proxy emulator, issued by ahds-proxy emulator CA, valid until DAY";
    let token = |audience: &str| {
        format!(
            "client-secret, tenant {TENANT}, identity {CLIENT_ID}, audience {audience}, \
             expires TIME (in 59 min)"
        )
    };
    let expected = format!(
        "\
ROUTE  CHECK          STATUS   DETAIL
dicom  configuration  ok       dicom, https://demo-dicom.dicom.azurehealthcareapis.com, audience {DICOM_AUDIENCE}, credential default (client-secret)
dicom  dns            ok       DICOM-ADDRESS (network.resolve)
dicom  tls            ok       TLS 1.3, HTTP/2, {certificate}
dicom  token          ok       {dicom_token}
dicom  audience       ok       Azure Resource Manager names this audience for demo/dicom
dicom  anonymous      ok       GET /health/check: 200
dicom  authorised     ok       GET /v2/changefeed/latest?includemetadata=false: 200
fhir   configuration  ok       fhir, {FHIR_AUDIENCE}, audience {FHIR_AUDIENCE}, credential default (client-secret)
fhir   dns            ok       FHIR-ADDRESS (network.resolve)
fhir   tls            ok       TLS 1.3, HTTP/2, {certificate}
fhir   token          ok       {fhir_token}
fhir   audience       ok       Azure Resource Manager names this audience for demo/fhir
fhir   anonymous      ok       GET /metadata: 200
fhir   authorised     ok       GET /Patient?_count=1&_elements=id: 200
14 checks: 14 ok, 0 failed, 0 skipped
",
        dicom_token = token(DICOM_AUDIENCE),
        fhir_token = token(FHIR_AUDIENCE),
    );
    assert_eq!(steady(&emulator, &report.stdout), expected);
    report.leaks_nothing(&emulator);

    // The findings in JSON.
    let rows = expected.lines().skip(1).take(14).map(|row| {
        let (route, rest) = row.split_at(7);
        let (check, rest) = rest.split_at(15);
        let (status, detail) = rest.split_at(9);
        json!({
            "route": route.trim(),
            "check": check.trim(),
            "status": status.trim(),
            "detail": detail,
            "remedy": null,
        })
    });
    let report = Report::of(&files, &["--output", "json"]).await;
    assert_eq!(report.code, Some(0));
    assert_eq!(report.stderr, "");
    let printed = steady(&emulator, &report.stdout);
    let printed: Vec<Value> = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(printed, rows.collect::<Vec<_>>());
    report.leaks_nothing(&emulator);
}

/// A mistake, and the expected finding about it.
struct Case {
    what: &'static str,
    /// Changes the emulator, writes files, and returns lines of the configuration.
    arrange: fn(&Emulator, &Path) -> Lines,
    route: &'static str,
    check: &'static str,
    detail: &'static [&'static str],
    remedy: &'static [&'static str],
    /// Checks of the route that cannot be done.
    skipped: &'static [&'static str],
}

fn token_file(files: &Path, token: &str) -> Lines {
    std::fs::write(files.join("token"), token).expect("a file is written");
    vec![
        ("routes.fhir", "credential = \"fixed\"".to_owned()),
        (
            "credentials.fixed.static",
            "token = { file = \"token\" }".to_owned(),
        ),
    ]
}

fn claims(change: impl FnOnce(&mut Value)) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    let mut claims = json!({
        "aud": FHIR_AUDIENCE,
        "tid": TENANT,
        "appid": CLIENT_ID,
        "exp": now.as_secs() + 3600,
    });
    change(&mut claims);
    SigningKey::shared().sign(&claims)
}

/// A FHIR service that sends this response to everything.
fn answers(emulator: &Emulator, status: u16, headers: &[(&str, &str)]) -> Lines {
    let headers = headers.iter();
    emulator.fhir().faults().always(Fault::Respond {
        status,
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: "hunter2".to_owned(),
    });
    Vec::new()
}

const CASES: &[Case] = &[
    Case {
        what: "an audience that the service does not accept",
        arrange: |emulator, _| {
            emulator.fhir().set_audience("https://custom.example");
            Vec::new()
        },
        route: "fhir",
        check: "authorised",
        detail: &["401", "does not accept the audience", FHIR_AUDIENCE],
        remedy: &[
            "az resource show",
            "[?name=='demo/fhir'].id",
            "`audience` in [routes.fhir]",
        ],
        skipped: &[],
    },
    Case {
        what: "an audience that was set, and is not the usual one",
        arrange: |emulator, _| {
            emulator.entra().add_audience("https://odd.example");
            vec![(
                "routes.fhir",
                "audience = \"https://odd.example\"".to_owned(),
            )]
        },
        route: "fhir",
        check: "authorised",
        detail: &["401", "does not accept the audience https://odd.example"],
        remedy: &["Remove `audience` from [routes.fhir]", FHIR_AUDIENCE],
        skipped: &[],
    },
    Case {
        what: "a token for another service",
        arrange: |_, files| {
            token_file(
                files,
                &claims(|claims| claims["aud"] = DICOM_AUDIENCE.into()),
            )
        },
        route: "fhir",
        check: "authorised",
        detail: &[
            "401",
            "the token is for https://dicom.healthcareapis.azure.com, but the route's",
        ],
        remedy: &["source of the credential fixed"],
        skipped: &[],
    },
    Case {
        what: "a token of another tenant",
        arrange: |_, files| {
            let token = claims(|claims| {
                claims["tid"] = ELSEWHERE.into();
                claims["iss"] = format!("https://sts.windows.net/{ELSEWHERE}/").into();
            });
            token_file(files, &token)
        },
        route: "fhir",
        check: "authorised",
        detail: &["401", ELSEWHERE, "the service trusts tenant", TENANT],
        remedy: &["Get a token that tenant", TENANT],
        skipped: &[],
    },
    Case {
        what: "a tenant that does not exist",
        arrange: |_, _| {
            let keys = format!(
                "tenant = \"{ELSEWHERE}\"\nclient_id = \"{CLIENT_ID}\"\nsecret = {{ file = \"secret\" }}"
            );
            vec![
                ("routes.fhir", "credential = \"lost\"".to_owned()),
                ("credentials.lost.client-secret", keys),
            ]
        },
        route: "fhir",
        check: "token",
        detail: &["AADSTS90002"],
        remedy: &["Check `tenant` and `authority`"],
        skipped: &["authorised"],
    },
    Case {
        what: "no role",
        arrange: |emulator, _| {
            emulator.fhir().set_lacks_role(true);
            Vec::new()
        },
        route: "fhir",
        check: "authorised",
        detail: &["403", CLIENT_ID, "no role"],
        remedy: &[
            "az role assignment create --role \"FHIR Data Reader\" --assignee 5e77ab1e-",
            "ID=\"$(az resource list --resource-type Microsoft.HealthcareApis/workspaces/fhirservices \
             --query \"[?name=='demo/fhir'].id\" -o tsv)\"; az role",
            // An empty scope would be the whole subscription.
            "--scope \"${ID:?not in this subscription",
        ],
        skipped: &[],
    },
    Case {
        what: "no role for DICOM",
        arrange: |emulator, _| {
            emulator.dicom().set_lacks_role(true);
            Vec::new()
        },
        route: "dicom",
        check: "authorised",
        detail: &["403", "no role"],
        remedy: &[
            "--role \"DICOM Data Reader\"",
            "workspaces/dicomservices",
            "demo/dicom",
        ],
        skipped: &[],
    },
    Case {
        what: "a private endpoint, seen without a token",
        arrange: |emulator, _| {
            emulator.fhir().faults().always(Fault::Forbidden);
            Vec::new()
        },
        route: "fhir",
        check: "anonymous",
        detail: &["GET /metadata: 403", "refuses this network"],
        remedy: &["Public access to the service is disabled", FHIR_HOST],
        skipped: &[],
    },
    Case {
        what: "a private endpoint, seen with a token",
        arrange: |emulator, _| {
            emulator.dicom().faults().always(Fault::Forbidden);
            Vec::new()
        },
        route: "dicom",
        check: "authorised",
        detail: &["403", "even without a token"],
        remedy: &["private endpoint"],
        skipped: &[],
    },
    Case {
        what: "a name that does not resolve",
        arrange: |_, _| {
            vec![
                (
                    "routes.far",
                    "upstream = \"https://nowhere.invalid\"\nkind = \"fhir\"".to_owned(),
                ),
                (
                    "security",
                    "trusted_upstreams = [\"nowhere.invalid\"]".to_owned(),
                ),
            ]
        },
        route: "far",
        check: "dns",
        detail: &["nowhere.invalid does not resolve"],
        remedy: &[
            "`upstream` in [routes.far]",
            "private DNS zone",
            "network.resolve",
        ],
        // Entra does not know the audience, so the token fails by itself.
        skipped: &["tls", "anonymous", "authorised"],
    },
    Case {
        what: "a certificate for another host",
        arrange: |_, _| {
            let upstream =
                format!("upstream = \"https://{MISNAMED_HOST}\"\naudience = \"{FHIR_AUDIENCE}\"");
            vec![("routes.far", upstream)]
        },
        route: "far",
        check: "tls",
        detail: &[
            "and not for not.named",
            "certificate of ahds-proxy emulator",
        ],
        remedy: &["`upstream` in [routes.far]", "network.resolve"],
        skipped: &["anonymous", "authorised"],
    },
    Case {
        what: "a port where nobody listens",
        arrange: |_, _| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            vec![("routes.far", route_to(address))]
        },
        route: "far",
        check: "tls",
        detail: &["127.0.0.1 does not accept connections: connection refused"],
        remedy: &["host and port of `upstream` in [routes.far]", "firewall"],
        skipped: &["anonymous", "authorised"],
    },
    Case {
        what: "a captive portal",
        arrange: |emulator, _| {
            answers(
                emulator,
                200,
                &[("content-type", "text/html; charset=utf-8")],
            )
        },
        route: "fhir",
        check: "authorised",
        detail: &["200", "captive portal"],
        remedy: &["in a browser", FHIR_HOST],
        skipped: &[],
    },
    Case {
        what: "a proxy that wants a password",
        arrange: |emulator, _| answers(emulator, 407, &[]),
        route: "fhir",
        check: "anonymous",
        detail: &["407", "a proxy"],
        remedy: &["ask the network's administrator"],
        skipped: &[],
    },
    Case {
        what: "a redirect",
        arrange: |emulator, _| answers(emulator, 302, &[("location", "https://hunter2.example/")]),
        route: "fhir",
        check: "anonymous",
        detail: &["302", "redirects to another URL"],
        remedy: &["`upstream` in [routes.fhir]"],
        skipped: &[],
    },
    Case {
        what: "another service than was thought",
        arrange: |emulator, _| answers(emulator, 404, &[]),
        route: "fhir",
        check: "authorised",
        detail: &["404", "no fhir service at this path"],
        remedy: &["`upstream` and `kind` in [routes.fhir]"],
        skipped: &[],
    },
    Case {
        what: "throttling",
        arrange: |emulator, _| answers(emulator, 429, &[("retry-after", "17")]),
        route: "fhir",
        check: "anonymous",
        detail: &["429", "throttling"],
        remedy: &["Wait 17 s"],
        skipped: &[],
    },
    Case {
        what: "a failing service",
        arrange: |emulator, _| answers(emulator, 503, &[("content-type", "text/html")]),
        route: "fhir",
        check: "authorised",
        detail: &["503", "a server error"],
        remedy: &["Resource health"],
        skipped: &[],
    },
    Case {
        what: "a service that runs out of time",
        arrange: |emulator, _| answers(emulator, 408, &[]),
        route: "fhir",
        check: "authorised",
        detail: &["408", "did not finish in time"],
        remedy: &["load"],
        skipped: &[],
    },
    Case {
        what: "a service that does not answer",
        arrange: |emulator, _| {
            emulator.fhir().faults().always(Fault::Hang);
            vec![("network", "response_timeout = \"300ms\"".to_owned())]
        },
        route: "fhir",
        check: "anonymous",
        detail: &["GET /metadata: no response within 0.3 s"],
        remedy: &["firewall"],
        skipped: &[],
    },
    Case {
        what: "connections that break off",
        arrange: |emulator, _| {
            emulator.fhir().faults().always(Fault::Close);
            Vec::new()
        },
        route: "fhir",
        check: "authorised",
        detail: &["closed before a response"],
        remedy: &["closes connections"],
        skipped: &[],
    },
];

#[tokio::test]
async fn the_host_of_a_workspace_is_named() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let upstream =
        format!("upstream = \"https://{WORKSPACE_HOST}\"\naudience = \"{FHIR_AUDIENCE}\"");
    write_config(&emulator, &files, &[("routes.far", upstream)]);

    let report = Report::of(&files, &["--output", "json"]).await;
    let workspace = format!("{WORKSPACE_HOST} is the host of a workspace");
    assert!(report.stderr.contains(&workspace), "{}", report.stderr);
    let finding = report.finding("far", "tls");
    assert_eq!(finding["status"], "failed");
    let remedy = text_of(&finding, "remedy");
    for part in [
        &*workspace,
        "demo-SERVICE.fhir.azurehealthcareapis.com or demo-SERVICE.dicom.azurehealthcareapis.com",
        "`upstream` in [routes.far]",
    ] {
        assert!(remedy.contains(part), "{part}: {remedy}");
    }
}

#[tokio::test]
async fn each_failure_is_named_with_its_remedy() {
    for case in CASES {
        let emulator = emulator().await;
        let files = tempfile::tempdir().expect("a folder");
        let lines = (case.arrange)(&emulator, files.path());
        write_config(&emulator, &files, &lines);
        let report = Report::of(&files, &["--output", "json"]).await;
        let what = case.what;
        assert_eq!(report.code, Some(1), "{what}: {}", report.stdout);
        assert_eq!(report.stderr, "", "{what}");
        let finding = report.finding(case.route, case.check);
        assert_eq!(finding["status"], "failed", "{what}: {finding}");
        for (key, words) in [("detail", case.detail), ("remedy", case.remedy)] {
            for word in words {
                let text = text_of(&finding, key);
                assert!(text.contains(word), "{what}: no {word} in {key}: {text}");
            }
        }
        for finding in report.findings() {
            let is_skipped = finding["status"] == "skipped";
            let expected = finding["route"] == case.route
                && case.skipped.contains(&text_of(&finding, "check"));
            assert_eq!(is_skipped, expected, "{what}: {finding}");
            // The other routes go on, and all of their checks are done.
            let is_other = finding["route"] != case.route;
            assert!(!is_other || finding["status"] == "ok", "{what}: {finding}");
            let needs_remedy = finding["status"] == "failed";
            assert_eq!(finding["remedy"].is_string(), needs_remedy, "{finding}");
        }
        report.leaks_nothing(&emulator);
    }
}

#[tokio::test]
async fn an_untrusted_certificate_is_shown() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let trusting = std::fs::read_to_string(&config).expect("readable");
    let of_the_system = trusting.replace("ca_file = \"ca.pem\"", "");
    assert_ne!(of_the_system, trusting);
    let another = Emulator::start(Options::default()).await.expect("started");
    for (text, ca, detail, remedy) in [
        (
            &of_the_system,
            emulator.ca_pem(),
            "issuer is not trusted",
            "TLS-inspecting proxy",
        ),
        (
            &trusting,
            another.ca_pem(),
            "names a trusted CA as its issuer",
            "current certificate",
        ),
    ] {
        std::fs::write(&config, text).expect("written");
        std::fs::write(files.path().join("ca.pem"), ca).expect("written");
        let report = Report::of(&files, &["--output", "json"]).await;
        assert_eq!(report.code, Some(1));
        let tls = report.finding("fhir", "tls");
        for word in [detail, "issued by ahds-proxy emulator CA"] {
            assert!(text_of(&tls, "detail").contains(word), "{word}: {tls}");
        }
        for word in [remedy, "ca_file"] {
            assert!(text_of(&tls, "remedy").contains(word), "{word}: {tls}");
        }
        assert_eq!(report.finding("fhir", "anonymous")["status"], "skipped");
        assert_eq!(report.finding("fhir", "token")["status"], "failed");
    }
    assert_eq!(emulator.entra().token_requests(), 0);
    assert_eq!(emulator.fhir().traffic().counters().requests, 0);
}

#[tokio::test]
async fn without_trust_roots_nothing_is_tried() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    write_config(&emulator, &files, &[]);
    std::fs::write(files.path().join("ca.pem"), "no certificate").expect("written");
    let report = Report::of(&files, &["--output", "json"]).await;
    assert_eq!(report.code, Some(2));
    let [finding] = &report.findings()[..] else {
        panic!("{}", report.stdout)
    };
    assert!(finding["route"].is_null());
    assert!(text_of(finding, "detail").contains("contains no certificate in PEM"));
}

#[tokio::test]
async fn nobody_signed_in_leaves_the_rest_to_be_checked() {
    let emulator = emulator().await;
    let az = FakeAz::bare("echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1");
    let files = tempfile::tempdir().expect("a folder");
    write_config(&emulator, &files, &az.lines(""));
    let report = Report::of(&files, &["--output", "json"]).await;
    assert_eq!(report.code, Some(1));
    for route in ["fhir", "dicom"] {
        let finding = report.finding(route, "token");
        assert_eq!(finding["status"], "failed");
        assert!(text_of(&finding, "detail").contains("nobody is signed in"));
        assert!(text_of(&finding, "remedy").contains("Run: az login"));
        assert_eq!(report.finding(route, "anonymous")["status"], "ok");
        let skipped = report.finding(route, "authorised");
        assert_eq!(
            (&skipped["status"], &skipped["detail"]),
            (&"skipped".into(), &"no token".into())
        );
    }
}

#[tokio::test]
async fn a_token_past_its_end_is_told_from_a_clock_that_is_wrong() {
    let emulator = emulator().await;
    let expired = emulator.entra().issue(FHIR_AUDIENCE, -60);
    let az = FakeAz::bare("cat \"$D/fhir\"");
    let files = tempfile::tempdir().expect("a folder");
    write_config(&emulator, &files, &az.lines(""));
    // The expiry stated by az is wrong, and the service notices.
    az.write("fhir", &fake_az::answer(&expired, 3600));
    let report = Report::of(&files, &["--output", "json"]).await;
    let finding = report.finding("fhir", "authorised");
    assert!(
        text_of(&finding, "detail").contains("401: the token expired at 2"),
        "{finding}"
    );
    assert!(
        text_of(&finding, "remedy").contains("Run `az login`"),
        "{finding}"
    );
    report.leaks_nothing(&emulator);
    // The expiry stated by az is right.
    az.write("fhir", &fake_az::answer(&expired, 0));
    let report = Report::of(&files, &["--output", "json"]).await;
    let finding = report.finding("fhir", "token");
    assert!(
        text_of(&finding, "detail").contains("already expired"),
        "{finding}"
    );
    assert!(text_of(&finding, "remedy").contains("clock"), "{finding}");

    let service = Scripted::answering(
        "HTTP/1.1 401 Unauthorized\r\nDate: Sun, 01 Jan 2040 00:00:00 GMT\r\n\
         WWW-Authenticate: Bearer error=\"invalid_token\", error_description=\"The token expired at \
         'hunter2'\"\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let lines = [("routes.late", route_to(service.address()))];
    write_config(&emulator, &files, &lines);
    let report = Report::of(&files, &["--output", "json"]).await;
    let finding = report.finding("late", "authorised");
    assert!(
        text_of(&finding, "detail").contains("behind the service's"),
        "{finding}"
    );
    assert!(
        text_of(&finding, "remedy").contains("Set the clock"),
        "{finding}"
    );
    assert_eq!(report.finding("late", "anonymous")["status"], "ok");
    let tls = report.finding("late", "tls");
    assert!(text_of(&tls, "detail").contains("without TLS"), "{tls}");
    report.leaks_nothing(&emulator);
}

#[tokio::test]
async fn routes_that_share_an_audience_share_the_token() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let again = format!("upstream = \"{FHIR_AUDIENCE}\"\nprefix = \"/again\"");
    let plain = format!(
        "upstream = \"{FHIR_AUDIENCE}/none\"\nkind = \"http\"\naudience = \"{FHIR_AUDIENCE}\""
    );
    let lines = [("routes.again", again), ("routes.other", plain)];
    write_config(&emulator, &files, &lines);
    let report = Report::of(&files, &["--output", "json"]).await;
    assert_eq!(report.code, Some(0), "{}", report.stdout);
    assert_eq!(emulator.entra().token_requests_for(FHIR_AUDIENCE), 1);
    assert_eq!(report.finding("other", "anonymous")["status"], "skipped");
    let asked = report.finding("other", "authorised");
    assert!(
        text_of(&asked, "detail").contains("GET /none: 404"),
        "{asked}"
    );
}

#[tokio::test]
async fn a_device_code_is_shown_and_waited_for() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let lines = [
        ("routes.fhir", "credential = \"device\"".to_owned()),
        (
            "credentials.device.device-code",
            format!("tenant = \"{TENANT}\""),
        ),
    ];
    let config = write_config(&emulator, &files, &lines);
    let mut command = process::run(&config);
    command.args(["check", "--online", "--output", "json"]);
    let mut check = Process::start(command);
    check
        .until_stderr(|text| text.contains("enter the code ").then_some(()))
        .await;
    emulator.entra().approve_device_codes();
    assert_eq!(check.ended().await.code(), Some(0), "{}", check.stdout());
    let findings: Vec<Value> = serde_json::from_str(&check.stdout()).expect("JSON");
    assert_eq!(findings.len(), 14);
}
