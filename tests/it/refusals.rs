//! Requests that are refused although their route and path are right.

use crate::support::{Stage, client, scripted::Scripted};

#[tokio::test]
async fn methods_that_would_show_the_token_are_refused() {
    let stage = Stage::start().await;
    for method in ["TRACE", "CONNECT"] {
        let answer = client::request(stage.address(), method, "/fhir/Patient", &[], b"").await;
        assert!(matches!(answer.status, 400 | 405), "{method}: {answer:?}");
    }
    let trace = client::request(stage.address(), "TRACE", "/fhir/Patient", &[], b"").await;
    assert_eq!(trace.status, 405);
    assert_eq!(trace.json()["issue"][0]["code"], "not-supported");
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn a_transfer_coding_beside_chunked_is_refused() {
    let stage = Stage::start().await;
    for coding in ["gzip, chunked", "gzip,chunked"] {
        let request = format!(
            "POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"
        );
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        assert_eq!(answer.status, 400, "{coding}: {answer:?}");
    }
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn a_malformed_body_is_the_clients_fault() {
    let stage = Stage::start().await;
    for chunks in [
        "FFFFFFFFFFFFFFFFF\r\n",
        "-1\r\n",
        "2\r\n{}XX0\r\n\r\n",
        "zz\r\n",
    ] {
        let request = format!(
            "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        );
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        assert_eq!(answer.status, 400, "{chunks:?}: {answer:?}");
        assert!(answer.header("proxy-status").is_some(), "{chunks:?}");
    }
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_a_bad_answer() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let upstream = Scripted::answering(answer).await;
    let stage = upstream.routed().start().await;
    let answer = client::get(stage.address(), "/plain/x").await;
    assert_eq!(answer.status, 502, "{answer:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_replaces_no_file_of_the_users() {
    use ahds_proxy::server::Listener;

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "precious").expect("written");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).expect("linked");
    for path in [&file, &link] {
        assert!(Listener::unix(path.clone()).is_err(), "{}", path.display());
        assert_eq!(
            std::fs::read_to_string(path).expect("still there"),
            "precious"
        );
    }
}
