//! A response's body on its way in.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{
    Broken,
    chunked::{Chunks, Found},
    response::Length,
    wire::Wire,
};

/// What is left of a response, and the connection that it comes over.
#[derive(Debug)]
pub(in super::super) struct Reading {
    wire: Box<Wire>,
    rest: Rest,
    keeps_alive: bool,
}

#[derive(Debug)]
enum Rest {
    Known(u64),
    Chunked(Chunks),
    UntilClose,
    Nothing,
}

impl Reading {
    pub(super) fn new(wire: Box<Wire>, length: Length, keeps_alive: bool) -> Self {
        Self {
            wire,
            rest: match length {
                Length::Known(0) => Rest::Nothing,
                Length::Known(length) => Rest::Known(length),
                Length::Chunked => Rest::Chunked(Chunks::new()),
                Length::UntilClose => Rest::UntilClose,
            },
            keeps_alive,
        }
    }

    /// The rest, where it has been received as a whole.
    pub(super) fn take_received(&mut self) -> Option<Bytes> {
        let length = match self.rest {
            Rest::Known(length) => length,
            Rest::Nothing => 0,
            Rest::Chunked(_) | Rest::UntilClose => return None,
        };
        let length = usize::try_from(length).ok()?;
        (length <= self.wire.received.len()).then(|| {
            self.rest = Rest::Nothing;
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
        loop {
            match self.take_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Err(broken) => return Poll::Ready(Some(Err(self.give_up(broken)))),
                Ok(None) if self.is_end() => return Poll::Ready(None),
                Ok(None) => {}
            }
            let is_until_close = matches!(self.rest, Rest::UntilClose);
            match ready!(self.wire.poll_receive(cx)) {
                Ok(0) if is_until_close => self.rest = Rest::Nothing,
                Ok(0) => return Poll::Ready(Some(Err(self.give_up(Broken::Closed)))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(self.give_up(Broken::Io(error))))),
            }
        }
    }

    pub(in super::super) fn is_end(&self) -> bool {
        matches!(self.rest, Rest::Nothing)
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        match self.rest {
            Rest::Known(left) => SizeHint::with_exact(left),
            Rest::Nothing => SizeHint::with_exact(0),
            Rest::Chunked(_) | Rest::UntilClose => SizeHint::default(),
        }
    }

    /// The connection, if it can take another request now that this response has ended.
    pub(in super::super) fn into_wire(mut self) -> Option<Box<Wire>> {
        let is_reusable = self.is_end() && self.keeps_alive && self.wire.received.is_empty();
        is_reusable.then(|| {
            self.wire.rest();
            self.wire
        })
    }

    /// What has been received already.
    fn take_frame(&mut self) -> Result<Option<Frame<Bytes>>, Broken> {
        let received = &mut self.wire.received;
        match &mut self.rest {
            Rest::Nothing => Ok(None),
            Rest::Known(_) | Rest::UntilClose if received.is_empty() => Ok(None),
            Rest::UntilClose => Ok(Some(Frame::data(received.split().freeze()))),
            Rest::Known(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX);
                let data = received.split_to(count.min(received.len())).freeze();
                *left -= data.len() as u64;
                if *left == 0 {
                    self.rest = Rest::Nothing;
                }
                Ok(Some(Frame::data(data)))
            }
            Rest::Chunked(chunks) => {
                let frame = match chunks.take(received)? {
                    Found::Incomplete => return Ok(None),
                    Found::End => None,
                    Found::Trailers(trailers) => Some(Frame::trailers(trailers)),
                    Found::Data(data) => {
                        if chunks.ends_with(received) {
                            self.rest = Rest::Nothing;
                        }
                        return Ok(Some(Frame::data(data)));
                    }
                };
                self.rest = Rest::Nothing;
                Ok(frame)
            }
        }
    }

    fn give_up(&mut self, broken: Broken) -> Broken {
        self.keeps_alive = false;
        self.rest = Rest::Nothing;
        broken
    }
}
