//! Characters in a request's target that belong percent-encoded, over HTTP/1.1.

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::support::{Stage, client};

#[tokio::test]
async fn a_raw_number_sign_is_refused_rather_than_cutting_the_target_off() {
    let stage = Stage::start().await;
    for (method, target) in [
        (
            "DELETE",
            "/fhir/Observation?code=http://loinc.org#x|8867-4&subject=Patient/1",
        ),
        ("GET", "/fhir/Patient?name=a#b"),
        ("GET", "/fhir/Patient#"),
        ("POST", "/fhir/Patient/_search?a#b"),
        ("DELETE", "/dicom/v2/studies/1.2#3"),
        ("GET", "http://localhost/fhir/Patient?name=a#b"),
    ] {
        let answer = client::request(stage.address(), method, target, &[], b"").await;
        assert_eq!(answer.status, 400, "{method} {target}");
        assert!(answer.text().contains("%23"), "{}", answer.text());
        assert!(answer.header("proxy-status").is_some());
    }
    assert_eq!(stage.upstream_hits(), 0);
    let encoded = client::get(stage.address(), "/fhir/Patient?name=a%23b").await;
    assert_eq!(encoded.status, 200);
}

#[tokio::test]
async fn each_request_of_a_connection_is_judged_by_its_own_line() {
    let stage = Stage::start().await;
    let mut stream = TcpStream::connect(stage.address()).await.expect("accepted");
    for (head, status) in [
        (
            "GET /fhir/Patient?a HTTP/1.1\r\nHost: localhost\r\nX-Colour: #fff\r\n\r\n",
            200,
        ),
        (
            "GET /fhir/Patient?a#b HTTP/1.1\r\nHost: localhost\r\n\r\n",
            400,
        ),
        (
            "\r\nGET /fhir/Patient?a HTTP/1.1\r\nHost: localhost\r\n\r\n",
            200,
        ),
        (
            "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n#\n#",
            200,
        ),
        (
            "DELETE /fhir/Patient?a#b HTTP/1.1\r\nHost: localhost\r\n\r\n",
            400,
        ),
        ("GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
    ] {
        // In two pieces, cut anywhere.
        let (start, end) = head.split_at(head.len() / 3);
        stream.write_all(start.as_bytes()).await.expect("sent");
        tokio::task::yield_now().await;
        stream.write_all(end.as_bytes()).await.expect("sent");
        let answer = client::read_response(&mut stream, false).await;
        assert_eq!(answer.status, status, "{head}");
    }
}

#[tokio::test]
async fn a_request_that_does_not_wait_for_its_turn_is_judged_too() {
    let stage = Stage::start().await;
    let read = "GET /fhir/Patient?_count=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let delete = "DELETE /fhir/Patient?a#b HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let all = [read, read, &delete.replace('#', "%23"), delete, last].concat();
    let answers = client::to_the_end(stage.address(), all.as_bytes()).await;
    let answers = String::from_utf8_lossy(&answers);
    let status = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3]);
    assert_eq!(
        status.collect::<Vec<_>>(),
        ["200", "200", "405", "400", "200"]
    );
    assert_eq!(stage.upstream_hits(), 4);
}

#[tokio::test]
async fn other_raw_characters_are_named_with_their_cure() {
    let stage = Stage::start().await;
    for (target, cure) in [
        ("/fhir/Patient?birthdate=>2000", "%3E"),
        ("/fhir/Patient?name=<a", "%3C"),
        ("/fhir/Patient?_filter=name eq \"a\"", "%22"),
    ] {
        let target = target.replace(' ', "+");
        let answer = client::request(stage.address(), "GET", &target, &[], b"").await;
        assert_eq!(answer.status, 400, "{target}");
        assert!(answer.text().contains(cure), "{}", answer.text());
    }
    assert_eq!(stage.upstream_hits(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn what_could_not_be_read_is_in_the_log_all_the_same() {
    use azure_emulator::{Emulator, Options};

    use crate::support::{process, write_config};

    let emulator = Emulator::start(Options::default()).await.expect("started");
    let files = tempfile::tempdir().expect("a folder");
    let program = process::run(&write_config(&emulator, &files, &[]));
    let process = process::Process::start(program);
    let (proxy, _) = process.addresses().await;
    client::request(proxy, "GET", "/fhir/Patient?name=<Smith", &[], b"").await;
    let line = process
        .until_stderr(|log| {
            let mut lines = log.lines();
            lines
                .find(|line| line.contains("refused before"))
                .map(str::to_owned)
        })
        .await;
    assert!(
        line.contains("status=400") && line.contains("%3C"),
        "{line}"
    );
    assert!(!process.stderr().contains("Smith"));
}
