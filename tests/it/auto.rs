//! The source that `auto` takes, and its error when there is none.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use azure_emulator::{
    DICOM_ORIGIN, FHIR_AUDIENCE, Fault, IDENTITY_CLIENT_ID, RecordedRequest, SigningKey, TENANT,
};
use serde_json::json;

use crate::{
    certificate::{certificate, last_assertion, rsa_key},
    support::{
        client,
        fake_az::{FakeAz, answer},
        process::{self, Process, text},
        scripted::Scripted,
        signing_in::SigningIn,
        stub::Stub,
    },
};

const FHIR: &str = "/fhir/Patient?_count=1";
const SECRET: &str = "hunter2";
const SIGNED_OUT: &str = "echo \"Please run 'az login'\" >&2; exit 1";
const NO_MODULE: &str = "echo ahds-proxy no-module; exit 1";

type Variables = Vec<(&'static str, String)>;

/// A machine on which every source would give a token.
struct Machine {
    signing_in: SigningIn,
    az: FakeAz,
    pwsh: Stub,
    azd: Stub,
}

impl Machine {
    async fn new() -> Self {
        let signing_in = SigningIn::new().await;
        let emulator = &signing_in.emulator;
        emulator.entra().add_client(IDENTITY_CLIENT_ID, SECRET);
        let az = FakeAz::new(emulator, "answer");
        let pwsh = Stub::new("pwsh", "cat \"$D/fhir\"");
        pwsh.write_tokens(emulator, |token| {
            format!("ahds-proxy token 4070908800 {token}\n")
        });
        let azd = Stub::new("azd", "cat \"$D/fhir\"");
        azd.write_tokens(emulator, |token| {
            json!({"token": token, "expiresOn": "2099-01-01T00:00:00Z"}).to_string()
        });
        let key = rsa_key("first");
        let pem = key.serialize_pem() + &certificate(key, 2100).pem();
        signing_in.write("app.pem", pem);
        let federated = json!({"aud": "api://AzureADTokenExchange", "exp": 4_070_908_800_u64});
        signing_in.write("federated", SigningKey::shared().sign(&federated));
        Self {
            signing_in,
            az,
            pwsh,
            azd,
        }
    }

    /// The environment for sources that are not tools.
    fn variables(&self) -> Variables {
        let file = |name| {
            self.signing_in
                .files
                .path()
                .join(name)
                .display()
                .to_string()
        };
        let identity = self.signing_in.emulator.identity_address();
        vec![
            ("AZURE_TENANT_ID", TENANT.to_owned()),
            ("AZURE_CLIENT_ID", IDENTITY_CLIENT_ID.to_owned()),
            ("AZURE_CLIENT_SECRET", SECRET.to_owned()),
            ("AZURE_CLIENT_CERTIFICATE_PATH", file("app.pem")),
            ("AZURE_FEDERATED_TOKEN_FILE", file("federated")),
            (
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                format!("http://{identity}"),
            ),
        ]
    }

    fn without(&self, names: &[&str]) -> Variables {
        let mut variables = self.variables();
        variables.retain(|(name, _)| !names.contains(name));
        variables
    }

    fn program(&self, keys: &str, arguments: &[&str], variables: &Variables) -> Command {
        let mut command = self.signing_in.program("auto", keys, arguments);
        let folders = [self.az.folder(), self.pwsh.folder(), self.azd.folder()];
        let path = folders.map(|folder| folder.display().to_string()).join(":");
        command
            .env("PATH", format!("{path}:/usr/bin:/bin"))
            // Where these tests run, there may be a real one.
            .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")
            .envs(variables.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// The token of `token fhir`, or its error and exit code.
    async fn token(&self, variables: &Variables) -> Result<(), (i32, String)> {
        let program = self.program("", &["token", "fhir", "--output", "raw"], variables);
        let output = process::output(program).await;
        if output.status.success() {
            return Ok(());
        }
        let code = output.status.code().expect("an exit code");
        Err((code, text(&output.stderr).to_owned()))
    }

    /// All sources that were asked for a token.
    fn asked(&self) -> Vec<&'static str> {
        let mut asked = Vec::new();
        let emulator = &self.signing_in.emulator;
        for request in emulator.entra().recorded() {
            let federated = std::fs::read_to_string(self.signing_in.files.path().join("federated"));
            asked.push(match request.field("client_assertion") {
                None => "secret",
                Some(token) if federated.is_ok_and(|known| known == token) => "workload",
                Some(_) => "certificate",
            });
        }
        let is_question = |request: &RecordedRequest| request.headers.contains_key("metadata");
        if emulator
            .identity()
            .traffic()
            .recorded()
            .iter()
            .any(is_question)
        {
            asked.push("machine");
        }
        for (name, runs) in [
            ("az", self.az.runs()),
            ("pwsh", self.pwsh.runs()),
            ("azd", self.azd.runs()),
        ] {
            if runs > 0 {
                asked.push(name);
            }
        }
        asked
    }
}

const APPLICATION: [&str; 2] = ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"];
const DEPLOYED: [&str; 3] = [
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
];

#[tokio::test]
async fn the_order_is_that_of_default_azure_credential() {
    for (missing, expected) in [
        (&[][..], &["secret"][..]),
        (&APPLICATION[..1], &["certificate"]),
        (&APPLICATION, &["workload"]),
        (&DEPLOYED, &["machine"]),
    ] {
        let machine = Machine::new().await;
        let variables = machine.without(missing);
        machine.token(&variables).await.expect("a token");
        assert_eq!(machine.asked(), expected, "without {missing:?}");
    }
}

#[tokio::test]
async fn a_tool_that_is_not_signed_in_gives_way_to_the_next() {
    let machine = Machine::new().await;
    let variables = machine.without(&DEPLOYED);
    let identity = machine.signing_in.emulator.identity();
    identity.set_assigned(false);
    machine.token(&variables).await.expect("az serves");
    assert_eq!(machine.asked(), ["machine", "az"]);
    machine.az.set(SIGNED_OUT);
    machine.token(&variables).await.expect("PowerShell serves");
    assert_eq!(machine.asked(), ["machine", "az", "pwsh"]);
    machine.pwsh.set(NO_MODULE);
    machine.token(&variables).await.expect("azd serves");
    assert_eq!(machine.asked(), ["machine", "az", "pwsh", "azd"]);
}

#[tokio::test]
async fn a_variable_says_which_sources_are_tried() {
    for (value, expected) in [
        ("dev", "az"),
        ("PROD", "secret"),
        ("EnvironmentCredential", "secret"),
        ("WorkloadIdentityCredential", "workload"),
        ("managedidentitycredential", "machine"),
        ("AzureCliCredential", "az"),
        ("AzurePowerShellCredential", "pwsh"),
        ("AzureDeveloperCliCredential", "azd"),
    ] {
        let machine = Machine::new().await;
        let mut variables = machine.variables();
        variables.push(("AZURE_TOKEN_CREDENTIALS", value.to_owned()));
        machine.token(&variables).await.expect(value);
        assert_eq!(machine.asked(), [expected], "{value}");
    }
}

#[tokio::test]
async fn a_value_that_names_nothing_is_told_at_the_start() {
    let machine = Machine::new().await;
    let mut variables = machine.variables();
    variables.push(("AZURE_TOKEN_CREDENTIALS", "BrowserCredential".to_owned()));
    let (code, error) = machine.token(&variables).await.expect_err("refused");
    assert_eq!(code, 2);
    for expected in [
        "AZURE_TOKEN_CREDENTIALS",
        "BrowserCredential",
        "dev, prod or one of",
        "ManagedIdentityCredential",
    ] {
        assert!(error.contains(expected), "{expected} in {error}");
    }
    assert!(machine.asked().is_empty());
}

#[tokio::test]
async fn whoever_is_set_up_and_fails_is_not_replaced() {
    let machine = Machine::new().await;
    machine
        .signing_in
        .emulator
        .entra()
        .add_client(IDENTITY_CLIENT_ID, "another");
    let variables = machine.variables();
    let (code, error) = machine.token(&variables).await.expect_err("a wrong secret");
    assert_eq!(code, 1);
    assert!(error.contains("environment: "), "{error}");
    assert!(error.contains("AADSTS7000215"), "{error}");
    assert!(!error.contains("workload-identity"), "{error}");
    assert_eq!(machine.asked(), ["secret"]);

    let machine = Machine::new().await;
    let variables = machine.without(&APPLICATION);
    machine.signing_in.write("federated", "");
    let (_, error) = machine
        .token(&variables)
        .await
        .expect_err("no token of its own");
    assert!(
        error.contains("azure.workload.identity/use=true"),
        "{error}"
    );
    assert!(machine.asked().is_empty());

    let machine = Machine::new().await;
    let variables = machine.without(&DEPLOYED);
    let identity = machine.signing_in.emulator.identity();
    let refusal = Fault::respond(403, r#"{"error":"hunter2"}"#);
    identity.faults().always(refusal);
    let (_, error) = machine.token(&variables).await.expect_err("forbidden");
    assert!(error.contains("managed-identity: "), "{error}");
    assert!(error.contains("responded with 403"), "{error}");
    assert_eq!(machine.asked(), ["machine"]);
}

#[tokio::test]
async fn a_certificate_with_a_password_is_refused() {
    let machine = Machine::new().await;
    let mut variables = machine.without(&APPLICATION[..1]);
    variables.push(("AZURE_CLIENT_CERTIFICATE_PASSWORD", SECRET.to_owned()));
    let (_, error) = machine.token(&variables).await.expect_err("refused");
    assert!(error.contains("with a password"), "{error}");
    assert!(error.contains("openssl"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
    assert!(machine.asked().is_empty());
}

#[tokio::test]
async fn a_variable_sends_the_chain_of_the_certificate() {
    for (value, is_sent) in [("true", true), ("1", true), ("false", false)] {
        let machine = Machine::new().await;
        let mut variables = machine.without(&APPLICATION[..1]);
        variables.push(("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", value.to_owned()));
        machine.token(&variables).await.expect("a token");
        let (header, _) = last_assertion(&machine.signing_in);
        assert_eq!(header.get("x5c").is_some(), is_sent, "{value}");
    }
}

#[tokio::test]
async fn the_authority_is_honoured_with_and_without_its_scheme() {
    for missing in [&[][..], &APPLICATION[..1], &APPLICATION] {
        for authority in [
            "login.microsoftonline.us",
            "https://login.microsoftonline.us/",
        ] {
            let machine = Machine::new().await;
            let mut variables = machine.without(missing);
            variables.push(("AZURE_AUTHORITY_HOST", authority.to_owned()));
            machine.token(&variables).await.expect(authority);
            let seen = machine.signing_in.emulator.entra().traffic().last();
            let host = seen.expect("a token request").host;
            assert_eq!(host, "login.microsoftonline.us", "without {missing:?}");
        }
    }
}

#[tokio::test]
async fn the_client_id_names_the_identity_of_the_machine() {
    let machine = Machine::new().await;
    let variables = machine.without(&DEPLOYED);
    machine.token(&variables).await.expect("a token");
    let seen = machine.signing_in.emulator.identity().traffic().last();
    let target = seen.expect("a request").target;
    let expected = format!("&client_id={IDENTITY_CLIENT_ID}");
    assert!(target.ends_with(&expected), "{target}");
}

#[tokio::test]
async fn the_source_that_worked_stays() {
    let machine = Machine::new().await;
    let token = machine
        .signing_in
        .emulator
        .entra()
        .issue(FHIR_AUDIENCE, 3600);
    machine.az.write("fhir", &answer(&token, 2));
    let process = Process::start(machine.program("", &[], &Vec::new()));
    let (address, admin) = process.addresses().await;
    assert_eq!(client::get(address, FHIR).await.status, 200);
    let status = client::get(admin, "/status").await;
    assert!(status.text().contains("azure-cli"), "{}", status.text());

    // The others could serve, but as somebody else.
    machine.az.set(SIGNED_OUT);
    let refused = client::until(address, FHIR, |answer| answer.status == 503).await;
    assert!(
        refused.text().contains("Run: az login"),
        "{}",
        refused.text()
    );
    assert_eq!(machine.asked(), ["az"]);
}

/// It accepts the connection and never responds. A request for a token would take twice as long as
/// such a request may take.
#[tokio::test]
async fn a_metadata_service_that_is_silent_holds_nobody_up() {
    let silent = Scripted::start(|_, mut conversation| async move {
        conversation.request().await;
        std::future::pending::<()>().await;
    })
    .await;
    let machine = Machine::new().await;
    let service = format!("http://{}", silent.address());
    let variables = vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", service)];
    let dicom = format!("[routes.dicom]\nupstream = \"{DICOM_ORIGIN}\"\n");
    let begun = Instant::now();
    let process = Process::start(machine.program(&dicom, &[], &variables));
    let (address, admin) = process.addresses().await;
    client::until(admin, "/readyz", |answer| answer.status == 200).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(client::get(address, FHIR).await.status, 200);
    // Once for both audiences, and without the header that would ask for a token.
    let heads = silent.heads();
    assert_eq!(heads.len(), 1, "{heads:?}");
    assert!(!heads[0].contains("metadata: true"), "{heads:?}");
    assert_eq!(machine.az.runs(), 2);
}

#[tokio::test]
async fn one_message_lists_every_source_and_why_it_did_not_serve() {
    let machine = Machine::new().await;
    machine.az.set(SIGNED_OUT);
    machine.pwsh.set(NO_MODULE);
    std::fs::remove_file(machine.azd.program()).expect("removed");
    let process = Process::start(machine.program("", &[], &Vec::new()));
    let (address, admin) = process.addresses().await;
    let answer = client::get(address, FHIR).await;
    assert_eq!(answer.status, 503);
    let sources = [
        "environment: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH are not set",
        "workload-identity: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE are not all set",
        "managed-identity: no instance metadata service can be reached at 127.0.0.1",
        "azure-cli: nobody is signed in to the Azure CLI",
        "azure-powershell: PowerShell has no module Az.Accounts",
        "azure-developer-cli: the Azure Developer CLI (azd) is not on PATH",
    ];
    let expected = format!(
        "no credential gave a token ({}). Run: az login",
        sources.join("; ")
    );
    let diagnostics = answer.json()["issue"][0]["diagnostics"].to_string();
    assert!(diagnostics.contains(&expected), "{diagnostics}");
    let status = client::get(admin, "/status").await;
    assert!(status.text().contains(&expected), "{}", status.text());
    // In the log, the remedy is a field of its own, which can be copied.
    let logged = format!(
        "no credential gave a token ({}) credential=default",
        sources.join("; ")
    );
    process
        .until_stderr(move |log| {
            let line = log.lines().find(|line| line.contains(&logged))?;
            line.contains(" remedy=\"Run: az login\"").then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_machine_with_nothing_is_told_where_to_begin() {
    let machine = Machine::new().await;
    for stub in [&*machine.az, &machine.pwsh, &machine.azd] {
        std::fs::remove_file(stub.program()).expect("removed");
    }
    let (_, error) = machine.token(&Vec::new()).await.expect_err("nothing");
    assert!(error.contains("https://aka.ms/azure-cli"), "{error}");
    assert!(error.contains("az login"), "{error}");
}

/// `auto` reads no keys, so a remedy names the table to write in its place.
#[tokio::test]
async fn the_path_of_a_tool_is_a_key_of_the_table_to_write() {
    let machine = Machine::new().await;
    for (source, stub, kind) in [
        (
            "AzurePowerShellCredential",
            &machine.pwsh,
            "azure-powershell",
        ),
        (
            "AzureDeveloperCliCredential",
            &machine.azd,
            "azure-developer-cli",
        ),
    ] {
        std::fs::remove_file(stub.program()).expect("removed");
        let variables = vec![("AZURE_TOKEN_CREDENTIALS", source.to_owned())];
        let (_, error) = machine.token(&variables).await.expect_err("no program");
        let expected =
            format!("set `path` in [credentials.default.{kind}], written instead of auto, to");
        assert!(error.contains(&expected), "{error}");
    }
}

#[tokio::test]
async fn the_keys_of_an_application_are_variables() {
    let elsewhere = "11111111-2222-4333-8444-555555555555";
    for missing in [&[][..], &APPLICATION[..1], &APPLICATION] {
        for (variable, expected) in [
            (
                "AZURE_TENANT_ID",
                "Check AZURE_TENANT_ID and AZURE_AUTHORITY_HOST",
            ),
            (
                "AZURE_CLIENT_ID",
                "Check AZURE_CLIENT_ID and AZURE_TENANT_ID",
            ),
        ] {
            let machine = Machine::new().await;
            let mut variables = machine.without(missing);
            variables.push((variable, elsewhere.to_owned()));
            let (_, error) = machine.token(&variables).await.expect_err(variable);
            assert!(error.contains(expected), "{missing:?}: {error}");
            assert!(!error.contains('`'), "{missing:?}: {error}");
        }
    }
}

#[tokio::test]
async fn a_portal_in_the_place_of_entra_is_told_by_the_variable() {
    let machine = Machine::new().await;
    let portal = Fault::respond(200, "<html>Sign in to the network</html>");
    machine.signing_in.emulator.entra().faults().always(portal);
    let token = machine.token(&machine.variables()).await;
    let (_, error) = token.expect_err("no token");
    let expected = "Check that AZURE_AUTHORITY_HOST names Microsoft Entra ID";
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn a_certificate_without_its_key_may_have_one_in_another_table() {
    let machine = Machine::new().await;
    let pem = certificate(rsa_key("first"), 2100).pem();
    machine.signing_in.write("app.pem", pem);
    let variables = machine.without(&APPLICATION[..1]);
    let (_, error) = machine.token(&variables).await.expect_err("no key");
    for expected in [
        "Store the certificate and its private key in one file",
        "The kind client-certificate",
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_tenant_is_a_key_of_the_table_to_write() {
    let elsewhere = "11111111-2222-4333-8444-555555555555";
    let machine = Machine::new().await;
    let refusal = Fault::Respond {
        status: 401,
        headers: vec![(
            "www-authenticate".to_owned(),
            format!("Bearer authorization_uri=\"https://login.microsoftonline.com/{elsewhere}\""),
        )],
        body: String::new(),
    };
    machine.signing_in.emulator.fhir().faults().always(refusal);
    for (source, kind, command) in [
        ("AzureCliCredential", "azure-cli", "az login --tenant"),
        (
            "AzureDeveloperCliCredential",
            "azure-developer-cli",
            "azd auth login --tenant-id",
        ),
    ] {
        let variables = vec![("AZURE_TOKEN_CREDENTIALS", source.to_owned())];
        let arguments = ["check", "--online", "--output", "json"];
        let output = process::output(machine.program("", &arguments, &variables)).await;
        let report = text(&output.stdout);
        let expected = format!(
            "Write [credentials.default.{kind}] with tenant = \\\"{elsewhere}\\\" instead of auto, and run: \
             {command} {elsewhere}"
        );
        assert!(report.contains(&expected), "{report}");
    }
}
