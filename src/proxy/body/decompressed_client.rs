//! A client's compressed body, decompressed so that its links can be rewritten.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::{
    super::decompress::{Coding, DecompressError, Decompressed},
    client::{ClientBody, UploadError},
};

/// A decompressed body. `limits.request_body` also limits its content, since a small compressed
/// body may contain very much.
#[derive(Debug)]
pub(in crate::proxy) struct DecompressedClient {
    body: Decompressed<ClientBody>,
    length: u64,
}

impl DecompressedClient {
    pub(super) fn new(client: ClientBody, coding: Coding) -> Self {
        Self {
            body: Decompressed::new(client, coding),
            length: 0,
        }
    }

    pub(super) fn client(&self) -> &ClientBody {
        self.body.inner()
    }
}

impl Body for DecompressedClient {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => {
                this.length += frame.data_ref().map_or(0, Bytes::len) as u64;
                this.client().check_length(this.length)?;
                Ok(frame)
            }
            Err(DecompressError::Body(error)) => Err(error),
            Err(DecompressError::Content(error)) => Err(UploadError::Content(error)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
