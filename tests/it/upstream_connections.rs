//! Reused connections to an upstream: the bytes that may and may not come over them.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Barrier, Notify},
    time::timeout,
};

use crate::support::{
    PATIENCE, Stage,
    client::{self, Answer},
    scripted::{Conversation, Scripted},
};
#[cfg(unix)]
use crate::support::{
    process::{self, Process},
    scripted::route_to,
    write_config,
};
#[cfg(unix)]
use azure_emulator::{Emulator, Options};
#[cfg(unix)]
use rustix::process::Signal;

const PATH: &str = "/plain/Patient/1";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Serves each connection as `serve` does, given its number, and counts them.
async fn counting<F, T>(serve: F) -> (Scripted, Arc<AtomicUsize>)
where
    F: Fn(usize, Conversation) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let count = Arc::<AtomicUsize>::default();
    let connections = count.clone();
    let upstream = Scripted::start(move |number, conversation| {
        connections.fetch_add(1, Ordering::SeqCst);
        serve(number, conversation)
    });
    (upstream.await, count)
}

/// Sends one byte of a body of that length, and takes the response that does not wait for the rest.
async fn early_answer(stage: &Stage, length: usize) -> (TcpStream, Answer) {
    let address = stage.address();
    let mut stream = TcpStream::connect(address).await.expect("a listener");
    let head =
        format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\na");
    stream.write_all(head.as_bytes()).await.expect("a reader");
    let answer = timeout(PATIENCE, client::read_response(&mut stream, false));
    let answer = answer.await.expect("an early answer");
    (stream, answer)
}

/// Responds to each request with the number of the connection, followed by `after`.
async fn numbered(after: &'static str) -> (Scripted, Arc<AtomicUsize>) {
    counting(move |number, mut conversation| async move {
        while conversation.request().await.is_some() {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}{after}");
            conversation.send(answer.as_bytes()).await;
        }
    })
    .await
}

