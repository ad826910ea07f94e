//! Rewrites a body that is in memory, and finds out whether anything in it changes.

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use tokio::task::coop::consume_budget;

use super::{
    super::{
        decompress::{Coding, DecompressError, Decompressed},
        replay,
    },
    client::UploadError,
};
use crate::rewrite::Rewriter;

/// The result of rewriting a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Nothing changes.
    Same,
    /// The whole new content.
    Changed(Bytes),
    /// Something changes, and the content is larger than the replay buffer.
    ChangedAndLarge,
}

/// Rewrites a body that is not compressed.
pub(super) fn rewrite_plain(body: &Bytes, mut rewriter: Rewriter) -> Comparison {
    let start = rewriter.push(body);
    let end = rewriter.finish();
    let rewritten = if end.is_empty() {
        start
    } else {
        Bytes::from([start, end].concat())
    };
    if rewritten == body {
        Comparison::Same
    } else {
        Comparison::Changed(rewritten)
    }
}

/// Rewrites the content of a compressed body, which may be far larger than the body.
pub(super) async fn rewrite_compressed(
    body: Bytes,
    coding: Coding,
    mut rewriter: Rewriter,
    limit: u64,
) -> Result<Comparison, UploadError> {
    let mut content = Decompressed::new(Full::new(body), coding);
    let mut comparer = Comparer::default();
    let mut length = 0;
    while let Some(frame) = content.frame().await {
        let frame = frame.map_err(|error| match error {
            DecompressError::Body(never) => match never {},
            DecompressError::Content(error) => UploadError::Content(error),
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len() as u64;
        if length > limit {
            return Err(UploadError::TooLarge { limit });
        }
        comparer.read(&data);
        comparer.written(&rewriter.push(&data));
        // A small compressed body may contain so much content that other tasks would wait for long.
        consume_budget().await;
    }
    comparer.written(&rewriter.finish());
    Ok(comparer.finish())
}

/// Compares the rewriter's output with its input, piece by piece.
#[derive(Default)]
struct Comparer {
    /// Input that the rewriter has not written yet.
    pending: BytesMut,
    differs: bool,
    /// The whole output, while it is small.
    output: BytesMut,
    is_large: bool,
}

impl Comparer {
    fn read(&mut self, bytes: &[u8]) {
        if !self.differs {
            self.pending.extend_from_slice(bytes);
        }
    }

    fn written(&mut self, bytes: &[u8]) {
        if !self.differs {
            if self.pending.starts_with(bytes) {
                self.pending.advance(bytes.len());
            } else {
                self.differs = true;
                self.pending = BytesMut::new();
            }
        }
        if self.is_large || self.output.len() + bytes.len() > replay::LIMIT {
            self.is_large = true;
            self.output = BytesMut::new();
        } else {
            self.output.extend_from_slice(bytes);
        }
    }

    fn finish(self) -> Comparison {
        // Input that the rewriter never wrote is a difference, too.
        if !self.differs && self.pending.is_empty() {
            Comparison::Same
        } else if self.is_large {
            Comparison::ChangedAndLarge
        } else {
            Comparison::Changed(self.output.freeze())
        }
    }
}
