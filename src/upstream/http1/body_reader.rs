//! A response's body on its way in.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Broken, body_decoder::BodyDecoder, response::Length, wire::Wire};

/// What is left of a response, and the connection that it comes over.
#[derive(Debug)]
pub(in super::super) struct BodyReader {
    wire: Box<Wire>,
    rest: BodyDecoder,
    keeps_alive: bool,
}

impl BodyReader {
    pub(super) fn new(wire: Box<Wire>, length: Length, keeps_alive: bool) -> Self {
        Self {
            wire,
            rest: BodyDecoder::new(length),
            keeps_alive,
        }
    }

    /// The rest, where it has been received as a whole.
    pub(super) fn take_received(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.rest.size_hint().exact()?).ok()?;
        (length <= self.wire.received.len()).then(|| {
            self.rest = BodyDecoder::Nothing;
            self.wire.received.split_to(length).freeze()
        })
    }

    pub(super) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    pub(super) fn keeps_alive(&self) -> bool {
        self.keeps_alive
    }

    /// Takes no other request over this connection.
    pub(super) fn close(&mut self) {
        self.keeps_alive = false;
    }

    pub(in super::super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(self.poll_next(cx));
        if frame.is_err() {
            self.close();
            self.rest = BodyDecoder::Nothing;
        }
        Poll::Ready(frame.transpose())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Broken>> {
        loop {
            let frame = self.rest.take(&mut self.wire.received)?;
            if frame.is_some() || self.is_end() {
                return Poll::Ready(Ok(frame));
            }
            if ready!(self.wire.poll_receive(cx)).map_err(Broken::Io)? == 0 {
                self.rest.close()?;
            }
        }
    }

    pub(in super::super) fn is_end(&self) -> bool {
        self.rest.is_end()
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        self.rest.size_hint()
    }

    /// The connection, if it may take another request now that this response has ended. More than the
    /// response may have come over it.
    pub(in super::super) fn into_wire(mut self) -> Option<Box<Wire>> {
        let is_reusable = self.is_end() && self.keeps_alive;
        is_reusable.then(|| {
            self.wire.shrink();
            self.wire
        })
    }
}
