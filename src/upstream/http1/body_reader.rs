//! The body of a response as it arrives.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Broken, body_decoder::BodyDecoder, pooled::PooledWire, response::Length, wire::Wire};

/// The rest of a response, and the connection it arrives on.
#[derive(Debug)]
pub(in super::super) struct BodyReader {
    wire: PooledWire,
    decoder: BodyDecoder,
    keeps_alive: bool,
    is_request_sent: bool,
}

impl BodyReader {
    pub(super) fn new(wire: PooledWire, length: Length, keeps_alive: bool) -> Self {
        Self {
            wire,
            decoder: BodyDecoder::new(length),
            keeps_alive,
            is_request_sent: false,
        }
    }

    /// The rest, if all of it has been received.
    pub(super) fn take_received(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.decoder.size_hint().exact()?).ok()?;
        (length <= self.wire.received.len()).then(|| {
            self.decoder = BodyDecoder::Nothing;
            self.settle();
            self.wire.received.split_to(length).freeze()
        })
    }

    pub(super) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    pub(super) fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// Keeps the connection from serving another request.
    pub(super) fn close(&mut self) {
        self.keeps_alive = false;
    }

    pub(super) fn set_request_sent(&mut self) {
        self.is_request_sent = true;
        self.settle();
    }

    /// Returns the connection to its pool once the request is sent and the response received. The
    /// pool checks whether more bytes than the response have come over the connection.
    fn settle(&mut self) {
        if self.is_request_sent && self.is_end() && self.keeps_alive {
            self.wire.set_reusable();
        }
    }

    pub(in super::super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(self.poll_next(cx));
        if frame.is_err() {
            self.close();
            self.decoder = BodyDecoder::Nothing;
        }
        self.settle();
        Poll::Ready(frame.transpose())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Broken>> {
        loop {
            let frame = self.decoder.take(&mut self.wire.received)?;
            if frame.is_some() || self.is_end() {
                return Poll::Ready(Ok(frame));
            }
            if ready!(self.wire.poll_receive(cx)).map_err(Broken::Io)? == 0 {
                self.decoder.close()?;
            }
        }
    }

    pub(in super::super) fn is_end(&self) -> bool {
        self.decoder.is_end()
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }
}
