//! One listener: accepts connections, negotiates HTTP/1.1 or HTTP/2 by TLS, and passes requests to
//! a service. Without TLS it speaks HTTP/1.1. All tasks belong to the future that [`accept`]
//! returns. Dropping the future ends them.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::body::Body;

/// One connection of a client.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    severed: AtomicBool,
    sever: Notify,
}

impl Connection {
    /// Closes the socket without a word of TLS or HTTP, and never returns.
    pub(super) async fn cut(&self) -> ! {
        self.sever();
        std::future::pending().await
    }

    /// Does the same as [`Connection::cut`], for callers that cannot await.
    pub(super) fn sever(&self) {
        self.severed.store(true, Ordering::Relaxed);
        self.sever.notify_one();
    }

    /// Whether it was this side that closed the connection.
    pub(super) fn is_cut(&self) -> bool {
        self.severed.load(Ordering::Relaxed)
    }
}

/// Serves a listener for as long as the future is polled.
pub(super) async fn accept<S, F>(listener: TcpListener, tls: Option<TlsAcceptor>, service: S)
where
    S: Fn(Request<Incoming>, Arc<Connection>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, tls.clone(), service.clone()));
                }
                // Out of file descriptors, most likely: others must close first.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection<S, F>(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, service: S)
where
    S: Fn(Request<Incoming>, Arc<Connection>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return converse(stream, false, peer, service).await;
    };
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    converse(stream, http2, peer, service).await;
}

async fn converse<I, S, F>(stream: I, http2: bool, peer: SocketAddr, service: S)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Request<Incoming>, Arc<Connection>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let io = TokioIo::new(stream);
    let connection = Arc::new(Connection {
        peer,
        severed: AtomicBool::new(false),
        sever: Notify::new(),
    });
    let handle = service_fn({
        let connection = Arc::clone(&connection);
        move |request| {
            let answer = service(request, Arc::clone(&connection));
            async move { Ok::<_, Infallible>(answer.await) }
        }
    });

    let serve = async {
        if http2 {
            let _ = hyper::server::conn::http2::Builder::new(Tasks::default())
                .timer(TokioTimer::new())
                .max_header_list_size(64 * 1024)
                .initial_stream_window_size(1024 * 1024)
                .initial_connection_window_size(4 * 1024 * 1024)
                .serve_connection(io, handle)
                .await;
        } else {
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .max_headers(256)
                .serve_connection(io, handle)
                .await;
        }
    };
    tokio::select! {
        () = serve => {}
        () = connection.sever.notified() => {}
    }
}

/// Runs the streams of one HTTP/2 connection, and ends them with it.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, stream: F) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(stream);
    }
}