#[tokio::test]
async fn what_comes_after_an_answer_is_no_answer_to_the_next_request() {
    for after in ["x", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"] {
        let (upstream, connections) = numbered(after).await;
        let stage = upstream.routed().start().await;
        for number in 0..3 {
            let answer = client::get(stage.address(), PATH).await;
            assert_eq!(answer.text(), number.to_string(), "{after}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 3);
    }
    let (upstream, connections) = numbered("").await;
    let stage = upstream.routed().start().await;
    for _ in 0..3 {
        assert_eq!(client::get(stage.address(), PATH).await.text(), "0");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn connections_that_end_together_cost_a_get_one_new_connection() {
    const KEPT: usize = 3;
    let all_asked = Arc::new(Barrier::new(KEPT));
    let (upstream, connections) = counting(move |number, mut conversation| {
        let all_asked = all_asked.clone();
        async move {
            conversation.request().await;
            if number < KEPT {
                all_asked.wait().await;
            }
            conversation.send(OK).await;
            // And is closed upon the next.
            conversation.request().await;
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    let get = || client::get(stage.address(), PATH);
    let (first, second, third) = tokio::join!(get(), get(), get());
    assert_eq!([first.status, second.status, third.status], [200; KEPT]);
    assert_eq!(get().await.status, 200);
    assert_eq!(connections.load(Ordering::SeqCst), KEPT + 1);
}

#[tokio::test]
async fn lengths_that_disagree_are_no_answer() {
    for lengths in [
        "Content-Length: 1, 2",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: x",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nab");
        let upstream = Scripted::answering(answer).await;
        let stage = upstream.routed().start().await;
        let answer = client::get(stage.address(), PATH).await;
        assert_eq!(answer.status, 502, "{lengths}: {answer:?}");
        let proxy_status = answer.header("proxy-status").expect("Proxy-Status");
        assert!(
            proxy_status.contains("http_protocol_error"),
            "{proxy_status}"
        );
    }
}

#[tokio::test]
async fn chunks_beside_a_length_pass_and_end_the_connection() {
    let (upstream, connections) = counting(|_, mut conversation| async move {
        while conversation.request().await.is_some() {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\
                           Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
            conversation.send(answer).await;
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    for number in 1..3 {
        let answer = client::get(stage.address(), PATH).await;
        assert_eq!(answer.text(), "ab");
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(connections.load(Ordering::SeqCst), number);
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let upstream = Scripted::answering(
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let stage = upstream.routed().start().await;
    for _ in 0..2 {
        let answer = client::get(stage.address(), PATH).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"));
        assert_eq!(answer.header("link"), None);
    }
}

#[tokio::test]
async fn a_write_without_a_body_tells_its_length() {
    let upstream = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let stage = upstream.routed().start().await;
    for (method, told) in [
        ("POST", true),
        ("PUT", true),
        ("GET", false),
        ("DELETE", false),
    ] {
        let request = format!("{method} {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        assert_eq!(answer.status, 200);
        let head = upstream.heads().pop().expect("a request").to_lowercase();
        assert_eq!(head.contains("\r\ncontent-length: 0\r\n"), told, "{head}");
    }
}

/// More than all the buffers on the way hold.
const LARGE: usize = 64 << 20;

async fn read_exactly(stream: &mut TcpStream, mut left: usize) {
    let mut buffer = BytesMut::with_capacity(1 << 16);
    while left > 0 {
        buffer.clear();
        let count = stream.read_buf(&mut buffer).await.expect("more to read");
        assert!(count > 0, "{left} bytes are missing");
        left = left.checked_sub(count).expect("no more than was sent");
    }
}

#[tokio::test]
async fn a_large_answer_that_comes_early_does_not_hold_up_the_upload() {
    let (upstream, connections) = counting(|_, mut conversation| async move {
        while conversation.request().await.is_some() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
            conversation.send(head.as_bytes()).await;
            let (mut reader, mut writer) = conversation.stream.split();
            let upload = async {
                let mut body = vec![0; LARGE];
                reader.read_exact(&mut body).await
            };
            let answer = vec![b'a'; LARGE];
            let (uploaded, answered) = tokio::join!(upload, writer.write_all(&answer));
            uploaded.and(answered).expect("a proxy that moves both");
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    for _ in 0..2 {
        let exchange = async {
            let mut stream = TcpStream::connect(stage.address())
                .await
                .expect("a listener");
            let head = format!(
                "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/dicom\r\n\
                 Content-Length: {LARGE}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.expect("a reader");
            // All of the request first, as many clients send it.
            stream
                .write_all(&vec![b'u'; LARGE])
                .await
                .expect("a reader");
            let mut head = BytesMut::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.extend([stream.read_u8().await.expect("a head")]);
            }
            assert!(head.starts_with(b"HTTP/1.1 200"), "{head:?}");
            read_exactly(&mut stream, LARGE).await;
        };
        timeout(PATIENCE, exchange)
            .await
            .expect("no side waits for the other");
    }
    // It serves on, though not at once.
    assert!(connections.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn a_client_learns_that_the_rest_of_its_upload_is_not_read() {
    for (said, ends) in [("Connection: close\r\n", true), ("", false)] {
        let upstream = Scripted::start(move |_, mut conversation| async move {
            conversation.request().await;
            let answer = format!("HTTP/1.1 403 Forbidden\r\n{said}Content-Length: 2\r\n\r\nno");
            conversation.send(answer.as_bytes()).await;
            // Until the proxy closes.
            let _ = conversation.stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let stage = upstream.routed().start().await;
        let (_stream, answer) = early_answer(&stage, 1_000_000).await;
        assert_eq!((answer.status, answer.text()), (403, "no"));
        assert_eq!(answer.header("connection"), ends.then_some("close"));
    }
}

#[tokio::test]
async fn interim_answers_without_end_are_no_answer() {
    let upstream = Scripted::start(|_, mut conversation| async move {
        conversation.request().await;
        let mut stream = conversation.stream.into_std().expect("a stream");
        // On a thread of its own, so that there is always more to read.
        let flood = move || {
            let interim = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(4096);
            stream.set_nonblocking(false)?;
            loop {
                stream.write_all(&interim)?;
            }
        };
        let flooded: Result<std::io::Result<()>, _> = tokio::task::spawn_blocking(flood).await;
        flooded.expect("no panic").expect_err("the proxy hangs up");
    })
    .await;
    let stage = upstream.routed().start().await;
    let get = || timeout(PATIENCE, client::get(stage.address(), PATH));
    let answers = tokio::join!(get(), get(), get(), get());
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        let answer = answer.expect("in time");
        assert_eq!(answer.status, 502);
        let proxy_status = answer.header("proxy-status");
        assert_eq!(proxy_status, Some("ahds-proxy; error=http_protocol_error"));
    }
}

#[tokio::test]
async fn an_upload_that_stands_still_behind_its_answer_is_given_up() {
    let given_up = Arc::new(Notify::new());
    let end = given_up.clone();
    let upstream = Scripted::start(move |_, mut conversation| {
        let end = end.clone();
        async move {
            conversation.request().await;
            conversation.send(OK).await;
            let _ = conversation.stream.read_to_end(&mut Vec::new()).await;
            end.notify_one();
        }
    })
    .await;
    let setup = upstream.routed().with("network", "idle_timeout = \"1s\"");
    let stage = setup.start().await;
    let (mut stream, answer) = early_answer(&stage, 1000).await;
    assert_eq!(answer.status, 200);
    timeout(PATIENCE, given_up.notified())
        .await
        .expect("the upstream is let go");
    let rest = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
    rest.expect("and so is the client")
        .expect("without a reset");
}

/// A response that no client of the proxy may ever see.
const STOLEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";

/// Gives the answer without a body, and the body once it has the next request: the latest moment at
/// which it can do harm.
async fn late(answer: &'static str) -> (Scripted, Arc<AtomicUsize>) {
    counting(move |_, mut conversation| async move {
        conversation.request().await;
        conversation.send(answer.as_bytes()).await;
        conversation.request().await;
        conversation.send(STOLEN).await;
        conversation.send(OK).await;
        conversation.request().await;
    })
    .await
}

#[tokio::test]
async fn a_late_body_of_an_answer_without_one_is_nobodys_answer() {
    for (method, answer) in [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("DELETE", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (
            "DELETE",
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "DELETE",
            "HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ] {
        let (upstream, connections) = late(answer).await;
        let stage = upstream.routed().start().await;
        // The second request is there already when the first gets its response.
        let first = format!("{method} {PATH} HTTP/1.1\r\nHost: localhost\r\n");
        let both = format!("{first}\r\n{first}Connection: close\r\n\r\n");
        let received = client::to_the_end(stage.address(), both.as_bytes()).await;
        let received = String::from_utf8_lossy(&received);
        let status = &answer[..12];
        assert_eq!(received.matches(status).count(), 2, "{method}: {received}");
        assert!(!received.contains("stolen"), "{method}: {received}");
        assert_eq!(connections.load(Ordering::SeqCst), 2, "{method}");
    }
}

#[tokio::test]
async fn a_late_answer_to_an_upload_that_was_answered_early_is_nobodys_answer() {
    let (upstream, connections) = counting(|_, mut conversation| async move {
        conversation.request().await;
        conversation.send(OK).await;
        // The rest of the body, then the next request.
        let mut rest = [0; 999];
        conversation.stream.read_exact(&mut rest).await.ok();
        if conversation.request().await.is_some() {
            conversation.send(STOLEN).await;
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    let (mut stream, answer) = early_answer(&stage, 1000).await;
    assert_eq!(answer.status, 200);
    stream.write_all(&[b'a'; 999]).await.expect("a reader");
    // The connection ends, so that the upload has gone, and the upstream's may be used again.
    let next = format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(next.as_bytes()).await.expect("a reader");
    let answer = timeout(PATIENCE, client::read_response(&mut stream, false));
    let answer = answer.await.expect("an answer");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_upstream_that_sent_what_nobody_asked_for_gets_no_connection_twice() {
    let (upstream, connections) = counting(|number, mut conversation| async move {
        while conversation.request().await.is_some() {
            conversation.send(OK).await;
            if number == 0 {
                conversation.send(b"more").await;
            }
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    for number in 1..5 {
        assert_eq!(client::get(stage.address(), PATH).await.status, 200);
        assert_eq!(connections.load(Ordering::SeqCst), number);
    }
}

#[tokio::test]
async fn the_farewell_of_an_idle_connection_is_no_offence() {
    let idle = Arc::new(Notify::new());
    let said = idle.clone();
    let (upstream, connections) = counting(move |number, mut conversation| {
        let said = said.clone();
        async move {
            while conversation.request().await.is_some() {
                conversation.send(OK).await;
                if number == 0 {
                    let farewell = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n";
                    conversation.send(farewell).await;
                    drop(conversation);
                    said.notify_one();
                    return;
                }
            }
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    idle.notified().await;
    for _ in 0..3 {
        assert_eq!(client::get(stage.address(), PATH).await.status, 200);
        assert_eq!(connections.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn a_get_whose_answer_is_rubbish_from_before_is_asked_anew() {
    let (upstream, connections) = counting(|number, mut conversation| async move {
        conversation.request().await;
        conversation.send(OK).await;
        conversation.request().await;
        if number == 0 {
            conversation.send(b"{\"late\":true}").await;
        }
        conversation.send(OK).await;
        conversation.request().await;
    })
    .await;
    let stage = upstream.routed().start().await;
    for number in [1, 2, 3] {
        assert_eq!(client::get(stage.address(), PATH).await.status, 200);
        assert_eq!(connections.load(Ordering::SeqCst), number);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_log_says_once_why_connections_are_not_used_again() {
    let (upstream, _) = numbered("x").await;
    let options = Options::default();
    let emulator = Emulator::start(options).await.expect("started");
    let files = tempfile::tempdir().expect("a folder");
    let route = route_to(upstream.address());
    let config = write_config(&emulator, &files, &[("routes.plain", route)]);
    let mut process = Process::start(process::run(&config));
    let (proxy, _) = process.addresses().await;
    for number in 0..3 {
        assert_eq!(client::get(proxy, PATH).await.text(), number.to_string());
    }
    process.signal(Signal::TERM);
    process.ended().await;
    let log = process.stderr();
    let warnings: Vec<_> = log
        .lines()
        .filter(|line| line.contains("sends bytes beyond its responses"))
        .collect();
    let [warning] = warnings[..] else {
        panic!("{log}")
    };
    assert!(warning.contains("WARN"), "{warning}");
    assert!(
        warning.contains(&upstream.address().to_string()),
        "{warning}"
    );
}
