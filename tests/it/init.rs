//! `ahds-proxy init` and `--workspace`: services found through Azure Resource Manager.

mod failures;
mod workspace;

use std::{io::Write as _, path::Path, process::Stdio};

use azure_emulator::{
    AUTHORITY, CLIENT_ID, CLIENT_SECRET, DICOM_AUDIENCE, Emulator, FHIR_AUDIENCE, Inventory,
    Options, Service, Subscription, TENANT, Workspace,
};
use tempfile::TempDir;

use crate::support::{
    client, network_text,
    process::{self, Process, Ran, text},
    terminal,
};

const ELSEWHERE: &str = "e15e0000-0000-4000-8000-000000000001";

/// The emulator, and a folder with a configuration that leads to it and has no routes.
struct Scene {
    emulator: Emulator,
    folder: TempDir,
}

impl Scene {
    async fn new(inventory: Inventory) -> Self {
        let options = Options {
            samples: true,
            ..Options::default()
        };
        let emulator = Emulator::start(options).await.expect("started");
        emulator.resource_manager().set_inventory(inventory);
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        write("ca.pem", emulator.ca_pem());
        write("secret", CLIENT_SECRET);
        write(
            "base.toml",
            &format!(
                "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n[network]\n{}\
                 [credentials.default.client-secret]\ntenant = \"{TENANT}\"\n\
                 client_id = \"{CLIENT_ID}\"\nsecret = {{ file = \"secret\" }}\n\
                 authority = \"{AUTHORITY}\"\n",
                network_text(&emulator)
            ),
        );
        Self { emulator, folder }
    }

    fn command(&self, line: &str) -> std::process::Command {
        let mut arguments = vec!["--config", "base.toml"];
        arguments.extend(line.split_whitespace());
        let mut command = process::command(&arguments);
        command.current_dir(self.folder.path());
        command
    }

