//! A client's compressed body as what it says: only in that can its links be changed.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use tokio::task::coop::consume_budget;

use super::{
    super::{
        decompress::{Coding, DecompressError, Decompressed},
        failure::Failure,
        replay,
    },
    client::{ClientBody, UploadError},
};
use crate::rewrite::Rewriter;

/// A compressed body. The limit of what a client may send is that of its content too.
#[derive(Debug)]
pub(in crate::proxy) struct DecompressedClient {
    body: Decompressed<ClientBody>,
    length: u64,
}

/// What becomes of a body that was looked through before it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Finding {
    /// Nothing in it changes.
    Same,
    /// The whole changed content.
    Changed(Bytes),
    /// Something changes, in more than may be replay.
    ChangedAndLarge,
}

impl DecompressedClient {
    pub(in crate::proxy) fn new(client: ClientBody, coding: Coding) -> Self {
        Self {
            body: Decompressed::new(client, coding),
            length: 0,
        }
    }

    pub(in crate::proxy) fn client(&self) -> &ClientBody {
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
            // Its head is on its way, and no longer says that it is compressed.
            Ok(_) if this.body.is_doubtful() => {
                Err(this.client().damaged(io::ErrorKind::InvalidData.into()))
            }
            Ok(frame) => {
                this.length += frame.data_ref().map_or(0, Bytes::len) as u64;
                this.client().check_length(this.length)?;
                Ok(frame)
            }
            Err(DecompressError::Body(error)) => Err(error),
            Err(DecompressError::Content(error)) => Err(this.client().damaged(error)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// Looks through a whole body that fits in memory; its content may be far larger.
pub(in crate::proxy) async fn look_through(
    body: Bytes,
    coding: Coding,
    mut rewriter: Rewriter,
    limit: u64,
) -> Result<Finding, Failure> {
    let mut content = Decompressed::new(Full::new(body), coding);
    let mut comparison = Comparison::default();
    let mut length = 0;
    while let Some(frame) = content.frame().await {
        let frame = frame.map_err(|_| Failure::damaged_body())?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len() as u64;
        if length > limit {
            return Err(Failure::body_too_large(limit));
        }
        comparison.given(&data);
        comparison.made(&rewriter.push(&data));
        // A small body may say so much that others would wait for long.
        consume_budget().await;
    }
    comparison.made(&rewriter.finish());
    Ok(comparison.finding())
}

/// Holds what a rewriter makes against what it is given, as far as both have come.
#[derive(Default)]
struct Comparison {
    /// What it was given and has not given out.
    ahead: BytesMut,
    differs: bool,
    /// All that it made, while that is little.
    made: BytesMut,
    is_large: bool,
}

impl Comparison {
    fn given(&mut self, bytes: &[u8]) {
        if !self.differs {
            self.ahead.extend_from_slice(bytes);
        }
    }

    fn made(&mut self, bytes: &[u8]) {
        if !self.differs {
            if self.ahead.starts_with(bytes) {
                self.ahead.advance(bytes.len());
            } else {
                self.differs = true;
                self.ahead = BytesMut::new();
            }
        }
        if self.is_large || self.made.len() + bytes.len() > replay::LIMIT {
            self.is_large = true;
            self.made = BytesMut::new();
        } else {
            self.made.extend_from_slice(bytes);
        }
    }

    fn finding(self) -> Finding {
        // What was given and never came out would be a difference as well.
        if !self.differs && self.ahead.is_empty() {
            Finding::Same
        } else if self.is_large {
            Finding::ChangedAndLarge
        } else {
            Finding::Changed(self.made.freeze())
        }
    }
}
