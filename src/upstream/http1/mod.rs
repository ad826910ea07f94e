//! An HTTP/1.1 client (RFC 9112) that runs in the task of the request. Passing a request to another
//! task and back takes much of a general client's time for a small response. HTTP/2, whose requests
//! share a connection, uses hyper's tasks.

mod body_decoder;
mod body_reader;
mod broken;
mod chunked;
mod early_response;
mod pooled;
#[cfg(test)]
mod properties;
mod request;
mod response;
mod upload;
mod wire;

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};

use super::{RequestBody, SendError};
use upload::{Upload, UploadError};

pub use body_decoder::BodyDecoder;
pub use broken::Broken;
pub use response::{Head, HeadParser, Length};

pub(super) use body_reader::BodyReader;
pub(super) use early_response::EarlyBody;
pub(super) use pooled::{PooledWire, WirePool};
pub(super) use wire::{Condition, Wire};

/// A response's body.
pub(super) enum Body {
    /// The whole body has been received.
    Whole(Bytes),
    Coming(BodyReader),
    /// The response began before its request was sent.
    Early(EarlyBody),
}

/// A request that got no response.
#[derive(Debug)]
pub(super) struct NoResponse {
    pub(super) error: SendError,
    /// The connection ended before a byte of a response. The server may have acted on the request.
    pub(super) is_silent: bool,
    /// The first bytes that came are not HTTP.
    pub(super) is_garbled: bool,
}

/// Sends a request, whose target is path and query alone, and waits for the response's head.
pub(super) async fn send(
    mut wire: PooledWire,
    head: &Request<()>,
    body: RequestBody,
    host: &HeaderValue,
) -> Result<Response<Body>, NoResponse> {
    let upload = Upload::new(head, body, host, &mut wire);
    let mut exchange = Exchange {
        wire: &mut wire,
        parser: HeadParser::new(head.method()),
        upload: Some(upload),
    };
    let head = poll_fn(|cx| exchange.poll(cx)).await?;
    let is_first = exchange.parser.is_first();
    let upload = exchange.upload;
    wire.set_hold_back(upload.is_some() || head.is_bodiless);
    let mut reader = BodyReader::new(wire, head.length, head.keeps_alive);
    let body = if let Some(upload) = upload {
        Body::Early(early_response::start(reader, upload))
    } else {
        reader.set_request_sent();
        match reader.take_received() {
            Some(whole) => Body::Whole(whole),
            None => Body::Coming(reader),
        }
    };
    let mut response = Response::new(body);
    if head.status == StatusCode::REQUEST_TIMEOUT && !head.keeps_alive && is_first {
        response.extensions_mut().insert(IdleTimeout);
    }
    *response.status_mut() = head.status;
    *response.version_mut() = head.version;
    *response.headers_mut() = head.headers;
    if let Some(reason) = head.reason {
        response.extensions_mut().insert(reason);
    }
    Ok(response)
}

/// Marks a 408 that ends an idle connection: the server got no request in time (RFC 9110, section 15.5.9).
#[derive(Debug, Clone, Copy)]
struct IdleTimeout;

/// Whether a response may have been sent before the request arrived on the idle connection.
pub(super) fn is_idle_timeout<T>(response: &Response<T>) -> bool {
    response.status() == StatusCode::REQUEST_TIMEOUT
        && response.extensions().get::<IdleTimeout>().is_some()
}

struct Exchange<'a> {
    wire: &'a mut Wire,
    parser: HeadParser<'a>,
    /// The request. `None` once it is sent.
    upload: Option<Upload>,
}

impl Exchange<'_> {
    /// Writes the request and waits for the final response's head, whichever comes first.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, NoResponse>> {
        if let Some(upload) = &mut self.upload {
            match upload.poll(self.wire, cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.upload = None,
                Poll::Ready(Err(UploadError::Body(source))) => {
                    return Poll::Ready(Err(SendError::RequestBody(source).into()));
                }
                Poll::Ready(Err(UploadError::Io(error))) => {
                    return Poll::Ready(Err(self.no_response(&Broken::Io(error))));
                }
            }
        }
        let head = ready!(self.poll_head(cx));
        Poll::Ready(head.map_err(|broken| self.no_response(&broken)))
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Broken>> {
        loop {
            if let Some(head) = self.parser.take(&mut self.wire.received)? {
                return Poll::Ready(Ok(head));
            }
            if ready!(self.wire.poll_receive(cx)).map_err(Broken::Io)? == 0 {
                return Poll::Ready(Err(Broken::Closed));
            }
        }
    }

    fn no_response(&self, broken: &Broken) -> NoResponse {
        NoResponse {
            is_silent: broken.is_cut() && !self.parser.has_begun(),
            is_garbled: matches!(broken, Broken::Protocol) && !self.parser.has_begun(),
            error: match broken {
                Broken::Protocol => SendError::Protocol,
                Broken::Closed | Broken::Io(_) => SendError::Closed,
            },
        }
    }
}

impl From<SendError> for NoResponse {
    fn from(error: SendError) -> Self {
        Self {
            error,
            is_silent: false,
            is_garbled: false,
        }
    }
}
