//! A compressed body as what it says. Links are searched in that, and the client gets that: the
//! upstream was asked not to compress, so that this is for those that do not listen. What only claims
//! to be compressed passes as it is.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use flate2::write::{DeflateDecoder, GzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use http_body::{Body, Frame};

/// The content codings that can be decoded (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
}

/// A coding, or several, that cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown;

impl Coding {
    /// `None` if there is none.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Unknown> {
        let values = headers.get_all(header::CONTENT_ENCODING).iter();
        let mut codings = values
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
        let Some(coding) = codings.next() else {
            return Ok(None);
        };
        let is = |name: &[u8]| coding.eq_ignore_ascii_case(name);
        match codings.next() {
            None if is(b"gzip") || is(b"x-gzip") => Ok(Some(Self::Gzip)),
            None if is(b"deflate") => Ok(Some(Self::Deflate)),
            _ => Err(Unknown),
        }
    }
}

/// Why a decoded body broke off.
#[derive(Debug)]
pub(super) enum DecodeError<E> {
    /// It did not come to its end.
    Body(E),
    /// It is not what `Content-Encoding` says.
    Content(io::Error),
}

/// A body and what decodes it.
#[derive(Debug)]
pub(super) struct Decoded<B: Body> {
    body: B,
    decoder: Decoder,
    /// What is still to be decoded: a small chunk may stand for a large one, and comes out in parts.
    input: Bytes,
    is_finished: bool,
    /// Comes once all that could be decoded is out.
    failure: Option<DecodeError<B::Error>>,
    trailers: Option<Frame<Bytes>>,
}

#[derive(Debug)]
enum Decoder {
    /// The first two bytes tell which it is; so many are there.
    Unknown(Coding, Vec<u8>),
    Gzip(GzDecoder<Vec<u8>>),
    /// Behind a member: another one, or padding, or rubbish, which browsers overlook too.
    AfterGzip(Vec<u8>),
    Deflate(ZlibDecoder<Vec<u8>>),
    /// What some servers send as `deflate` (RFC 9110, section 8.4.1.2).
    RawDeflate(DeflateDecoder<Vec<u8>>),
    Plain,
    /// What follows the end of the content is nothing.
    Ended,
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// By the magic numbers of RFC 1952, section 2.3.1, and RFC 1950, section 2.2.
fn decoder_for(coding: Coding, start: [u8; 2]) -> Decoder {
    match coding {
        Coding::Gzip if start == GZIP => Decoder::Gzip(GzDecoder::new(Vec::new())),
        Coding::Gzip => Decoder::Plain,
        Coding::Deflate if start[0] & 0x0f == 8 && u16::from_be_bytes(start).is_multiple_of(31) => {
            Decoder::Deflate(ZlibDecoder::new(Vec::new()))
        }
        Coding::Deflate => Decoder::RawDeflate(DeflateDecoder::new(Vec::new())),
    }
}

impl Decoder {
    /// Decodes the start of `input`, into some 32 KiB at most.
    fn write(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        if let Self::Unknown(_, start) | Self::AfterGzip(start) = self {
            let missing = (2 - start.len()).min(input.len());
            start.extend_from_slice(&input.split_to(missing));
            let [first, second] = start[..] else {
                return Ok(Bytes::new());
            };
            let mut start = Bytes::from(vec![first, second]);
            *self = match self {
                Self::Unknown(coding, _) => decoder_for(*coding, [first, second]),
                _ if [first, second] == GZIP => Self::Gzip(GzDecoder::new(Vec::new())),
                _ => Self::Ended,
            };
            return self.write(&mut start);
        }
        let Some(writer) = self.writer() else {
            let rest = std::mem::take(input);
            return Ok(match self {
                Self::Plain => rest,
                _ => Bytes::new(),
            });
        };
        let taken = writer.write(input)?;
        input.advance(taken);
        if taken > 0 {
            if input.is_empty() {
                // The next input may be long in coming.
                writer.flush()?;
            }
            return Ok(self.take());
        }
        let output = self.finish()?;
        *self = match self {
            Self::Gzip(_) => Self::AfterGzip(Vec::new()),
            _ => Self::Ended,
        };
        Ok(output)
    }

    /// Takes nothing once the content is at its end.
    fn writer(&mut self) -> Option<&mut dyn io::Write> {
        match self {
            Self::Gzip(decoder) => Some(decoder),
            Self::Deflate(decoder) => Some(decoder),
            Self::RawDeflate(decoder) => Some(decoder),
            Self::Unknown(..) | Self::AfterGzip(_) | Self::Plain | Self::Ended => None,
        }
    }

