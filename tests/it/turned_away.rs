//! The proxy retries a request that the upstream did not process, by its own word, whatever its
//! method. It does not retry one that the upstream may have processed.

mod refused_streams;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Notify, time::timeout};

use crate::support::{
    PATIENCE, Setup, Stage, client,
    frames::{CANCEL, ENHANCE_YOUR_CALM, Frames, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM},
    scripted::{Conversation, Scripted},
};

const PATH: &str = "/plain/Patient/1";
const PATIENT: &[u8] = br#"{"resourceType":"Patient"}"#;
/// Connections that a request tries at most.
const ATTEMPTS: usize = 8;

/// The requests that an upstream has processed.
#[derive(Debug, Clone, Default)]
struct Processed(Arc<Mutex<Vec<http::Request<Bytes>>>>);

impl Processed {
    /// Responds to every request of an HTTP/2 connection.
    async fn serve(&self, stream: TcpStream) {
        let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let (head, mut upload) = request.into_parts();
            let processed = self.clone();
            tokio::spawn(async move {
                let mut body = Vec::new();
                while let Some(Ok(data)) = upload.data().await {
                    let _ = upload.flow_control().release_capacity(data.len());
                    body.extend_from_slice(&data);
                }
                processed.add(http::Request::from_parts(head, body.into()));
                let _ = respond.send_response(http::Response::new(()), true);
            });
        }
    }

    fn add(&self, request: http::Request<Bytes>) {
        self.0.lock().expect("no panic").push(request);
    }

    fn all(&self) -> Vec<http::Request<Bytes>> {
        self.0.lock().expect("no panic").clone()
    }

    fn only(&self) -> http::Request<Bytes> {
        let mut all = self.all();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

/// How an upstream turns a request away.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    GoAway { code: u32 },
    Reset,
}

impl Refusal {
    const ALL: [Self; 3] = [
        Self::GoAway { code: NO_ERROR },
        Self::GoAway {
            code: ENHANCE_YOUR_CALM,
        },
        Self::Reset,
    ];

    async fn send(self, frames: &mut Frames, stream: u32) {
        match self {
            Self::GoAway { code } => frames.go_away(stream - 2, code).await,
            Self::Reset => frames.reset(stream, REFUSED_STREAM).await,
        }
    }
}

/// Turns the second request of its first connection away, and processes all others. The first
/// request gets a response, so that the last stream of GOAWAY is a real one.
async fn refusing_once(refusal: Refusal) -> (Scripted, Processed) {
    let processed = Processed::default();
    let upstream = {
        let processed = processed.clone();
        Scripted::start(move |number, conversation| {
            let processed = processed.clone();
            async move {
                if number > 0 {
                    return processed.serve(conversation.stream).await;
                }
                let mut frames = Frames::accept(conversation.stream).await;
                let (first, _) = frames.request().await.expect("a request");
                frames.answer(first, 200).await;
                let (second, _) = frames.request().await.expect("a request");
                refusal.send(&mut frames, second).await;
                while let Some((stream, body)) = frames.request().await {
                    assert!(matches!(refusal, Refusal::Reset), "a request behind GOAWAY");
                    processed.add(http::Request::new(body));
                    frames.answer(stream, 200).await;
                }
            }
        })
        .await
    };
    (upstream, processed)
}

fn over_http2(upstream: &Scripted) -> Setup {
    upstream.routed().with("routes.plain", "http = \"2\"")
}

/// A stage whose upstream has responded to a request.
async fn warm(upstream: &Scripted) -> Stage {
    let stage = over_http2(upstream).start().await;
    assert_eq!(client::get(stage.address(), PATH).await.status, 200);
    stage
}

#[tokio::test]
async fn a_request_of_any_method_is_sent_again_with_its_body() {
    let large = vec![b'x'; 60 << 10];
    for refusal in Refusal::ALL {
        for (method, body) in [
            ("GET", &b""[..]),
            ("DELETE", b""),
            ("POST", PATIENT),
            ("PUT", &large),
            ("PATCH", PATIENT),
        ] {
            let (upstream, processed) = refusing_once(refusal).await;
            let stage = warm(&upstream).await;
            let answer = client::request(stage.address(), method, PATH, &[], body).await;
            assert_eq!(answer.status, 200, "{refusal:?} {method}: {answer:?}");
            assert_eq!(processed.only().into_body(), body, "{refusal:?} {method}");
        }
    }
}

#[tokio::test]
async fn what_is_sent_again_is_the_same_request() {
    let (upstream, processed) = refusing_once(Refusal::GoAway { code: NO_ERROR }).await;
    let stage = warm(&upstream).await;
    let headers = [("If-Match", "W/\"1\""), ("Prefer", "return=minimal")];
    let target = format!("{PATH}?_format=json");
    let answer = client::request(stage.address(), "PUT", &target, &headers, PATIENT).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let request = processed.only();
    assert_eq!(request.method(), "PUT");
    let uri = request.uri();
    assert_eq!(
        uri.path_and_query().expect("both"),
        "/Patient/1?_format=json"
    );
    assert_eq!(
        uri.authority().expect("a host"),
        &upstream.address().to_string()
    );
    assert_eq!(request.headers()["if-match"], "W/\"1\"");
    assert_eq!(request.headers()["prefer"], "return=minimal");
    assert_eq!(
        request.headers()["content-length"],
        PATIENT.len().to_string()
    );
    let tokens: Vec<_> = request.headers().get_all("authorization").iter().collect();
    assert_eq!(tokens.len(), 1);
    assert!(tokens[0].as_bytes().starts_with(b"Bearer "));
}

