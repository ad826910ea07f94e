//! Takes the compression off bytes, piece by piece: a small piece may stand for a large one, and
//! comes out in parts. That the bytes came to their end counts for nothing; the compressed stream
//! must have come to its own.

use std::io::{self, Write as _};

use bytes::{Buf as _, Bytes};
use flate2::{Decompress, FlushDecompress, Status, write::GzDecoder};

/// What a body turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Compression {
    Gzip,
    Zlib,
    /// What some servers send as `deflate` (RFC 9110, section 8.4.1.2).
    RawDeflate,
    /// Nothing that can be decoded, whatever its head says.
    Unknown,
}

/// The part of a member's start that no later version of the format changes (RFC 1952, section
/// 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How much comes out at once.
const PART: usize = 32 << 10;

#[derive(Debug)]
pub(in crate::proxy) enum Decoder {
    Gzip(GzDecoder<Vec<u8>>),
    /// Behind a member: another one, or padding, or rubbish, which browsers overlook too.
    AfterGzip(Vec<u8>),
    /// The write adapters of flate2 take a stream without an end for a whole one.
    Deflate {
        inflate: Decompress,
        output: Vec<u8>,
    },
    Plain,
    /// What follows the end of the content is nothing.
    Ended,
}

impl Decoder {
    pub(in crate::proxy) fn new(compression: Compression) -> Self {
        let deflate = |has_header| Self::Deflate {
            inflate: Decompress::new(has_header),
            output: Vec::new(),
        };
        match compression {
            Compression::Gzip => Self::Gzip(GzDecoder::new(Vec::new())),
            Compression::Zlib => deflate(true),
            Compression::RawDeflate => deflate(false),
            Compression::Unknown => Self::Plain,
        }
    }

    /// Decodes the start of `input`, into two parts at most.
    pub(in crate::proxy) fn write(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        match self {
            Self::Gzip(decoder) => {
                let taken = decoder.write(input)?;
                input.advance(taken);
                if taken > 0 {
                    if input.is_empty() {
                        // The next input may be long in coming.
                        decoder.flush()?;
                    }
                    return Ok(self.take());
                }
                // It takes nothing behind its end.
                decoder.try_finish()?;
                let output = self.take();
                *self = Self::AfterGzip(Vec::new());
                Ok(output)
            }
            Self::AfterGzip(start) => {
                let missing = GZIP.len() - start.len();
                let next = input.split_to(missing.min(input.len()));
                start.extend_from_slice(&next);
                if start.len() < GZIP.len() {
                    return Ok(Bytes::new());
                }
                *self = if *start == GZIP {
                    let mut decoder = GzDecoder::new(Vec::new());
                    decoder.write_all(&GZIP)?;
                    Self::Gzip(decoder)
                } else {
                    Self::Ended
                };
                Ok(Bytes::new())
            }
            Self::Deflate { inflate, output } => {
                let is_end = inflate_part(inflate, input, output)?;
                let output = self.take();
                if is_end {
                    *self = Self::Ended;
                }
                Ok(output)
            }
            Self::Plain => Ok(std::mem::take(input)),
            Self::Ended => {
                input.clear();
                Ok(Bytes::new())
            }
        }
    }

    /// Fails if the compressed stream is not at its end.
    pub(in crate::proxy) fn finish(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(decoder) => decoder.try_finish()?,
            Self::AfterGzip(start) if GZIP[..1] == start[..] => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Self::Deflate { .. } => return Err(io::ErrorKind::UnexpectedEof.into()),
            Self::AfterGzip(_) | Self::Plain | Self::Ended => {}
        }
        Ok(self.take())
    }

    /// What could be decoded before it failed.
    pub(in crate::proxy) fn salvage(&mut self) -> Bytes {
        // Fails again, but hands out what it has before that.
        let _ = self.finish();
        self.take()
    }

    fn take(&mut self) -> Bytes {
        match self {
            Self::Gzip(decoder) => std::mem::take(decoder.get_mut()).into(),
            Self::Deflate { output, .. } => std::mem::take(output).into(),
            Self::AfterGzip(_) | Self::Plain | Self::Ended => Bytes::new(),
        }
    }
}

/// Whether the stream is at its end; `input` is, unless that or a full part came first.
fn inflate_part(
    inflate: &mut Decompress,
    input: &mut Bytes,
    output: &mut Vec<u8>,
) -> io::Result<bool> {
    output.reserve_exact(PART);
    loop {
        let (taken, made) = (inflate.total_in(), output.len());
        let result = inflate.decompress_vec(input, output, FlushDecompress::None);
        let taken = inflate.total_in() - taken;
        input.advance(usize::try_from(taken).unwrap_or(usize::MAX));
        if result? == Status::StreamEnd {
            return Ok(true);
        }
        if output.len() == output.capacity() {
            if !input.is_empty() {
                return Ok(false);
            }
            // No more input would fetch what is left of this one.
            output.reserve_exact(PART);
        } else if taken == 0 && output.len() == made {
            return if input.is_empty() {
                Ok(false)
            } else {
                Err(io::ErrorKind::InvalidData.into())
            };
        }
    }
}
