//! What is left of a response's body, found in what has been received (RFC 9112, section 6.3).

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::{
    Broken,
    chunked::{ChunkedDecoder, Found},
    response::Length,
};

/// What is still to come.
#[derive(Debug)]
pub enum BodyDecoder {
    /// So many bytes.
    Known(u64),
    /// Chunks.
    Chunked(ChunkedDecoder),
    /// Whatever comes until the connection is closed.
    UntilClose,
    /// It has ended.
    Nothing,
}

impl BodyDecoder {
    /// All of a body.
    pub fn new(length: Length) -> Self {
        match length {
            Length::Known(0) => Self::Nothing,
            Length::Known(length) => Self::Known(length),
            Length::Chunked => Self::Chunked(ChunkedDecoder::new()),
            Length::UntilClose => Self::UntilClose,
        }
    }

    /// Whether it has ended.
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

    /// Takes the next part off what has been received. `None` at the end, and where more has to be
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

    /// The connection was closed. Of some bodies that is the end, of others it is a loss.
    pub fn close(&mut self) -> Result<(), Broken> {
        if !matches!(self, Self::UntilClose) {
            return Err(Broken::Closed);
        }
        *self = Self::Nothing;
        Ok(())
    }
}