#[tokio::test]
async fn a_body_without_a_length_is_sent_again_and_one_with_trailers_is_not() {
    for (trailer, status) in [("", 200), ("Digest: a\r\n", 502)] {
        let (upstream, processed) = refusing_once(Refusal::Reset).await;
        let stage = warm(&upstream).await;
        let request = format!(
            "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
             Trailer: Digest\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n{trailer}\r\n"
        );
        let answer = client::raw(stage.address(), request.as_bytes()).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let bodies: Vec<_> = processed.all();
        let bodies: Vec<_> = bodies.iter().map(|request| &request.body()[..]).collect();
        assert_eq!(
            bodies.concat(),
            if status == 200 { &b"abcde"[..] } else { b"" }
        );
    }
}

/// Turns the first request away as soon as its head has come, and tells so.
async fn refusing_heads(refusal: Refusal) -> (Scripted, Processed, Arc<Notify>) {
    let (processed, refused) = (Processed::default(), Arc::<Notify>::default());
    let (seen, told) = (processed.clone(), refused.clone());
    let upstream = Scripted::start(move |number, conversation| {
        let (processed, refused) = (seen.clone(), told.clone());
        async move {
            if number > 0 {
                return processed.serve(conversation.stream).await;
            }
            let mut frames = Frames::accept(conversation.stream).await;
            let first = frames.head().await.expect("a request");
            frames.answer(first, 200).await;
            let second = frames.head().await.expect("a request");
            refusal.send(&mut frames, second).await;
            refused.notify_one();
            while let Some(stream) = frames.head().await {
                refusal.send(&mut frames, stream).await;
            }
        }
    })
    .await;
    (upstream, processed, refused)
}

#[tokio::test]
async fn a_body_that_is_still_coming_goes_to_the_next_connection() {
    for refusal in [
        Refusal::GoAway { code: NO_ERROR },
        Refusal::GoAway {
            code: ENHANCE_YOUR_CALM,
        },
    ] {
        // Only the start has to be buffered, however long the rest is.
        for length in [5, 300 << 10] {
            let (upstream, processed, refused) = refusing_heads(refusal).await;
            let stage = warm(&upstream).await;
            let body: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
            let head = format!(
                "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
            );
            let mut client = TcpStream::connect(stage.address()).await.expect("accepted");
            client.write_all(head.as_bytes()).await.expect("sent");
            client.write_all(&body[..2]).await.expect("sent");
            refused.notified().await;
            client.write_all(&body[2..]).await.expect("sent");
            let answer = timeout(PATIENCE, client::read_response(&mut client, false)).await;
            let answer = answer.expect("an answer in time");
            assert_eq!(answer.status, 200, "{refusal:?} {length}: {answer:?}");
            let request = processed.only();
            assert_eq!(request.headers()["content-length"], length.to_string());
            assert_eq!(request.into_body(), body);
        }
    }
}

#[tokio::test]
async fn a_body_too_large_to_keep_is_not_sent_again() {
    for refusal in Refusal::ALL {
        let (upstream, processed) = refusing_once(refusal).await;
        let stage = warm(&upstream).await;
        let body = vec![b'x'; 100 << 10];
        let answer = client::request(stage.address(), "POST", PATH, &[], &body).await;
        assert_eq!(answer.status, 502, "{refusal:?}: {answer:?}");
        let proxy_status = answer.header("proxy-status");
        assert_eq!(
            proxy_status,
            Some("ahds-proxy; error=connection_terminated")
        );
        assert!(
            answer.text().contains("safe to send it again"),
            "{answer:?}"
        );
        assert_eq!(processed.all().len(), 0);
    }
}

#[tokio::test]
async fn a_body_is_still_whole_after_a_new_token() {
    let processed = Processed::default();
    let seen = processed.clone();
    let upstream = Scripted::start(move |number, conversation| {
        let processed = seen.clone();
        async move {
            if number > 0 {
                return processed.serve(conversation.stream).await;
            }
            let mut frames = Frames::accept(conversation.stream).await;
            let (first, _) = frames.request().await.expect("a request");
            frames.answer(first, 401).await;
            let (second, body) = frames.request().await.expect("a request");
            assert_eq!(body, PATIENT);
            frames.go_away(first, NO_ERROR).await;
            assert_eq!(second, first + 2);
            assert_eq!(frames.request().await, None);
        }
    })
    .await;
    let stage = over_http2(&upstream).start().await;
    let answer = client::request(stage.address(), "POST", PATH, &[], PATIENT).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(processed.only().into_body(), PATIENT);
}

