//! Compares the targets that h2 shows with those read here, over the same bytes.

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    super::{header_blocks::tests::frame, hpack::encode},
    *,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const MAX_BLOCK: usize = 128 << 10;
const ROOM: usize = 1 << 20;
const LAST: &str = "/last";

/// A connection with one request for every block.
fn connection(blocks: &[Vec<u8>], split: usize) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    for (stream, block) in (1..).step_by(2).zip(blocks) {
        let mut pieces = block.chunks(split).collect::<Vec<_>>();
        let last = pieces.pop().unwrap_or_default();
        let mut kind = HEADERS;
        let mut flags = END_STREAM;
        for piece in pieces {
            bytes.extend(frame(kind, flags, stream, piece));
            (kind, flags) = (CONTINUATION, 0);
        }
        bytes.extend(frame(kind, flags | END_HEADERS, stream, last));
    }
    bytes
}

/// All paths in the bytes, cut into pieces of these lengths over and over.
fn read(mut bytes: &[u8], cuts: &[usize]) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut blocks = HeaderBlocks::new(MAX_BLOCK);
    let mut reader = PathReader::new();
    let mut paths = Vec::new();
    for cut in cuts.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(bytes.len().min(*cut));
        bytes = rest;
        blocks.read(piece, |block| {
            reader.read(block, |path| paths.push(path.to_vec()))
        })?;
    }
    Ok(paths)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

/// The targets that h2 shows of a connection before the last, and whether it showed that.
async fn accepted(bytes: &[u8]) -> (Vec<String>, bool) {
    let (mut client, server) = tokio::io::duplex(ROOM);
    client.write_all(bytes).await.expect("room for all");
    let mut server = h2::server::handshake(server).await.expect("a preface");
    let mut targets = Vec::new();
    let mut responses = Vec::new();
    loop {
        match server.accept().await {
            Some(Ok((request, respond))) => {
                let target = request.uri().path_and_query().expect("a target");
                if target == LAST {
                    return (targets, true);
                }
                targets.push(target.as_str().to_owned());
                responses.push(respond);
            }
            _ => return (targets, false),
        }
    }
}

/// The target as h2 shows it, if it does.
fn shown(path: &[u8]) -> Option<String> {
    let target = PathAndQuery::try_from(path).ok()?;
    Some(target.as_str().to_owned())
}

/// A string literal, Huffman-coded or not.
fn string(text: &[u8], is_huffman: bool) -> Vec<u8> {
    let text = if is_huffman {
        encode(text)
    } else {
        text.to_vec()
    };
    let mut bytes = integer(text.len(), 7, if is_huffman { 0x80 } else { 0 });
    bytes.extend(text);
    bytes
}

fn integer(value: usize, prefix: u32, first: u8) -> Vec<u8> {
    let mask = (1 << prefix) - 1;
    if let Some(short) = u8::try_from(value).ok().filter(|short| *short < mask) {
        return vec![first | short];
    }
    let mut bytes = vec![first | mask];
    let mut rest = value - usize::from(mask);
    while rest >= 0x80 {
        bytes.push(0x80 | u8::try_from(rest & 0x7f).expect("7 bits"));
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).expect("7 bits"));
    bytes
}

/// Names that h2 takes, by their index or in full.
fn name(index: Option<usize>, prefix: u32, first: u8, text: &[u8], is_huffman: bool) -> Vec<u8> {
    match index {
        Some(index) => integer(index, prefix, first),
        None => [vec![first], string(text, is_huffman)].concat(),
    }
}

fn literal(
    index: BoxedStrategy<Option<usize>>,
    text: &'static str,
    value: BoxedStrategy<Vec<u8>>,
) -> BoxedStrategy<Vec<u8>> {
    let kinds = prop::sample::select(vec![(6, 0x40), (4, 0), (4, 0x10)]);
    (kinds, index, value, any::<[bool; 2]>())
        .prop_map(
            move |((prefix, first), index, value, [coded_name, coded_value])| {
                let mut field = name(index, prefix, first, text.as_bytes(), coded_name);
                field.extend(string(&value, coded_value));
                field
            },
        )
        .boxed()
}

fn path() -> BoxedStrategy<Vec<u8>> {
    let text = "/[a-f?=#&~%é\"<]{0,40}".prop_map(String::into_bytes);
    let value = prop_oneof![4 => text, 1 => (0_usize..5000).prop_map(|len| [b"/#", &*vec![b'x'; len]].concat())];
    let index = prop::sample::select(vec![None, Some(4), Some(5)]);
    prop_oneof![
        8 => literal(index.boxed(), ":path", value.boxed()),
        1 => prop::sample::select(vec![4, 5]).prop_map(|index| integer(index, 7, 0x80)),
        // Not always a path.
        1 => (62_usize..65).prop_map(|index| integer(index, 7, 0x80)),
    ]
    .boxed()
}

fn field() -> BoxedStrategy<Vec<u8>> {
    let value = prop_oneof![4 => 0_usize..30, 1 => 0_usize..1500].prop_map(|len| vec![b'v'; len]);
    let index = prop_oneof![
        8 => Just(None),
        8 => (15_usize..=61).prop_map(Some),
        // A name that may be a path's, in its wrong place.
        1 => (62_usize..65).prop_map(Some),
    ];
    literal(index.boxed(), "x-name", value.boxed())
}

