//! An HTTP/1.1 client that runs in the task of the request: nothing is handed from one task to
//! another, which is where a general client spends much of its time on small answers.

mod chunked;
mod reading;
mod relay;
mod request;
mod response;
mod upload;
mod wire;

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use super::{PoolBody, SendError};
use response::Head;
use upload::{Upload, UploadError};

pub(super) use reading::Reading;
pub(super) use relay::Relayed;
pub(super) use wire::Wire;

/// What became of a response that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the connection was closed")]
    Closed,
    #[error("what came is not HTTP/1.1")]
    Protocol,
    #[error(transparent)]
    Io(io::Error),
}

/// Where a response's body is.
#[derive(Debug)]
pub(super) enum Body {
    /// Here, and the connection is done with it; it is there if another request can go over it.
    Whole(Bytes, Option<Box<Wire>>),
    Coming(Reading),
    /// The request is not out yet.
    Early(Relayed),
}

/// A request that got no response.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) error: SendError,
    /// The connection ended before a byte of a response. The server may have acted all the same.
    pub(super) is_silent: bool,
}

/// Sends a request, whose target is path and query alone, and waits for the response's head.
/// `keep` gets the connection where it outlives the response.
pub(super) async fn send<B: PoolBody>(
    mut wire: Box<Wire>,
    head: &Request<()>,
    body: B,
    host: &HeaderValue,
    keep: impl FnOnce(Box<Wire>) + Send + 'static,
) -> Result<Response<Body>, Unanswered> {
    let upload = Upload::new(head, body, host, &mut wire);
    let mut exchange = Exchange {
        wire: &mut wire,
        method: head.method(),
        upload: Some(upload),
        seen: 0,
    };
    let head = poll_fn(|cx| exchange.poll(cx)).await?;
    let upload = exchange.upload;
    let mut reading = Reading::new(wire, head.length, head.keeps_alive);
    let body = if let Some(upload) = upload {
        Body::Early(relay::start(reading, upload, keep))
    } else if let Some(whole) = reading.take_received() {
        Body::Whole(whole, reading.into_wire())
    } else {
        Body::Coming(reading)
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.version_mut() = head.version;
    *response.headers_mut() = head.headers;
    if let Some(reason) = head.reason {
        response.extensions_mut().insert(reason);
    }
    Ok(response)
}

struct Exchange<'a, B: PoolBody> {
    wire: &'a mut Wire,
    method: &'a Method,
    /// `None` once it is out.
    upload: Option<Upload<B>>,
    /// Bytes of the response's head that are known not to be all of it.
    seen: usize,
}

impl<B: PoolBody> Exchange<'_, B> {
    /// Writes the request and waits for the final response's head, whichever comes first.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Unanswered>> {
        if let Some(upload) = &mut self.upload {
            match upload.poll(self.wire, cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.upload = None,
                Poll::Ready(Err(UploadError::Body)) => {
                    return Poll::Ready(Err(SendError::RequestBody.into()));
                }
                Poll::Ready(Err(UploadError::Io(error))) => {
                    return Poll::Ready(Err(self.unanswered(Broken::Io(error))));
                }
            }
        }
        loop {
            match self.poll_head(cx) {
                Poll::Ready(Ok(head)) if is_interim(&head) => self.seen = 0,
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(self.unanswered(broken))),
                Poll::Ready(Ok(head)) => return Poll::Ready(Ok(head)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Broken>> {
        loop {
            let received = &mut self.wire.received;
            if received.len() > self.seen {
                let head = response::take_head(received, self.seen, self.method)?;
                if let Some(head) = head {
                    return Poll::Ready(Ok(head));
                }
                self.seen = received.len();
            }
            if ready!(self.wire.poll_receive(cx)).map_err(Broken::Io)? == 0 {
                return Poll::Ready(Err(Broken::Closed));
            }
        }
    }

    fn unanswered(&self, broken: Broken) -> Unanswered {
        let is_cut = match &broken {
            Broken::Closed => true,
            Broken::Protocol => false,
            Broken::Io(error) => is_cut(error),
        };
        Unanswered {
            is_silent: is_cut && self.wire.received.is_empty(),
            error: match broken {
                Broken::Protocol => SendError::Protocol,
                Broken::Closed | Broken::Io(_) => SendError::Closed,
            },
        }
    }
}

impl From<SendError> for Unanswered {
    fn from(error: SendError) -> Self {
        Self {
            error,
            is_silent: false,
        }
    }
}

/// Says that the final response is still to come (RFC 9110, section 15.2).
fn is_interim(head: &Head) -> bool {
    head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS
}

/// Whether the other side ended the connection, with TLS's or TCP's farewell or without.
fn is_cut(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
    )
}
