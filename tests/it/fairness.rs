//! Few bytes that make much work do not keep other requests waiting: a later request gets its
//! response first.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::support::{Stage, client, compressed::gzip, scripted::Scripted};

/// Searched for links.
const SEARCH: &str = "/plain/Patient";
/// Passed on as it is.
const READ: &str = "/plain/Patient/1";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A document in gzip, and behind it many members that say nothing.
fn laborious() -> Vec<u8> {
    let nothing = gzip(b"");
    [gzip(b"{}"), nothing.repeat(20_000)].concat()
}

/// Tells which request got its response first, where `slow` began before `READ`.
async fn first(stage: &Stage, begun: &Notify, slow: impl Future<Output = ()>) -> &'static str {
    let first = Mutex::new(None);
    let slow = async {
        slow.await;
        first.lock().expect("no panic").get_or_insert("slow");
    };
    let honest = async {
        begun.notified().await;
        assert_eq!(client::get(stage.address(), READ).await.status, 200);
        first.lock().expect("no panic").get_or_insert("honest");
    };
    tokio::join!(slow, honest);
    first.into_inner().expect("no panic").expect("an answer")
}

#[tokio::test]
async fn an_answer_of_many_empty_members_lets_others_through() {
    let begun = Arc::new(Notify::new());
    let begins = begun.clone();
    let body = Bytes::from(laborious());
    let upstream = Scripted::start(move |_, mut conversation| {
        let (begins, body) = (begins.clone(), body.clone());
        async move {
            while let Some(head) = conversation.request().await {
                if !head.starts_with("GET /Patient ") {
                    conversation.send(OK).await;
                    continue;
                }
                let mut stream = conversation.stream.into_std().expect("a stream");
                // On a thread of its own, so that there is always more to read.
                let answer = move || {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\n\
                         Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    stream.set_nonblocking(false)?;
                    stream.write_all(head.as_bytes())?;
                    begins.notify_one();
                    stream.write_all(&body)
                };
                let written = tokio::task::spawn_blocking(answer).await;
                written.expect("no panic").expect("a reader");
                return;
            }
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    let slow = async {
        let answer = client::get(stage.address(), SEARCH).await;
        assert_eq!((answer.status, answer.text()), (200, "{}"));
    };
    assert_eq!(first(&stage, &begun, slow).await, "honest");
}

#[tokio::test]
async fn an_upload_of_many_empty_members_lets_others_through() {
    let begun = Arc::new(Notify::new());
    let begins = begun.clone();
    let upstream = Scripted::start(move |_, mut conversation| {
        let begins = begins.clone();
        async move {
            while let Some(head) = conversation.request().await {
                if head.starts_with("PUT ") {
                    begins.notify_one();
                    let end = b"2\r\n{}\r\n0\r\n\r\n";
                    conversation.read_exactly(end).await;
                }
                conversation.send(OK).await;
            }
        }
    })
    .await;
    let stage = upstream.routed().start().await;
    let headers = [
        ("Content-Type", "application/fhir+json"),
        ("Content-Encoding", "gzip"),
    ];
    let body = laborious();
    let slow = async {
        let answer = client::request(stage.address(), "PUT", READ, &headers, &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    assert_eq!(first(&stage, &begun, slow).await, "honest");
}
