//! Frames written by hand, cut at every place.

use super::*;

const LIMIT: usize = 64;

/// A frame (RFC 9113, section 4.1).
pub(in crate::server) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    [
        &length.to_be_bytes()[1..],
        &[kind, flags],
        &stream.to_be_bytes(),
        payload,
    ]
    .concat()
}

fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(),
        &frames.concat(),
    ]
    .concat()
}

/// The blocks of a connection whose bytes come in these pieces.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut blocks = HeaderBlocks::new(LIMIT);
    let mut found = Vec::new();
    for piece in pieces {
        blocks.read(piece, |block| {
            found.push(block.to_vec());
            Ok(())
        })?;
    }
    assert!(blocks.part.len() + blocks.block.len() <= LIMIT.max(HEAD));
    Ok(found)
}

#[track_caller]
fn check(frames: &[Vec<u8>], expected: Result<&[&[u8]], Malformed>) {
    let bytes = connection(frames);
    let expected = expected.map(|blocks| blocks.iter().map(|block| block.to_vec()).collect());
    for size in 1..=bytes.len() {
        assert_eq!(read(bytes.chunks(size)), expected, "pieces of {size}");
    }
}

#[test]
fn blocks_are_found_among_other_frames() {
    check(
        &[
            frame(4, 0, 0, &[0; 6]),
            frame(HEADERS, END_HEADERS | 1, 1, b"first"),
            frame(0, 0, 1, &[b'x'; 500]),
            frame(HEADERS, END_HEADERS, 3, b""),
            // A frame of an unknown kind, and the reserved bit of a stream.
            frame(200, 0xff, 3, b"unknown"),
            frame(HEADERS, END_HEADERS, 5 | 1 << 31, b"last"),
        ],
        Ok(&[b"first", b"", b"last"]),
    );
}

#[test]
fn padding_and_priority_are_taken_off() {
    check(
        &[
            frame(HEADERS, END_HEADERS | PADDED, 1, b"\x03padded..."),
            frame(
                HEADERS,
                END_HEADERS | PRIORITY,
                3,
                b"\x80\0\0\x01\x10weighed",
            ),
            frame(
                HEADERS,
                END_HEADERS | PADDED | PRIORITY,
                5,
                b"\x01\0\0\0\0\x10both.",
            ),
            frame(HEADERS, END_HEADERS | PADDED, 7, b"\x02.."),
        ],
        Ok(&[b"padded", b"weighed", b"both", b""]),
    );
}

#[test]
fn a_block_in_several_frames_is_put_together() {
    check(
        &[
            frame(HEADERS, PADDED, 1, b"\x01one."),
            frame(CONTINUATION, 0, 1, b""),
            // Flags of HEADERS mean nothing here.
            frame(CONTINUATION, PADDED | PRIORITY, 1, b"two"),
            frame(CONTINUATION, END_HEADERS, 1, b"three"),
            frame(HEADERS, END_HEADERS, 3, b"four"),
        ],
        Ok(&[b"onetwothree", b"four"]),
    );
}

#[test]
fn frames_that_end_the_connection_are_errors() {
    for frames in [
        // Of no stream, or of another.
        vec![frame(HEADERS, END_HEADERS, 0, b"")],
        vec![
            frame(HEADERS, 0, 1, b""),
            frame(CONTINUATION, END_HEADERS, 3, b""),
        ],
        // CONTINUATION after nothing, and something else in its place.
        vec![frame(CONTINUATION, END_HEADERS, 1, b"")],
        vec![frame(HEADERS, 0, 1, b""), frame(0, 0, 1, b"")],
        vec![
            frame(HEADERS, 0, 1, b""),
            frame(HEADERS, END_HEADERS, 3, b""),
        ],
        vec![frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 4])],
        // No room for padding and priority.
        vec![frame(HEADERS, END_HEADERS | PADDED, 1, b"")],
        vec![frame(HEADERS, END_HEADERS | PADDED, 1, b"\x02.")],
        vec![frame(HEADERS, END_HEADERS | PRIORITY, 1, &[0; 4])],
        // A stream that depends on itself.
        vec![frame(HEADERS, END_HEADERS | PRIORITY, 1, &[0, 0, 0, 1, 0])],
    ] {
        check(&frames, Err(Malformed));
    }
}

#[test]
fn a_block_over_the_limit_is_an_error() {
    let half = [b'x'; LIMIT / 2];
    let open = frame(HEADERS, 0, 1, &half);
    let whole = [half, half].concat();
    check(
        &[open.clone(), frame(CONTINUATION, END_HEADERS, 1, &half)],
        Ok(&[&whole]),
    );
    check(
        &[
            open,
            frame(CONTINUATION, END_HEADERS, 1, &[b'x'; LIMIT / 2 + 1]),
        ],
        Err(Malformed),
    );
    check(
        &[frame(HEADERS, END_HEADERS, 1, &[b'x'; LIMIT + 1])],
        Err(Malformed),
    );
}