/// Runs `end` for each request, and counts them.
async fn ending<F, T>(end: F) -> (Scripted, Processed)
where
    F: Fn(Frames, u32) -> T + Clone + Send + 'static,
    T: Future<Output = Option<Frames>> + Send + 'static,
{
    let processed = Processed::default();
    let seen = processed.clone();
    let upstream = Scripted::start(move |_, conversation| {
        let (processed, end) = (seen.clone(), end.clone());
        async move {
            let mut frames = Frames::accept(conversation.stream).await;
            while let Some((stream, body)) = frames.request().await {
                processed.add(http::Request::new(body));
                let Some(left) = end(frames, stream).await else {
                    return;
                };
                frames = left;
            }
        }
    })
    .await;
    (upstream, processed)
}

#[tokio::test]
async fn a_write_that_may_have_been_processed_is_not_sent_twice() {
    let (at_last, at_last_seen) = ending(|mut frames, stream| async move {
        frames.go_away(stream, NO_ERROR).await;
        None
    })
    .await;
    let (canceled, canceled_seen) = ending(|mut frames, stream| async move {
        frames.reset(stream, CANCEL).await;
        Some(frames)
    })
    .await;
    let (failed, failed_seen) = ending(|mut frames, stream| async move {
        frames.reset(stream, INTERNAL_ERROR).await;
        Some(frames)
    })
    .await;
    let (lost, lost_seen) = ending(|_, _| async { None }).await;
    for (case, upstream, seen) in [
        ("GOAWAY that includes it", at_last, at_last_seen),
        ("CANCEL", canceled, canceled_seen),
        ("INTERNAL_ERROR", failed, failed_seen),
        ("a lost connection", lost, lost_seen),
    ] {
        let stage = over_http2(&upstream).start().await;
        let answer = client::request(stage.address(), "POST", PATH, &[], PATIENT).await;
        assert_eq!(answer.status, 502, "{case}: {answer:?}");
        assert_eq!(seen.all().len(), 1, "{case}");
    }
}

#[tokio::test]
async fn a_server_that_turns_everything_away_is_asked_a_few_times() {
    let (resets, resets_seen) = ending(|mut frames, stream| async move {
        frames.reset(stream, REFUSED_STREAM).await;
        Some(frames)
    })
    .await;
    let (leaves, leaves_seen) = ending(|mut frames, _| async move {
        frames.go_away(0, NO_ERROR).await;
        Some(frames)
    })
    .await;
    for (upstream, seen) in [(resets, resets_seen), (leaves, leaves_seen)] {
        let stage = over_http2(&upstream).start().await;
        let answer = client::request(stage.address(), "POST", PATH, &[], PATIENT).await;
        assert_eq!(answer.status, 502, "{answer:?}");
        assert_eq!(seen.all().len(), ATTEMPTS);
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const FAREWELL: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate";

/// Responds to the first request of the first connection, sends `last` to its second one, and
/// responds to all others.
async fn saying(last: &'static [u8]) -> Scripted {
    Scripted::start(move |number, mut conversation: Conversation| async move {
        conversation.request().await;
        conversation.send(OK).await;
        if number == 0 {
            conversation.request().await;
            conversation.send(last).await;
            return;
        }
        while conversation.request().await.is_some() {
            conversation.send(OK).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_farewell_that_crossed_a_request_is_no_answer_to_it() {
    for farewell in [
        FAREWELL,
        b"HTTP/1.0 408 Request Time-out\r\nCache-Control: no-cache\r\n\r\n<html></html>",
    ] {
        for (method, body) in [("GET", &b""[..]), ("DELETE", b""), ("POST", PATIENT)] {
            let upstream = saying(farewell).await;
            let stage = upstream.routed().start().await;
            for _ in 0..2 {
                let answer = client::request(stage.address(), method, PATH, &[], body).await;
                assert_eq!(answer.status, 200, "{method}: {answer:?}");
            }
            assert_eq!(upstream.heads().len(), 3, "{method}");
        }
    }
}

#[tokio::test]
async fn a_408_that_is_an_answer_passes() {
    let large = vec![b'x'; 100 << 10];
    for (case, last, body) in [
        (
            "it keeps the connection",
            &b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nlate"[..],
            PATIENT,
        ),
        (
            "the server began to work",
            b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\
              Content-Length: 4\r\n\r\nlate",
            PATIENT,
        ),
        ("the body is not kept", FAREWELL, &large),
    ] {
        let upstream = saying(last).await;
        let stage = upstream.routed().start().await;
        assert_eq!(client::get(stage.address(), PATH).await.status, 200);
        let answer = client::request(stage.address(), "POST", PATH, &[], body).await;
        assert_eq!((answer.status, answer.text()), (408, "late"), "{case}");
        assert_eq!(upstream.heads().len(), 2, "{case}");
    }
    // And on a connection that is new.
    let upstream = Scripted::answering(FAREWELL).await;
    let stage = upstream.routed().start().await;
    let answer = client::request(stage.address(), "POST", PATH, &[], PATIENT).await;
    assert_eq!((answer.status, answer.text()), (408, "late"));
    assert_eq!(upstream.heads().len(), 1);
}
