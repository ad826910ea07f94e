//! A server that says what a test tells it to, once for each request, and then nothing.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::super::context::Context;

pub(super) struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    context: Context,
    _serving: JoinSet<()>,
}

impl Server {
    pub(super) async fn saying(responses: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let memory = heads.clone();
        let responses: Vec<String> = responses.into_iter().collect();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            for response in responses {
                let head = read_head(&mut stream).await;
                memory.lock().expect("no panic").push(head);
                stream.write_all(response.as_bytes()).await.expect("sent");
            }
            std::future::pending::<()>().await;
        });
        Self {
            address,
            heads,
            context: Context::for_tests(),
            _serving: serving,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of the requests so far; header names are in lower case.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }

    pub(super) fn context(&self) -> Context {
        self.context.clone()
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a request"));
    }
    String::from_utf8(head).expect("a text head")
}