    fn finish(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Unknown(_, start) => return Ok(std::mem::take(start).into()),
            Self::AfterGzip(_) | Self::Plain | Self::Ended => return Ok(Bytes::new()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Deflate(decoder) => decoder.try_finish(),
            Self::RawDeflate(decoder) => decoder.try_finish(),
        }?;
        Ok(self.take())
    }

    /// What could be decoded before it failed.
    fn salvage(&mut self) -> Bytes {
        // Fails again, but hands out what it has before that.
        let _ = self.finish();
        self.take()
    }

    fn take(&mut self) -> Bytes {
        let output = match self {
            Self::Unknown(..) | Self::AfterGzip(_) | Self::Plain | Self::Ended => {
                return Bytes::new();
            }
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::RawDeflate(decoder) => decoder.get_mut(),
        };
        std::mem::take(output).into()
    }
}

impl<B: Body> Decoded<B> {
    pub(super) fn new(body: B, coding: Coding) -> Self {
        Self {
            body,
            decoder: Decoder::Unknown(coding, Vec::new()),
            input: Bytes::new(),
            is_finished: false,
            failure: None,
            trailers: None,
        }
    }

    /// The body as it comes.
    pub(super) fn inner(&self) -> &B {
        &self.body
    }
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Body for Decoded<B> {
    type Data = Bytes;
    type Error = DecodeError<B::Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            let output = if !this.input.is_empty() {
                this.decoder.write(&mut this.input)
            } else if let Some(failure) = this.failure.take() {
                return Poll::Ready(Some(Err(failure)));
            } else if this.is_finished {
                return Poll::Ready(this.trailers.take().map(Ok));
            } else {
                match std::task::ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => {
                            this.input = data;
                            continue;
                        }
                        Err(trailers) => this.trailers = Some(trailers),
                    },
                    Some(Err(error)) => this.failure = Some(DecodeError::Body(error)),
                    None => {}
                }
                this.is_finished = true;
                if this.failure.is_some() {
                    Ok(this.decoder.salvage())
                } else {
                    this.decoder.finish()
                }
            };
            let output = output.unwrap_or_else(|error| {
                this.input.clear();
                this.is_finished = true;
                this.trailers = None;
                this.failure = Some(DecodeError::Content(error));
                this.decoder.salvage()
            });
            if !output.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(output))));
            }
        }
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
            let mut body = Decoded::new(Full::new(Bytes::from(small)), coding);
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
        let mut body = Decoded::new(body, Coding::Gzip);
        let data = body.frame().await.expect("a frame").expect("data");
        assert_eq!(data.into_data().expect("data").len(), 1000);
        assert!(!body.is_end_stream());
        let end = body.frame().await.expect("an error");
        assert!(matches!(end, Err(DecodeError::Content(_))), "{end:?}");
        assert!(body.frame().await.is_none());
    }

    #[test]
    fn codings_are_read_in_every_spelling() {
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&[""], Ok(None)),
            (&["identity"], Ok(None)),
            (&["GZip"], Ok(Some(Coding::Gzip))),
            (&["x-gzip ,"], Ok(Some(Coding::Gzip))),
            (&["gzip, Identity"], Ok(Some(Coding::Gzip))),
            (&["identity", "deflate"], Ok(Some(Coding::Deflate))),
            (&["gzip, gzip"], Err(Unknown)),
            (&["gzip", "br"], Err(Unknown)),
            (&["br, identity"], Err(Unknown)),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = http::HeaderValue::from_static(value);
                headers.append(header::CONTENT_ENCODING, value);
            }
            assert_eq!(Coding::of(&headers), expected, "{values:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_compressed_passes_and_deflate_may_be_raw() {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::best());
        let raw = encoder.write_all(TEXT).and_then(|()| encoder.finish());
        let raw = raw.expect("written to memory");
        for (coding, sent) in [
            (Coding::Gzip, TEXT),
            (Coding::Gzip, &encoded(Coding::Gzip, TEXT)),
            (Coding::Deflate, &encoded(Coding::Deflate, TEXT)),
            (Coding::Deflate, &raw),
        ] {
            for piece in [1, 2, 3, sent.len()] {
                let frames = sent.chunks(piece).map(|part| {
                    Ok::<_, std::convert::Infallible>(Frame::data(Bytes::copy_from_slice(part)))
                });
                let body = http_body_util::BodyExt::boxed_unsync(Pieces(frames.collect()));
                let decoded = Decoded::new(body, coding).collect().await;
                let decoded = decoded.expect("it is whole").to_bytes();
                assert_eq!(decoded, TEXT, "{coding:?} in pieces of {piece}");
            }
        }
    }

    const TEXT: &[u8] = b"not compressed at all, whatever it says";

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
