//! A compressed body as what it says. Links are searched in that, and the client gets that: the
//! upstream was asked not to compress, so that this is for those that do not listen. What only claims
//! to be compressed passes as it is.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::task::coop::poll_proceed;

mod coding;
mod decoder;

pub(super) use coding::Coding;

use decoder::Decoder;

/// Why a decoded body broke off.
#[derive(Debug)]
pub(in crate::proxy) enum DecompressError<E> {
    /// It did not come to its end.
    Body(E),
    /// It is not what `Content-Encoding` says.
    Content(io::Error),
}

/// A body and what decodes it.
#[derive(Debug)]
pub(in crate::proxy) struct Decompressed<B: Body> {
    body: B,
    coding: Coding,
    /// `None` until it shows what the body is.
    decoder: Option<Decoder>,
    /// What is still to be decoded.
    input: Bytes,
    /// Nothing more comes to be decoded.
    has_ended: bool,
    /// Nothing more comes out of the decoder.
    is_finished: bool,
    /// Comes once all that could be decoded is out.
    failure: Option<DecompressError<B::Error>>,
    trailers: Option<Frame<Bytes>>,
}

impl<B: Body> Decompressed<B> {
    pub(in crate::proxy) fn new(body: B, coding: Coding) -> Self {
        Self {
            body,
            coding,
            decoder: None,
            input: Bytes::new(),
            has_ended: false,
            is_finished: false,
            failure: None,
            trailers: None,
        }
    }

    /// The body as it comes.
    pub(in crate::proxy) fn inner(&self) -> &B {
        &self.body
    }

    /// Whether what has come may be compressed all the same: raw deflate has no mark of its own.
    pub(in crate::proxy) fn is_doubtful(&self) -> bool {
        self.coding == Coding::Deflate && matches!(self.decoder, Some(Decoder::Plain))
    }
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Decompressed<B> {
    /// Waits until it shows whether the body is what its head says, and can be decoded. If not, it
    /// passes as it is.
    pub(in crate::proxy) async fn is_compressed(&mut self) -> bool {
        let is_plain = |decoder: &mut Decoder| matches!(decoder, Decoder::Plain);
        !poll_fn(|cx| self.poll_start(cx).map(is_plain)).await
    }

    /// Reads until it shows what the body is.
    fn poll_start(&mut self, cx: &mut Context<'_>) -> Poll<&mut Decoder> {
        while self.decoder.is_none() {
            match self.coding.compression(&self.input, self.has_ended) {
                Some(compression) => self.decoder = Some(Decoder::new(compression)),
                None => ready!(self.poll_more(cx)),
            }
        }
        Poll::Ready(self.decoder.get_or_insert(Decoder::Plain))
    }

    /// Adds to the input, or notes its end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if self.input.is_empty() => self.input = data,
                Ok(data) => self.input = [&self.input[..], &data].concat().into(),
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
        ready!(this.poll_start(cx));
        while let Some(decoder) = &mut this.decoder {
            let output = if !this.input.is_empty() {
                // A few bytes may stand for many, or for nothing after much work.
                ready!(poll_proceed(cx)).made_progress();
                decoder.write(&mut this.input)
            } else if !this.has_ended {
                ready!(this.poll_more(cx));
                continue;
            } else if this.is_finished {
                break;
            } else {
                this.is_finished = true;
                if this.failure.is_some() {
                    Ok(decoder.salvage())
                } else {
                    decoder.finish()
                }
            };
            let output = output.unwrap_or_else(|error| {
                this.input.clear();
                this.has_ended = true;
                this.is_finished = true;
                this.trailers = None;
                this.failure = Some(DecompressError::Content(error));
                decoder.salvage()
            });
            if !output.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(output))));
            }
        }
        let failure = this.failure.take().map(Err);
        Poll::Ready(failure.or_else(|| this.trailers.take().map(Ok)))
    }

    fn is_end_stream(&self) -> bool {
        let passes = matches!(self.decoder, Some(Decoder::Plain)) && self.input.is_empty();
        let is_finished = self.is_finished || passes && self.body.is_end_stream();
        is_finished && self.failure.is_none() && self.trailers.is_none()
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
    async fn what_passes_is_known_to_be_all_with_its_last_byte() {
        // hyper asks for no more than the length that the head tells.
        let mut body = Decompressed::new(Full::new(Bytes::from_static(TEXT)), Coding::Gzip);
        assert!(!body.is_compressed().await);
        assert!(!body.is_end_stream());
        body.frame().await.expect("a frame").expect("data");
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn what_is_not_compressed_passes_and_deflate_may_be_raw() {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::best());
        let raw = encoder.write_all(TEXT).and_then(|()| encoder.finish());
        let raw = raw.expect("written to memory");
        for (coding, sent) in [
            (Coding::Gzip, TEXT),
            (Coding::Deflate, TEXT),
            (Coding::Deflate, &encoded(Coding::Gzip, TEXT)),
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

    const TEXT: &[u8] = b"{\"text\":\"not compressed at all, whatever it says\"}";

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
