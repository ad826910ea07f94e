//! One connection, from its first byte to its end. The first bytes decide between HTTP/1.1 and
//! HTTP/2, over TLS too.

use std::{convert::Infallible, pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service as _, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    active,
    closing::close_requested,
    connections::Member,
    handler::Handler,
    io::Io,
    limits::{Limits, STREAM_WINDOW},
    listener::Accepted,
    refused_head,
    request_body::RequestBody,
    response_body::ResponseBody,
    stop::stopped,
    stream_timeout::{StreamExecutor, TimedBody},
    target::CutTarget,
    write_progress::WriteProgress,
};

/// The bytes that an HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const CONNECTION_WINDOW: u32 = 4 << 20;
const MAX_STREAMS: u32 = 256;

pub(super) async fn run<H: Handler>(
    accepted: Accepted,
    mut member: Member,
    handler: H,
    limits: Limits,
    stop: watch::Receiver<bool>,
) {
    let handler = handler.for_peer(accepted.peer());
    let deadline = Instant::now() + limits.head_timeout;
    let mut stopping = stop.clone();
    let opened = async {
        let mut stream = accepted.open().await?;
        let first = first_bytes(&mut stream).await?;
        std::io::Result::Ok((stream, first))
    };
    let opened = tokio::select! {
        opened = timeout_at(deadline, opened) => opened,
        () = stopped(&mut stopping) => return,
        () = member.evicted() => return,
    };
    let Ok(Ok((stream, first))) = opened else {
        return;
    };
    if first.is_empty() {
        return;
    }
    let is_http2 = first.starts_with(PREFACE);
    let active = member.active.clone();
    if is_http2 {
        active.set_http2();
    }
    let write_progress = WriteProgress::default();
    let io = TokioIo::new(Io::new(
        stream,
        first,
        active.clone(),
        write_progress.clone(),
        limits,
        is_http2,
        deadline,
    ));
    let requests = active.clone();
    let progress = write_progress.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let begun = requests.begin();
        let version = request.version();
        let request = request.map(|body| RequestBody::new(body, version, &requests));
        respond(handler.clone(), request, begun, progress.clone())
    });
    if is_http2 {
        let service = service_fn(move |request| {
            let response = service.call(request);
            async { response.await.map(|response| response.map(TimedBody::new)) }
        });
        let streams = StreamExecutor {
            timeout: limits.write_timeout,
        };
        let connection = http2::Builder::new(streams)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX))
            .keep_alive_interval(Duration::from_secs(30))
            .serve_connection(io, service);
        let mut connection = pin!(connection);
        let closing = tokio::select! {
            _ = write_progress.drive(&mut connection) => return,
            closing = close_requested(&mut stopping, &mut member) => closing,
        };
        if closing.is_orderly(&active) {
            connection.as_mut().graceful_shutdown();
            // An error only ends the connection, and the client notices that, too.
            let _ = closing
                .end(write_progress.drive(&mut connection), &active)
                .await;
        }
        return;
    }
    let mut connection = http1::Builder::new()
        .max_buf_size(limits.max_head)
        .max_headers(refused_head::MAX_HEADERS)
        .header_read_timeout(None)
        .serve_connection(io, service);
    let result = tokio::select! {
        result = write_progress.drive(&mut connection) => result,
        closing = close_requested(&mut stopping, &mut member) => {
            if !closing.is_orderly(&active) {
                return;
            }
            if !active.any() {
                active.stop();
            }
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            match closing.end(write_progress.drive(&mut connection), &active).await {
                Some(result) => result,
                None => return,
            }
        }
    };
    if result.is_err() {
        let io = connection.into_parts().io.into_inner();
        end_broken(io, &write_progress).await;
    }
}

/// Ends a failed HTTP/1.1 connection, so that the client can tell a broken response from a complete
/// one.
async fn end_broken(mut io: Io, write_progress: &WriteProgress) {
    if io.too_slow()
        && let Some(response) = refused_head::refuse(StatusCode::REQUEST_TIMEOUT, None)
    {
        // hyper closes such a connection without a response. Only one write is tried, since the
        // client has already been too slow.
        let _ = io.write_all(&response).await;
        let _ = io.shutdown().await;
    } else if write_progress.has_broken_off() {
        if write_progress.ends_with_connection() {
            io.reset();
        } else {
            // Without this, a client that is still sending would lose the part of the response that
            // was written.
            let _ = io.shutdown().await;
        }
    }
}

/// Reads until the bytes show whether the client speaks HTTP/2. Returns no bytes if the client sent
/// none.
async fn first_bytes(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Bytes> {
    let mut first = BytesMut::with_capacity(4096);
    loop {
        let before = first.len();
        stream.read_buf(&mut first).await?;
        let known = first.len().min(PREFACE.len());
        if first.len() == before || first[..known] != PREFACE[..known] {
            break;
        }
        if first.len() >= PREFACE.len() {
            break;
        }
    }
    Ok(first.freeze())
}

async fn respond<H: Handler>(
    handler: H,
    mut request: Request<RequestBody>,
    active: active::Request,
    write_progress: WriteProgress,
) -> Result<Response<ResponseBody<H::Body>>, Infallible> {
    write_progress.set_version(request.version());
    if active.may_be_cut(&request) {
        request.extensions_mut().insert(CutTarget);
    }
    let response = handler.handle(request).await;
    Ok(response.map(|body| ResponseBody::new(body, active, write_progress)))
}
