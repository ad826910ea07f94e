//! The log and `Proxy-Status` say what to do when a service responds that something is wrong.

use azure_emulator::{Emulator, Fault, Options};

use crate::support::{
    client,
    fake_az::FakeAz,
    process::{self, Process},
    write_config,
};

const PATIENTS: &str = "/fhir/Patient?_count=1";

struct Scene {
    emulator: Emulator,
    process: Process,
    address: std::net::SocketAddr,
    _files: tempfile::TempDir,
}

impl Scene {
    async fn new(lines: &[(&'static str, String)]) -> Self {
        let emulator = Emulator::start(Options::default()).await.expect("started");
        let files = tempfile::tempdir().expect("a folder");
        let mut command = process::run(&write_config(&emulator, &files, lines));
        command.env("RUST_LOG", "info");
        let process = Process::start(command);
        let (address, _) = process.addresses().await;
        Self {
            emulator,
            process,
            address,
            _files: files,
        }
    }

    async fn line(&self, of: &'static str) -> String {
        let find = move |log: &str| {
            log.lines()
                .find(|line| line.contains(of))
                .map(str::to_owned)
        };
        self.process.until_stderr(find).await
    }
}

#[tokio::test]
async fn a_refusal_is_a_warning_with_the_next_command_and_not_repeated() {
    let scene = Scene::new(&[]).await;
    let faults = scene.emulator.fhir().faults();
    for (fault, status, cause) in [
        (
            Fault::Unauthorized,
            401,
            "the service refuses the token route=fhir",
        ),
        (
            Fault::Forbidden,
            403,
            "the service refuses this identity or this network",
        ),
        (
            Fault::respond(500, ""),
            500,
            "the service responded with a server error",
        ),
    ] {
        faults.clear();
        faults.always(fault);
        for _ in 0..3 {
            assert_eq!(client::get(scene.address, PATIENTS).await.status, status);
        }
        let line = scene.line(cause).await;
        assert!(line.contains(" WARN "), "{line}");
        assert!(
            line.contains(&format!("status={status} remedy=\"")),
            "{line}"
        );
        assert!(line.contains("un: ahds-proxy check --online\""), "{line}");
        let repeated = scene.process.stderr().matches(cause).count();
        assert_eq!(repeated, 1, "{cause}: {}", scene.process.stderr());
    }
}

#[tokio::test]
async fn html_in_place_of_a_resource_is_named() {
    let scene = Scene::new(&[]).await;
    scene.emulator.fhir().faults().always(Fault::Respond {
        status: 200,
        headers: vec![("content-type".into(), "text/html".into())],
        body: "<html>sign in</html>".into(),
    });
    assert_eq!(client::get(scene.address, PATIENTS).await.status, 200);
    let line = scene.line("the response is HTML").await;
    assert!(line.contains("captive portal"), "{line}");

    // A Binary may be HTML.
    let scene = Scene::new(&[]).await;
    let html = Fault::Respond {
        status: 200,
        headers: vec![("content-type".into(), "text/html".into())],
        body: "<p>".into(),
    };
    scene.emulator.fhir().faults().always(html);
    assert_eq!(
        client::get(scene.address, "/fhir/Binary/1").await.status,
        200
    );
    scene.line("resource=Binary").await;
    assert!(!scene.process.stderr().contains("the response is HTML"));
}

#[tokio::test]
async fn a_dicom_path_without_its_version_or_with_two_is_explained() {
    let scene = Scene::new(&[]).await;
    let response = client::get(scene.address, "/dicom/studies").await;
    assert_eq!(response.status, 404);
    let status = response.header("proxy-status").expect("a hint");
    assert!(status.starts_with("ahds-proxy; details=\""), "{status}");
    assert!(status.contains("call /dicom/v2/studies"), "{status}");
    let line = scene
        .line("paths of a DICOM service begin with its version")
        .await;
    assert!(
        line.contains("route=dicom status=404 remedy=\"for example, call /dicom/v2/studies"),
        "{line}"
    );

    let upstream = format!("upstream = \"{}/v2\"", azure_emulator::DICOM_ORIGIN);
    let routes = [("routes.images", upstream)];
    let scene = Scene::new(&routes).await;
    let response = client::get(scene.address, "/images/v2/studies").await;
    assert_eq!(response.status, 404);
    let status = response.header("proxy-status").expect("a hint");
    assert!(
        status.contains("remove the version from the paths below /images"),
        "{status}"
    );
    assert!(status.contains("[routes.images]"), "{status}");

    // A study that does not exist needs no advice.
    let response = client::get(scene.address, "/images/studies/1.2.3/metadata").await;
    assert_eq!(
        (response.status, response.header("proxy-status")),
        (404, None)
    );

    // Another server has no version and explains a 404 itself.
    let scene = Scene::new(&[]).await;
    let faults = scene.emulator.dicom().faults();
    faults.always(Fault::respond(404, "no such study"));
    let response = client::get(scene.address, "/dicom/studies/1.2.3").await;
    assert_eq!(
        (response.status, response.header("proxy-status")),
        (404, None)
    );
}

#[tokio::test]
async fn a_tool_that_hangs_is_named_and_does_not_keep_the_process() {
    let az = FakeAz::bare("exec sleep 600");
    let lines = az.lines("");
    let mut scene = Scene::new(&lines).await;
    let address = scene.address;
    let waiting = tokio::spawn(async move { client::get(address, PATIENTS).await });
    let line = scene.line("az still runs").await;
    assert!(line.contains("running_s=5"), "{line}");
    assert!(
        line.contains("remedy=\"If it never ends, run it yourself"),
        "{line}"
    );

    scene.process.signal(rustix::process::Signal::INT);
    let refused = waiting.await.expect("a response");
    assert_eq!(refused.status, 503);
    assert!(
        refused.text().contains("The proxy is stopping"),
        "{}",
        refused.text()
    );
    assert_eq!(scene.process.ended().await.code(), Some(0));
    let log = scene.process.stderr();
    let line = log
        .lines()
        .find(|line| line.contains("stopping once"))
        .expect("a line");
    assert!(
        line.contains("a second Ctrl-C or SIGTERM ends them requests=1 drain_s=30.0"),
        "{line}"
    );
    assert!(
        log.lines().last().expect("a line").ends_with(" stopped"),
        "{log}"
    );
}

#[tokio::test]
async fn debug_tells_of_connections_tokens_retries_and_links() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let files = tempfile::tempdir().expect("a folder");
    let mut command = process::run(&write_config(&emulator, &files, &[]));
    command.env_remove("RUST_LOG").arg("--verbose");
    let process = Process::start(command);
    let (address, _) = process.addresses().await;
    emulator.fhir().faults().next(1, Fault::Unauthorized);
    assert_eq!(client::get(address, PATIENTS).await.status, 200);
    process
        .until_stderr(|log| log.contains("outcome=complete").then_some(()))
        .await;
    for told in [
        "connection opened host=demo-fhir.fhir.azurehealthcareapis.com:443 protocol=",
        "the request takes a connection host=",
        "token requested credential=default kind=client-secret",
        "the request is sent again with a new token",
        "links of the response route=fhir",
    ] {
        process
            .until_stderr(move |log| {
                log.lines()
                    .any(|line| line.contains(told) && line.contains("DEBUG"))
                    .then_some(())
            })
            .await;
    }
    assert!(!process.stderr().contains("_count"), "{}", process.stderr());
}
