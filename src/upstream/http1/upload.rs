//! Sends a request: the head, then the body as it comes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body::Body as _;

use super::{
    super::request_body::{RequestBody, SourceError},
    request::{self, Framing},
    wire::Wire,
};

const LINE_END: &[u8] = b"\r\n";

/// The rest of a request to be sent.
pub(super) struct Upload {
    body: RequestBody,
    framing: Framing,
    /// The part of the body that is being written.
    data: Option<Bytes>,
    end: &'static [u8],
    is_all_read: bool,
    /// The number of parts of the body so far.
    parts: u64,
}

/// The reason why a request was not written to its end.
#[derive(Debug)]
pub(super) enum UploadError {
    Body(SourceError),
    Io(io::Error),
}

/// The body has another length than the head says.
#[derive(Debug, thiserror::Error)]
#[error("the request's body does not have the length of its head")]
struct WrongLength;

impl From<WrongLength> for UploadError {
    fn from(error: WrongLength) -> Self {
        Self::Body(error.into())
    }
}

impl Upload {
    /// Builds the head. Nothing is written yet.
    pub(super) fn new(
        head: &Request<()>,
        body: RequestBody,
        host: &HeaderValue,
        wire: &mut Wire,
    ) -> Self {
        let framing = request::write_head(head, &body, host, wire.framed.end());
        Self {
            body,
            is_all_read: framing == Framing::Length(0),
            framing,
            data: None,
            end: b"",
            parts: 0,
        }
    }

    /// The number of parts of the body that have come.
    pub(super) fn parts(&self) -> u64 {
        self.parts
    }

    /// Writes the bytes that have come. Ready once the whole request is written.
    pub(super) fn poll(
        &mut self,
        wire: &mut Wire,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            // Read first, so that the head and the start of the body are written together.
            let is_waiting = self.data.is_none() && !self.is_all_read && self.read(wire, cx)?;
            match &mut self.data {
                Some(data) => ready!(wire.poll_write(cx, data, &mut self.end)),
                None => ready!(wire.poll_write(cx, &mut Bytes::new(), &mut self.end)),
            }
            .map_err(UploadError::Io)?;
            self.data = None;
            if self.is_all_read {
                return wire.poll_flush(cx).map_err(UploadError::Io);
            }
            if is_waiting {
                if let Poll::Ready(Err(error)) = wire.poll_flush(cx) {
                    return Poll::Ready(Err(UploadError::Io(error)));
                }
                return Poll::Pending;
            }
        }
    }

    /// Reads the next part of the body. Returns whether it is still to come.
    fn read(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<bool, UploadError> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return Ok(true),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => self.write_data(data, wire)?,
                Err(frame) => self.write_end(frame.into_trailers().ok().as_ref(), wire)?,
            },
            Poll::Ready(None) => self.write_end(None, wire)?,
            Poll::Ready(Some(Err(error))) => return Err(UploadError::Body(error)),
        }
        Ok(false)
    }

    fn write_data(&mut self, data: Bytes, wire: &mut Wire) -> Result<(), UploadError> {
        let length = data.len();
        if length == 0 {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(length as u64).ok_or(WrongLength)?;
                self.is_all_read = *left == 0;
            }
            Framing::Chunked => {
                let size = format!("{length:x}\r\n");
                wire.framed.end().extend_from_slice(size.as_bytes());
                self.end = LINE_END;
            }
        }
        self.data = Some(data);
        self.parts += 1;
        Ok(())
    }

    fn write_end(
        &mut self,
        trailers: Option<&HeaderMap>,
        wire: &mut Wire,
    ) -> Result<(), UploadError> {
        if self.framing != Framing::Chunked {
            return Err(WrongLength.into());
        }
        let out = wire.framed.end();
        out.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.into_iter().flatten() {
            request::write_field(name, value, out);
        }
        out.extend_from_slice(LINE_END);
        self.is_all_read = true;
        Ok(())
    }
}
