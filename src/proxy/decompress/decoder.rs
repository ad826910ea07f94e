//! Decompresses bytes piece by piece. A small piece may decompress to a large one, which comes out
//! in parts.

use std::{
    io::{self, Write as _},
    mem,
};

use bytes::{Buf as _, Bytes};
use flate2::{Decompress, FlushDecompress, Status, write::MultiGzDecoder};

use super::Coding;

/// The largest part that comes out at once.
const PART: usize = 32 << 10;

#[derive(Debug)]
pub(super) enum Decoder {
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// The first bytes of `deflate`, which show the one of its two formats.
    DeflateStart(Vec<u8>),
    /// Decoded without flate2's write adapters, which would accept a truncated stream as a whole
    /// one.
    Deflate {
        inflate: Decompress,
        output: Vec<u8>,
    },
    /// The content has ended. Bytes after it are ignored.
    Ended,
}

impl Decoder {
    pub(super) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(MultiGzDecoder::new(Vec::new())),
            Coding::Deflate => Self::DeflateStart(Vec::new()),
        }
    }

    /// Decodes the start of `input`.
    pub(super) fn write(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        match self {
            Self::Gzip(decoder) => {
                let taken = decoder.write(input)?;
                input.advance(taken);
                if input.is_empty() {
                    // The next input may take long, so the bytes that are decoded go out now.
                    decoder.flush()?;
                }
            }
            Self::DeflateStart(start) => {
                let missing = 2 - start.len();
                start.extend_from_slice(&input.split_to(missing.min(input.len())));
                if let [method, flags] = start[..] {
                    // IIS sends the data without the zlib header (RFC 9110, section 8.4.1.2).
                    let mut inflate = Decompress::new(is_zlib(method, flags));
                    let mut output = Vec::new();
                    let mut start = Bytes::copy_from_slice(start);
                    inflate_part(&mut inflate, &mut start, &mut output)?;
                    *self = Self::Deflate { inflate, output };
                }
            }
            Self::Deflate { inflate, output } => {
                if inflate_part(inflate, input, output)? {
                    let output = mem::take(output);
                    *self = Self::Ended;
                    return Ok(output.into());
                }
            }
            Self::Ended => input.clear(),
        }
        Ok(self.take())
    }

    /// Fails if the compressed stream is not at its end.
    pub(super) fn finish(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(decoder) => decoder.try_finish()?,
            Self::DeflateStart(_) | Self::Deflate { .. } => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Self::Ended => {}
        }
        Ok(self.take())
    }

    /// The bytes that were decoded before a failure.
    pub(super) fn salvage(&mut self) -> Bytes {
        // Fails again, but writes the decoded bytes before that.
        let _ = self.finish();
        self.take()
    }

    fn take(&mut self) -> Bytes {
        match self {
            Self::Gzip(decoder) => mem::take(decoder.get_mut()).into(),
            Self::Deflate { output, .. } => mem::take(output).into(),
            Self::DeflateStart(_) | Self::Ended => Bytes::new(),
        }
    }
}

/// Whether two bytes begin a zlib stream (RFC 1950, section 2.2).
fn is_zlib(method: u8, flags: u8) -> bool {
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

/// Returns whether the stream is at its end. If not, either the input is empty or the part is full.
fn inflate_part(
    inflate: &mut Decompress,
    input: &mut Bytes,
    output: &mut Vec<u8>,
) -> io::Result<bool> {
    output.reserve_exact(PART);
    loop {
        let (taken_before, length_before) = (inflate.total_in(), output.len());
        let result = inflate.decompress_vec(input, output, FlushDecompress::None);
        let taken = inflate.total_in() - taken_before;
        input.advance(usize::try_from(taken).unwrap_or(usize::MAX));
        if result? == Status::StreamEnd {
            return Ok(true);
        }
        if output.len() == output.capacity() {
            if !input.is_empty() {
                return Ok(false);
            }
            // More output may follow from the input that was taken.
            output.reserve_exact(PART);
        } else if taken == 0 && output.len() == length_before {
            return if input.is_empty() {
                Ok(false)
            } else {
                Err(io::ErrorKind::InvalidData.into())
            };
        }
    }
}
