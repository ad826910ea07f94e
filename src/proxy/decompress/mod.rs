//! Decompresses a body so that links in it can be rewritten. This is for clients that compress
//! bodies, and for upstreams that compress in spite of the proxy's `Accept-Encoding: identity`.

mod coding;
mod decoder;

pub(super) use coding::Coding;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::task::coop::poll_proceed;

use decoder::Decoder;

/// The reason why a decompressed body broke off.
#[derive(Debug)]
pub(super) enum DecompressError<E> {
    /// The compressed body broke off.
    Body(E),
    /// The body is not compressed as `Content-Encoding` says.
    Content(io::Error),
}

/// A body without its compression.
#[derive(Debug)]
pub(super) struct Decompressed<B: Body> {
    body: B,
    decoder: Decoder,
    /// Bytes still to be decoded.
    input: Bytes,
    /// The compressed body has ended.
    has_ended: bool,
    /// The decoder has written all of its output.
    is_finished: bool,
    /// The error, returned after all bytes that could be decoded.
    failure: Option<DecompressError<B::Error>>,
    trailers: Option<Frame<Bytes>>,
}

impl<B: Body> Decompressed<B> {
    pub(super) fn new(body: B, coding: Coding) -> Self {
        Self {
            body,
            decoder: Decoder::new(coding),
            input: Bytes::new(),
            has_ended: false,
            is_finished: false,
            failure: None,
            trailers: None,
        }
    }

    /// The compressed body.
    pub(super) fn inner(&self) -> &B {
        &self.body
    }
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Decompressed<B> {
    /// Reads the next input, or notes the end.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.input = data,
                Err(trailers) => {
                    self.trailers = Some(trailers);
                    self.has_ended = true;
                }
            },
            Some(Err(error)) => {
                self.failure = Some(DecompressError::Body(error));
                self.has_ended = true;
            }
            None => self.has_ended = true,
        }
        Poll::Ready(())
    }
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Body for Decompressed<B> {
    type Data = Bytes;
    type Error = DecompressError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            let decoded = if !this.input.is_empty() {
                // A few bytes may decompress to very many, or to none after much work. Without a
                // budget, they would keep other tasks waiting.
                ready!(poll_proceed(cx)).made_progress();
                this.decoder.write(&mut this.input)
            } else if !this.has_ended {
                ready!(this.poll_input(cx));
                continue;
            } else if this.is_finished {
                break;
            } else {
                this.is_finished = true;
                if this.failure.is_some() {
                    Ok(this.decoder.salvage())
                } else {
                    this.decoder.finish()
                }
            };
            let output = decoded.unwrap_or_else(|error| {
                this.input.clear();
                this.has_ended = true;
                this.is_finished = true;
                this.trailers = None;
                this.failure = Some(DecompressError::Content(error));
                this.decoder.salvage()
            });
            if !output.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(output))));
            }
        }
        let failure = this.failure.take().map(Err);
        Poll::Ready(failure.or_else(|| this.trailers.take().map(Ok)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_finished && self.failure.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    fn encoded(coding: Coding, text: &[u8]) -> Vec<u8> {
        let best = Compression::best();
        let result = match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), best);
                encoder.write_all(text).and_then(|()| encoder.finish())
            }
            Coding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), best);
                encoder.write_all(text).and_then(|()| encoder.finish())
            }
        };
        result.expect("written to memory")
    }

    #[tokio::test]
    async fn a_bomb_comes_out_in_small_parts() {
        let text = vec![b'a'; 8 << 20];
        for coding in [Coding::Gzip, Coding::Deflate] {
            let small = encoded(coding, &text);
            assert!(small.len() < 64 << 10);
            let mut body = Decompressed::new(Full::new(Bytes::from(small)), coding);
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                let data = frame.expect("it is whole").into_data().expect("data");
                assert!(data.len() <= 64 << 10, "{}", data.len());
                assert!(data.iter().all(|byte| *byte == b'a'));
                length += data.len();
            }
            assert_eq!(length, text.len());
        }
    }

    #[tokio::test]
    async fn a_damaged_body_breaks_off() {
        let whole = encoded(Coding::Gzip, &[b'a'; 1000]);
        let damaged = &whole[..whole.len() - 1];
        let body = Full::new(Bytes::copy_from_slice(damaged));
        let mut body = Decompressed::new(body, Coding::Gzip);
        let data = body.frame().await.expect("a frame").expect("data");
        assert_eq!(data.into_data().expect("data").len(), 1000);
        assert!(!body.is_end_stream());
        let end = body.frame().await.expect("an error");
        assert!(matches!(end, Err(DecompressError::Content(_))), "{end:?}");
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn every_format_is_decoded_however_it_is_cut() {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::best());
        let raw = encoder.write_all(TEXT).and_then(|()| encoder.finish());
        let raw = raw.expect("written to memory");
        for (coding, sent) in [
            (Coding::Gzip, &encoded(Coding::Gzip, TEXT)),
            (Coding::Deflate, &encoded(Coding::Deflate, TEXT)),
            (Coding::Deflate, &raw),
        ] {
            for piece in [1, 2, 3, sent.len()] {
                let frames = sent.chunks(piece).map(|part| {
                    Ok::<_, std::convert::Infallible>(Frame::data(Bytes::copy_from_slice(part)))
                });
                let body = http_body_util::BodyExt::boxed_unsync(Pieces(frames.collect()));
                let decoded = Decompressed::new(body, coding).collect().await;
                let decoded = decoded.expect("it is whole").to_bytes();
                assert_eq!(decoded, TEXT, "{coding:?} in pieces of {piece}");
            }
        }
    }

    const TEXT: &[u8] = b"{\"text\":\"short, and the same again: short\"}";

    struct Pieces(std::collections::VecDeque<Result<Frame<Bytes>, std::convert::Infallible>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.pop_front())
        }
    }
}
