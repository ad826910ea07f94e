//! An upstream that does with each connection exactly what a test says, over plain TCP.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::Setup;
use azure_emulator::FHIR_AUDIENCE;

/// A server whose connections each run a script.
#[derive(Debug)]
pub(crate) struct Scripted {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

/// One connection of it.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) stream: TcpStream,
    buffer: BytesMut,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Runs `script` for every connection, with its number, counted from 0.
    pub(crate) async fn start<F, T>(script: F) -> Self
    where
        F: Fn(usize, Conversation) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let memory = heads.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut conversations = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.expect("a connection");
                conversations.spawn(script(
                    number,
                    Conversation {
                        stream,
                        buffer: BytesMut::new(),
                        heads: memory.clone(),
                    },
                ));
            }
        });
        Self {
            address,
            heads,
            _serving: serving,
        }
    }

    /// Sends these bytes to every request, and keeps its connections open.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::start(move |_, mut conversation| {
            let answer = answer.clone();
            async move {
                while conversation.request().await.is_some() {
                    conversation.send(&answer).await;
                }
            }
        })
        .await
    }

    /// The address on which it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of all requests so far, byte for byte (as Latin-1).
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no test panics here").clone()
    }

    /// A setup with a route `/plain` to this server.
    pub(crate) fn routed(&self) -> Setup {
        Setup::new().with("routes.plain", route_to(self.address))
    }
}

/// The lines of a FHIR route to any loopback address over plain HTTP.
pub(crate) fn route_to(address: SocketAddr) -> String {
    format!("upstream = \"http://{address}\"\nkind = \"fhir\"\naudience = \"{FHIR_AUDIENCE}\"")
}

impl Conversation {
    /// Reads a request's head; `None` when the proxy has closed the connection.
    pub(crate) async fn request(&mut self) -> Option<String> {
        loop {
            let end = self.buffer.windows(4).position(|w| w == b"\r\n\r\n");
            if let Some(end) = end {
                let head: String = self
                    .buffer
                    .split_to(end + 4)
                    .iter()
                    .map(|byte| char::from(*byte))
                    .collect();
                self.heads
                    .lock()
                    .expect("no test panics here")
                    .push(head.clone());
                return Some(head);
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Reads exactly these bytes.
    pub(crate) async fn read_exactly(&mut self, expected: &[u8]) {
        while self.buffer.len() < expected.len() {
            let count = self.stream.read_buf(&mut self.buffer).await;
            assert!(count.expect("more to read") > 0, "{:?}", self.buffer);
        }
        assert_eq!(self.buffer.split_to(expected.len()), expected);
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The proxy may have gone already; what it made of that is the test's business.
        let _ = self.stream.write_all(bytes).await;
    }
}
