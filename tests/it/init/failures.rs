//! Azure Resource Manager shows nothing, fails, or must not be asked.

use azure_emulator::{FHIR_AUDIENCE, Fault, Inventory};

use super::{Scene, many, subscription};
use crate::support::{
    fake_az::{self, FakeAz},
    network_text,
};

impl Scene {
    /// A command fails, says why and how to go on, and writes nothing.
    async fn fails(&self, line: &str, cause: &str, remedy: &str) {
        let ran = self.run(line).await;
        assert_eq!(ran.code, Some(1), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(cause), "{cause} in {}", ran.stderr);
        assert!(ran.stderr.contains(remedy), "{remedy} in {}", ran.stderr);
        assert!(!self.path("ahds-proxy.toml").exists());
    }
}

#[tokio::test]
async fn whoever_sees_nothing_is_told_why() {
    let nothing = Scene::new(Inventory::default()).await;
    let cause = "sees no Azure subscription";
    nothing
        .fails("init", cause, "az login --tenant TENANT")
        .await;
    let cause = "no subscription `Demo`";
    nothing
        .fails("init --subscription Demo", cause, "no subscription at all")
        .await;

    let bare = Scene::new(Inventory {
        subscriptions: vec![subscription(1, "Empty", Vec::new())],
    })
    .await;
    let cause = "sees no FHIR or DICOM service; searched: Empty";
    bare.fails("init", cause, "\"Reader\"").await;

    let mut closed = Inventory::demo();
    closed.subscriptions[0].is_closed = true;
    let closed = Scene::new(closed).await;
    closed
        .fails("init", "in the subscription Demo: ", "\"Reader\"")
        .await;

    let demo = Scene::new(Inventory::demo()).await;
    let cause = "no subscription `Dema`";
    demo.fails("init --subscription Dema", cause, "It sees: Demo.")
        .await;
    for line in ["init --workspace dema", "--workspace dema"] {
        demo.fails(line, "in a workspace `dema`", "ahds-proxy init")
            .await;
    }
}

#[tokio::test]
async fn each_failure_of_resource_manager_has_its_sentence() {
    let foreign = r#"{"value":[],"nextLink":"https://evil.example/subscriptions?api-version=1"}"#;
    let elsewhere = r#"{"value":[{"subscriptionId":"s","displayName":"d","id":"@evil.example/"}]}"#;
    let of_another = "does not come from Azure Resource Manager";
    for (fault, cause, remedy) in [
        (
            Fault::Unauthorized,
            "are of different tenants",
            "az login --tenant TENANT",
        ),
        (Fault::Forbidden, "may not read there", "\"Reader\""),
        (
            Fault::Close,
            "does not respond",
            "ahds-proxy https://WS-FHIR",
        ),
        (Fault::respond(200, "<html>"), of_another, "captive portal"),
        (Fault::respond(200, foreign), of_another, "captive portal"),
        (Fault::respond(200, elsewhere), of_another, "captive portal"),
        (Fault::respond(503, ""), "responded with 503", "Try again"),
    ] {
        let scene = Scene::new(Inventory::demo()).await;
        scene.emulator.resource_manager().faults().always(fault);
        scene.fails("init", cause, remedy).await;
    }
}

#[tokio::test]
async fn one_subscription_that_cannot_be_read_does_not_hide_the_others() {
    let mut inventory = many();
    inventory.subscriptions[0].is_closed = true;
    let scene = Scene::new(inventory).await;
    let ran = scene.run("init --all --output -").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("warning: in the subscription Empty: "),
        "{}",
        ran.stderr
    );
    assert_eq!(
        ran.stdout.matches("\nupstream").count(),
        11,
        "{}",
        ran.stdout
    );
}

#[tokio::test]
async fn a_throttled_request_is_sent_again() {
    let scene = Scene::new(Inventory::demo()).await;
    let faults = scene.emulator.resource_manager().faults();
    faults.next(2, Fault::Throttle(std::time::Duration::ZERO));
    let ran = scene.run("init --output -").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[tokio::test]
async fn a_token_for_something_else_never_goes_to_resource_manager() {
    let scene = Scene::new(Inventory::demo()).await;
    let token = scene.emulator.entra().issue(FHIR_AUDIENCE, 3600);
    std::fs::write(scene.path("token"), &token).expect("written");
    std::fs::write(scene.path("print.sh"), format!("#!/bin/sh\necho {token}\n")).expect("written");
    let network = network_text(&scene.emulator);
    for (kind, keys) in [
        ("static", "token = { file = \"token\" }"),
        ("command", "argv = [\"/bin/sh\", \"print.sh\"]"),
    ] {
        let keys = keys.replace("print.sh", &scene.path("print.sh").display().to_string());
        let config = format!("[network]\n{network}[credentials.default.{kind}]\n{keys}\n");
        std::fs::write(scene.path("base.toml"), config).expect("written");
        let line = format!("check --online --fhir {FHIR_AUDIENCE}");
        let ran = scene.run(&line).await;
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        for line in ["init", "--workspace demo"] {
            let ran = scene.run(line).await;
            assert_eq!(ran.code, Some(1), "{}", ran.stderr);
            let cause = format!("`{kind}` has no token for Azure Resource Manager");
            assert!(ran.stderr.contains(&cause), "{}", ran.stderr);
            assert!(
                ran.stderr.contains("--credential azure-cli"),
                "{}",
                ran.stderr
            );
        }
        let seen = scene
            .emulator
            .resource_manager()
            .traffic()
            .counters()
            .requests;
        assert_eq!(seen, 0, "{kind}");
    }
}

#[tokio::test]
async fn text_that_is_not_a_token_is_not_sent() {
    let scene = Scene::new(Inventory::demo()).await;
    let network = network_text(&scene.emulator);
    for text in ["", "two words"] {
        let az = FakeAz::bare("cat \"$D/printed\"");
        az.write("printed", &fake_az::answer(text, 3600));
        let path = az.program().display().to_string();
        let keys = format!("[credentials.default.azure-cli]\npath = \"{path}\"\n");
        std::fs::write(
            scene.path("base.toml"),
            format!("[network]\n{network}{keys}"),
        )
        .expect("written");
        scene
            .fails("init", "is not a bearer token", "Check the token")
            .await;
    }
    let seen = scene
        .emulator
        .resource_manager()
        .traffic()
        .counters()
        .requests;
    assert_eq!(seen, 0);
}