    async fn run(&self, line: &str) -> Ran {
        process::ran(self.command(line)).await
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

fn workspace(name: &str, fhir: &[&str], dicom: &[&str]) -> Workspace {
    let url = |service: &&str| format!("https://{name}-{service}.fhir.azurehealthcareapis.com");
    Workspace {
        name: name.to_owned(),
        group: "group".to_owned(),
        fhir: fhir
            .iter()
            .map(|service| Service::new(service, &url(service)))
            .collect(),
        dicom: dicom
            .iter()
            .map(|service| Service::new(service, DICOM_AUDIENCE))
            .collect(),
    }
}

fn subscription(number: u8, name: &str, workspaces: Vec<Workspace>) -> Subscription {
    Subscription {
        id: format!("5ca1ab1e-0000-4000-8000-0000000000{number:02}"),
        name: name.to_owned(),
        workspaces,
        accounts: Vec::new(),
        is_closed: false,
    }
}

/// More of everything than fits on a page.
fn many() -> Inventory {
    let mut last = subscription(
        4,
        "Research",
        vec![workspace("lab", &["a", "b", "c"], &["pacs"])],
    );
    last.accounts = ["one", "two", "three"]
        .map(|name| Service::new(name, &format!("https://{name}.azurehealthcareapis.com")))
        .into();
    Inventory {
        subscriptions: vec![
            subscription(1, "Empty", Vec::new()),
            subscription(
                2,
                "Clinic",
                vec![
                    workspace("ward1", &["fhir"], &[]),
                    workspace("ward2", &["fhir"], &[]),
                    workspace("ward3", &["fhir"], &["dicom"]),
                ],
            ),
            subscription(3, "None", vec![workspace("bare", &[], &[])]),
            last,
        ],
    }
}

/// The demo's services, each changed.
fn demo(change: impl Fn(&mut Service)) -> Inventory {
    let mut inventory = Inventory::demo();
    for subscription in &mut inventory.subscriptions {
        for workspace in &mut subscription.workspaces {
            workspace.fhir.iter_mut().for_each(&change);
            workspace.dicom.iter_mut().for_each(&change);
        }
    }
    inventory
}

#[tokio::test]
async fn one_service_of_each_kind_needs_no_question() {
    let scene = Scene::new(Inventory::demo()).await;
    let ran = scene.run("init").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("Found 2 services as"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("read and write  (Demo)"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("\n  ahds-proxy\n  curl "),
        "{}",
        ran.stderr
    );
    let written = std::fs::read_to_string(scene.path("ahds-proxy.toml")).expect("written");
    for line in [
        format!("upstream = \"{FHIR_AUDIENCE}\""),
        format!("audience = \"{DICOM_AUDIENCE}\""),
        "# FHIR service demo/fhir in subscription Demo: public network; you may read and write"
            .to_owned(),
    ] {
        assert!(written.contains(&line), "{line} in {written}");
    }

    // It serves, with the credentials and the network of the file that it was found with.
    let mut command = process::run(Path::new("ahds-proxy.toml"));
    command.current_dir(scene.folder.path());
    let proxy = Process::start(command);
    let (address, _) = proxy.addresses().await;
    for path in ["/fhir/Patient?_count=1", "/dicom/v2/changefeed?limit=1"] {
        let response = client::get(address, path).await;
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

#[tokio::test]
async fn a_file_that_exists_is_replaced_only_by_force() {
    let scene = Scene::new(Inventory::demo()).await;
    let output = scene.path("ahds-proxy.toml");
    std::fs::write(&output, "# mine").expect("written");
    let ran = scene.run("init").await;
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("ahds-proxy.toml already exists"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&output).expect("there"), "# mine");
    assert_eq!(
        scene.emulator.entra().token_requests(),
        0,
        "nothing was asked"
    );

    let ran = scene.run("init --force").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        std::fs::read_to_string(&output)
            .expect("there")
            .contains("[routes.fhir]")
    );

    let ran = scene.run("init --output missing/x.toml").await;
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("missing/x.toml cannot be written"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("--output -"), "{}", ran.stderr);
    let names: Vec<_> = std::fs::read_dir(scene.folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
}

#[tokio::test]
async fn all_pages_of_all_lists_are_read() {
    let scene = Scene::new(many()).await;
    let ran = scene.run("init --all --output -").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for service in [
        "ward1-fhir.fhir",
        "ward2-fhir.fhir",
        "ward3-fhir.fhir",
        "ward3-dicom.dicom",
        "lab-a.fhir",
        "lab-b.fhir",
        "lab-c.fhir",
        "lab-pacs.dicom",
        "//one",
        "//two",
        "//three",
    ] {
        let upstream =
            format!("{service}.azurehealthcareapis.com\"\n# The audience that Azure names");
        assert!(
            ran.stdout.contains(&upstream),
            "{service} in {}",
            ran.stdout
        );
    }
    std::fs::write(scene.path("all.toml"), &ran.stdout).expect("written");
    let mut command = process::command(&["check", "--config", "all.toml"]);
    command.current_dir(scene.folder.path());
    let output = process::output(command).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    let ran = scene
        .run("init --subscription clinic --workspace WARD3 --output -")
        .await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(
        ran.stdout.matches("\nupstream").count(),
        2,
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("[routes.dicom]"), "{}", ran.stdout);

    let ran = scene.run("init --output -").await;
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("choose all with --all"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout, "");
}

#[tokio::test]
async fn a_person_at_a_terminal_chooses() {
    let scene = Scene::new(many()).await;
    let (mut shown, end) = terminal::open();
    let mut command = scene.command("init --subscription Research --output -");
    command.stdin(Stdio::from(end));
    let mut init = Process::start(command);
    init.until_stderr(|text| text.contains("Choose services").then_some(()))
        .await;
    shown.write_all(b"99\n").expect("typed");
    init.until_stderr(|text| {
        text.contains("`99` is not a number from 1 to 7")
            .then_some(())
    })
    .await;
    shown.write_all(b"1,4\n").expect("typed");
    assert_eq!(init.ended().await.code(), Some(0), "{}", init.stderr());
    let written = init.stdout();
    assert!(
        written.contains("[routes.fhir]\n") && written.contains("[routes.dicom]\n"),
        "{written}"
    );
    assert!(
        written.contains("lab-a.fhir") && written.contains("lab-pacs.dicom"),
        "{written}"
    );
    assert_eq!(written.matches("\nupstream").count(), 2, "{written}");
}

#[tokio::test]
async fn a_person_who_leaves_the_question_writes_nothing() {
    let scene = Scene::new(many()).await;
    let (_shown, end) = terminal::open();
    let mut command = scene.command("init --output ahds-proxy.toml");
    command.stdin(Stdio::from(end));
    let mut init = Process::start(command);
    init.until_stderr(|text| text.contains("Choose services").then_some(()))
        .await;
    init.signal(rustix::process::Signal::INT);
    assert_eq!(init.ended().await.code(), Some(1), "{}", init.stderr());
    assert!(!scene.path("ahds-proxy.toml").exists());
}

/// A change of the services, what is printed of it, and the remedy.
type Refusing = (fn(&mut Service), &'static str, &'static str);

#[tokio::test]
async fn a_service_that_will_refuse_is_named_beforehand() {
    const READ: &str = "Microsoft.HealthcareApis/workspaces/fhirservices/resources/read";
    let cases: [Refusing; 4] = [
        (
            |service| service.data_actions = Vec::new(),
            "has no role on its data",
            "az role assignment create --role \"FHIR Data Reader\"",
        ),
        (
            |service| service.data_actions = vec![READ.to_owned()],
            "read only",
            "read_only = true",
        ),
        (
            |service| service.is_private = true,
            "private network only",
            "(VPN)",
        ),
        (
            |service| service.tenant = ELSEWHERE.to_owned(),
            "accepts tokens of tenant",
            "az login --tenant e15e0000",
        ),
    ];
    for (change, cause, remedy) in cases {
        let scene = Scene::new(demo(change)).await;
        let ran = scene.run("init --output -").await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let printed = format!("{}{}", ran.stderr, ran.stdout);
        assert!(printed.contains(cause), "{cause} in {printed}");
        assert!(printed.contains(remedy), "{remedy} in {printed}");
    }
}
