//! Finds a response's body in the bytes that have been received (RFC 9112, section 6.3).

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::{
    Broken,
    chunked::{ChunkedDecoder, Found},
    response::Length,
};

/// The part of the body that is still to come.
#[derive(Debug)]
pub enum BodyDecoder {
    /// This number of bytes.
    Known(u64),
    /// Chunks.
    Chunked(ChunkedDecoder),
    /// All bytes until the connection is closed.
    UntilClose,
    /// The body has ended.
    Nothing,
}

impl BodyDecoder {
    /// A decoder for a whole body of this length.
    pub fn new(length: Length) -> Self {
        match length {
            Length::Known(0) => Self::Nothing,
            Length::Known(length) => Self::Known(length),
            Length::Chunked => Self::Chunked(ChunkedDecoder::new()),
            Length::UntilClose => Self::UntilClose,
        }
    }

    /// Whether the body has ended.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Known(left) => SizeHint::with_exact(*left),
            Self::Nothing => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }

    /// Takes the next part from the received bytes. `None` at the end, and while more bytes must be
    /// received first.
    pub fn take(&mut self, received: &mut BytesMut) -> Result<Option<Frame<Bytes>>, Broken> {
        let frame = match self {
            Self::Nothing => None,
            Self::Known(_) | Self::UntilClose if received.is_empty() => None,
            Self::UntilClose => Some(Frame::data(received.split().freeze())),
            Self::Known(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX);
                let data = received.split_to(count.min(received.len())).freeze();
                *left -= data.len() as u64;
                if *left == 0 {
                    *self = Self::Nothing;
                }
                Some(Frame::data(data))
            }
            Self::Chunked(chunks) => {
                let (frame, is_end) = match chunks.take(received)? {
                    Found::Incomplete => (None, false),
                    Found::End => (None, true),
                    Found::Trailers(trailers) => (Some(Frame::trailers(trailers)), true),
                    Found::Data(data) => (Some(Frame::data(data)), chunks.ends_with(received)),
                };
                if is_end {
                    *self = Self::Nothing;
                }
                frame
            }
        };
        Ok(frame)
    }

    /// Notes that the connection was closed. This ends a body without a length, and truncates
    /// others.
    pub fn close(&mut self) -> Result<(), Broken> {
        if !matches!(self, Self::UntilClose) {
            return Err(Broken::Closed);
        }
        *self = Self::Nothing;
        Ok(())
    }
}
