//! A stream that a connection refuses (`REFUSED_STREAM`) is tried on another connection, and many of them
//! at once open no crowd of connections.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::task::JoinSet;

use super::{PATH, PATIENT, Processed, over_http2};
use crate::support::{
    client,
    frames::{Frames, REFUSED_STREAM},
    scripted::Scripted,
};

/// The connections that the proxy opens to one upstream.
const MOST: usize = 4;

/// Refuses all streams of its first connections, once `together` have come to each, and processes those
/// of the others. Counts connections.
async fn refusing_on(first: usize, together: usize) -> (Scripted, Processed, Arc<AtomicUsize>) {
    let processed = Processed::default();
    let connections = Arc::<AtomicUsize>::default();
    let (seen, opened) = (processed.clone(), connections.clone());
    let upstream = Scripted::start(move |number, conversation| {
        opened.fetch_add(1, Ordering::SeqCst);
        let processed = seen.clone();
        async move {
            if number >= first {
                return processed.serve(conversation.stream).await;
            }
            let mut frames = Frames::accept(conversation.stream).await;
            let mut waiting = Vec::new();
            while let Some((stream, _)) = frames.request().await {
                waiting.push(stream);
                if waiting.len() >= together {
                    for stream in waiting.drain(..) {
                        frames.reset(stream, REFUSED_STREAM).await;
                    }
                }
            }
        }
    });
    (upstream.await, processed, connections)
}

#[tokio::test]
async fn a_connection_that_refuses_every_stream_is_not_the_only_one_asked() {
    for first in 1..MOST {
        let (upstream, processed, connections) = refusing_on(first, 1).await;
        let stage = over_http2(&upstream).start().await;
        for count in 1..=2 {
            let answer = client::request(stage.address(), "POST", PATH, &[], PATIENT).await;
            assert_eq!(answer.status, 200, "{first}: {answer:?}");
            assert_eq!(processed.all().len(), count);
        }
        assert_eq!(connections.load(Ordering::SeqCst), first + 1);
    }
}

#[tokio::test]
async fn many_that_are_refused_together_share_the_next_connection() {
    const REQUESTS: usize = 16;
    for first in [1, 2] {
        let (upstream, processed, connections) = refusing_on(first, REQUESTS).await;
        let stage = over_http2(&upstream).start().await;
        let address = stage.address();
        let mut requests = JoinSet::new();
        for _ in 0..REQUESTS {
            requests
                .spawn(async move { client::request(address, "POST", PATH, &[], PATIENT).await });
        }
        for answer in requests.join_all().await {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert_eq!(processed.all().len(), REQUESTS);
        assert_eq!(connections.load(Ordering::SeqCst), first + 1);
    }
}

#[tokio::test]
async fn a_server_that_refuses_on_every_connection_gets_a_few() {
    let (upstream, _, connections) = refusing_on(usize::MAX, 1).await;
    let stage = over_http2(&upstream).start().await;
    for _ in 0..3 {
        let answer = client::request(stage.address(), "POST", PATH, &[], PATIENT).await;
        assert_eq!(answer.status, 502, "{answer:?}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), MOST);
}