fn block() -> BoxedStrategy<Vec<u8>> {
    let resize = prop_oneof![
        6 => Just(Vec::new()),
        1 => (0_usize..=4096).prop_map(|size| integer(size, 5, 0x20)),
    ];
    let fields = prop::collection::vec(field(), 0..6);
    (resize, path(), fields)
        .prop_map(|(resize, path, fields)| {
            [resize, b"\x82\x86".to_vec(), path, fields.concat()].concat()
        })
        .boxed()
}

proptest! {
    #[test]
    fn h2_shows_no_target_that_was_not_read(
        blocks in prop::collection::vec(block(), 1..20),
        split in 1_usize..100,
        cuts in prop::collection::vec(1_usize..200, 1..4),
    ) {
        let mut blocks = blocks;
        blocks.push([b"\x82\x86", &*literal_path(LAST)].concat());
        let bytes = connection(&blocks, split);
        let (shown_by_h2, is_whole) = run(accepted(&bytes));
        let Ok(paths) = read(&bytes, &cuts) else {
            prop_assert!(!is_whole, "h2 reads on");
            return Ok(());
        };
        let mut read = paths.iter().filter_map(|path| shown(path));
        // h2 shows a request without a path, too, as one for the root.
        for target in shown_by_h2.iter().filter(|target| *target != "/") {
            prop_assert!(read.any(|path| path == *target), "{target} was not read");
        }
    }

    #[test]
    fn targets_from_the_client_of_h2_are_read(
        requests in prop::collection::vec(("/[a-z]{0,4}(\\?[a-z]{0,60})?", 0_usize..4, "[a-z0-9]{0,400}"), 1..60),
        cuts in prop::collection::vec(1_usize..500, 1..4),
    ) {
        let (bytes, sent) = run(recorded(&requests));
        let paths = read(&bytes, &cuts).expect("header blocks");
        let paths: Vec<_> = paths.iter().map(|path| String::from_utf8_lossy(path)).collect();
        prop_assert_eq!(paths, sent);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), size in 1_usize..100) {
        let mut targets = Http2Targets::new(MAX_BLOCK);
        targets.read(PREFACE);
        for piece in bytes.chunks(size) {
            targets.read(piece);
        }
        prop_assert!(targets.cut().len() <= MAX_CUT + 1);
    }
}

/// All bytes that h2's client sends for these requests, and their targets.
async fn recorded(requests: &[(String, usize, String)]) -> (Vec<u8>, Vec<String>) {
    let (client, mut server) = tokio::io::duplex(ROOM);
    let handshake = h2::client::Builder::new()
        .initial_max_send_streams(1000)
        .handshake::<_, Bytes>(client);
    let (mut client, connection) = handshake.await.expect("a connection");
    let mut sent = Vec::new();
    // Dropping the response would reset its request.
    let mut responses = Vec::new();
    for (path, field, value) in requests {
        let name = ["accept", "cookie", "x-own", "if-none-match"][*field];
        let mut request = Request::new(());
        *request.uri_mut() = format!("http://localhost{path}").parse().expect("a URI");
        let value = HeaderValue::from_str(value).expect("a value");
        let headers = request.headers_mut();
        headers.insert(HeaderName::from_static(name), value);
        let target = request.uri().path_and_query().expect("a target");
        sent.push(target.as_str().to_owned());
        responses.push(client.send_request(request, true).expect("a free stream"));
    }
    let mut bytes = BytesMut::new();
    let all_read = async {
        server.write_all(&frame(4, 0, 0, &[])).await.expect("room");
        while read(&bytes, &[usize::MAX]).expect("header blocks").len() < sent.len() {
            server.read_buf(&mut bytes).await.expect("more bytes");
        }
    };
    tokio::select! {
        _ = connection => {}
        () = all_read => {}
    }
    (bytes.to_vec(), sent)
}

fn literal_path(path: &str) -> Vec<u8> {
    [integer(4, 4, 0), string(path.as_bytes(), true)].concat()
}

fn targets(paths: &[&str]) -> Http2Targets {
    let blocks: Vec<_> = paths.iter().map(|path| literal_path(path)).collect();
    let mut targets = Http2Targets::new(MAX_BLOCK);
    let changes = targets.read(&connection(&blocks, MAX_BLOCK));
    assert_eq!(changes, !targets.cut().is_empty() || targets.is_lost());
    targets
}

#[test]
fn targets_with_a_raw_number_sign_are_told_as_h2_shows_them() {
    let targets = targets(&[
        "/a?b#c",
        "/a?b#d",
        "/%23",
        "#",
        "/é#",
        "/a?b",
        "/e#\"",
        "/f\"?<>#",
        "no-slash#",
        "*",
    ]);
    assert!(!targets.is_lost());
    assert_eq!(targets.cut(), ["/a?b", "/", "/é", "/e"].map(Into::into));
}

#[test]
fn too_many_of_them_end_the_observation() {
    let paths: Vec<_> = (0..=MAX_CUT).map(|number| format!("/{number}#")).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    assert!(!targets(&paths[..MAX_CUT]).is_lost());
    assert_eq!(targets(&paths[..MAX_CUT]).cut().len(), MAX_CUT);
    assert!(targets(&paths).is_lost());
}

#[test]
fn a_block_that_h2_refuses_ends_the_observation() {
    let mut targets = Http2Targets::new(MAX_BLOCK);
    assert!(!targets.read(PREFACE));
    assert!(targets.read(&frame(HEADERS, END_HEADERS, 1, &[0x80])));
    assert!(targets.is_lost());
    assert!(
        !targets.read(&frame(HEADERS, END_HEADERS, 3, &[0x84])),
        "told once"
    );
}
