//! `limits.requests` is shared between routes: a busy route does not lock out another.

use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use crate::support::{PATIENCE, Setup, Stage, client};

/// So many uploads without an end to a route, each accepted.
async fn unfinished(stage: &Stage, route: &str, count: u64) -> Vec<TcpStream> {
    let traffic = match route {
        "fhir" => stage.emulator.fhir().traffic(),
        _ => stage.emulator.dicom().traffic(),
    };
    let mut streams = Vec::new();
    for running in 1..=count {
        let mut stream = TcpStream::connect(stage.address()).await.expect("accepted");
        let head = format!(
            "POST /{route}/emulator/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let arrived = traffic.until(|now| now.running == running);
        timeout(PATIENCE, arrived).await.expect("it is served");
        streams.push(stream);
    }
    streams
}

#[tokio::test]
async fn a_route_leaves_places_to_another() {
    let stage = Setup::new().with("limits", "requests = 8").start().await;
    for (route, other) in [
        ("fhir", "/dicom/v2/changefeed"),
        ("dicom", "/fhir/metadata"),
    ] {
        let uploads = unfinished(&stage, route, 7).await;
        let own = client::get(stage.address(), &format!("/{route}/emulator/echo")).await;
        assert_eq!(own.status, 503, "{route}");
        assert_eq!(own.header("retry-after"), Some("1"));
        let other = client::get(stage.address(), other).await;
        assert_eq!(other.status, 200, "{route}");
        drop(uploads);
        let path = format!("/{route}/emulator/echo");
        client::until(stage.address(), &path, |answer| answer.status == 200).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_listener_leaves_places_to_another() {
    use tokio::net::UnixStream;

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("proxy.sock");
    let own = folder.path().join("own.sock");
    let stage = Setup::new()
        .with("limits", "requests = 24")
        .with(
            "routes.fhir",
            format!("listen = \"unix:{}\"", path.display()),
        )
        .with(
            "routes.dicom",
            format!("listen = \"unix:{}\"", own.display()),
        )
        .start()
        .await;
    // Three listeners: that of both routes, and one for each.
    let _fhir = unfinished(&stage, "fhir", 20).await;
    let refused = client::get(stage.address(), "/dicom/v2/changefeed").await;
    assert_eq!(refused.status, 503);
    let mut stream = UnixStream::connect(&path).await.expect("accepted");
    let request = b"GET /metadata HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let answer = timeout(PATIENCE, client::read_response(&mut stream, false)).await;
    assert_eq!(answer.expect("in time").status, 200);
}
