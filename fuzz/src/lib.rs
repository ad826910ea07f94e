//! The properties that the link rewriter, the HTTP/1.1 client and the reader of HTTP/2 targets have
//! for any input.
//!
//! `cargo +nightly fuzz run json` (or `xml`, `values`, `response`, `targets`) looks for an input that breaks one.

use std::sync::{Arc, LazyLock};

use ahds_proxy::{
    config::ServiceUrl,
    rewrite::{Bases, JsonRewriter, Plan, XmlRewriter},
    server::Http2Targets,
    upstream::http1::{Broken, HeadParser, BodyDecoder},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};

/// The base that changes; `:443` may follow its host.
const FROM: &str = "https://h.example/v2";
const HOST: &str = "https://h.example";
/// The base URL that replaces it. No input that is looked at contains it.
const TO: &str = "http://proxy.test:1/to";
/// The base URL that takes the place of a percent-encoded one.
const TO_ENCODED: &str = "http%3A%2F%2Fproxy.test%3A1%2Fto";
/// The base URL that takes the place of one encoded twice, in a search within a query.
const TO_ENCODED_TWICE: &str = "http%253A%252F%252Fproxy.test%253A1%252Fto";
const MARK: &[u8] = b"proxy.test";

static BASES: LazyLock<Arc<Bases>> = LazyLock::new(|| {
    let url = |text| ServiceUrl::parse(text).expect("a base URL");
    Arc::new(Bases::new([(&url(FROM), &url(TO))]))
});

const PLANS: [Plan; 5] = [
    Plan::FhirResponse,
    Plan::Request,
    Plan::SmartConfiguration,
    Plan::DicomStore,
    Plan::DicomOperation,
];

/// The first three bytes choose the plan and the cuts, the rest is a JSON document.
pub fn json(input: &[u8]) {
    let Some((plan, cuts, document)) = prepare(input) else {
        return;
    };
    let rewrite = |document: &[u8], cuts: [usize; 2]| {
        let mut rewriter = JsonRewriter::new(plan, Arc::clone(&BASES));
        let mut result = pieces(document, cuts, |chunk| rewriter.push(&chunk));
        result.extend_from_slice(&rewriter.finish());
        result
    };
    let result = rewrite(document, [usize::MAX; 2]);
    same(&result, &rewrite(document, cuts), "cuts matter");
    same(&result, &rewrite(&result, cuts), "done twice");
    only_bases_changed(document, &result, json_character);
    if serde_json::from_slice::<serde_json::Value>(document).is_ok() {
        let read = serde_json::from_slice::<serde_json::Value>(&result);
        assert!(read.is_ok(), "no JSON any more");
    }
}

/// The target for XML.
pub fn xml(input: &[u8]) {
    let Some((plan, cuts, document)) = prepare(input) else {
        return;
    };
    let rewrite = |document: &[u8], cuts: [usize; 2]| {
        let mut rewriter = XmlRewriter::new(plan, Arc::clone(&BASES));
        let mut result = pieces(document, cuts, |chunk| rewriter.push(&chunk));
        result.extend_from_slice(&rewriter.finish());
        result
    };
    let result = rewrite(document, [usize::MAX; 2]);
    same(&result, &rewrite(document, cuts), "cuts matter");
    same(&result, &rewrite(&result, cuts), "done twice");
    only_bases_changed(document, &result, xml_character);
}

/// A header field or a query.
pub fn values(input: &[u8]) {
    if contains(input, MARK) {
        return;
    }
    if let Some(result) = BASES.rewrite_url(input) {
        only_bases_changed(input, &result, plain_character);
    }
    if let Some(result) = BASES.rewrite_search(input) {
        only_bases_changed(input, &result, plain_character);
    }
    if let Some(result) = BASES.rewrite_condition(input) {
        only_bases_changed(input, &result, plain_character);
    }
    if let Some(result) = Bases::rewrite_links(input, |target| BASES.rewrite_url(target)) {
        only_bases_changed(input, &result, plain_character);
    }
    if let Some(result) = BASES.rewrite_query(input) {
        only_bases_changed(input, &result, plain_character);
    }
}

/// The first byte chooses the method, the next two the cuts, and a server sends the rest.
pub fn response(input: &[u8]) {
    let Some(([method, first, second], sent)) = input.split_first_chunk() else {
        return;
    };
    let method = [Method::GET, Method::HEAD][usize::from(method % 2)].clone();
    let cuts = [first, second].map(|cut| usize::from(*cut) + 1);
    let whole = read(&method, sent, [usize::MAX; 2]);
    assert_eq!(whole, read(&method, sent, cuts), "cuts matter");
    if let Some(read) = whole {
        assert!(read.body.len() + read.left <= sent.len(), "made up");
    }
}

/// The first two bytes choose the cuts, and an HTTP/2 client sends the rest after its preface.
pub fn targets(input: &[u8]) {
    let Some(([first, second], sent)) = input.split_first_chunk() else {
        return;
    };
    let read = |cuts: [usize; 2]| {
        let mut targets = Http2Targets::new(1 << 10);
        targets.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        for piece in (Pieces { sent, cuts }) {
            targets.read(piece);
        }
        (targets.cut().to_vec(), targets.is_lost())
    };
    let whole = read([usize::MAX; 2]);
    let cuts = [first, second].map(|cut| usize::from(*cut) + 1);
    assert_eq!(whole, read(cuts), "cuts matter");
    for target in whole.0 {
        assert!(!target.contains('#'), "not as h2 shows it");
    }
}

#[derive(Debug, PartialEq)]
struct Read {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
    is_whole: bool,
    /// Bytes after a whole response.
    left: usize,
}

/// Reads a response that comes in pieces. `None` where it is not even a head.
fn read(method: &Method, sent: &[u8], cuts: [usize; 2]) -> Option<Read> {
    let mut pieces = Pieces { sent, cuts };
    let mut received = BytesMut::new();
    let mut heads = HeadParser::new(method);
    let head = loop {
        match heads.take(&mut received).ok()? {
            Some(head) => break head,
            None => received.extend_from_slice(pieces.next()?),
        }
    };
    let mut read = Read {
        status: head.status,
        headers: head.headers,
        body: Vec::new(),
        trailers: HeaderMap::new(),
        is_whole: false,
        left: 0,
    };
    let mut rest = BodyDecoder::new(head.length);
    read.is_whole = read_body(&mut read, &mut rest, received, pieces).is_ok();
    Some(read)
}

fn read_body(
    read: &mut Read,
    rest: &mut BodyDecoder,
    mut received: BytesMut,
    mut pieces: Pieces,
) -> Result<(), Broken> {
    while !rest.is_end() {
        match rest.take(&mut received)?.map(http_body::Frame::into_data) {
            Some(Ok(data)) => read.body.extend_from_slice(&data),
            Some(Err(frame)) => read.trailers = frame.into_trailers().expect("one or the other"),
            None if rest.is_end() => {}
            None => match pieces.next() {
                Some(piece) => received.extend_from_slice(piece),
                None => rest.close()?,
            },
        }
    }
    read.left = received.len() + pieces.sent.len();
    Ok(())
}

struct Pieces<'a> {
    sent: &'a [u8],
    cuts: [usize; 2],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.cuts.swap(0, 1);
        let (piece, sent) = self.sent.split_at(self.sent.len().min(self.cuts[1]));
        self.sent = sent;
        (!piece.is_empty()).then_some(piece)
    }
}

fn prepare(input: &[u8]) -> Option<(Plan, [usize; 2], &[u8])> {
    let ([plan, first, second], document) = input.split_first_chunk()?;
    if contains(document, MARK) {
        return None;
    }
    let plan = PLANS[usize::from(*plan) % PLANS.len()];
    let cuts = [first, second].map(|cut| usize::from(*cut) + 1);
    Some((plan, cuts, document))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn pieces(document: &[u8], cuts: [usize; 2], mut push: impl FnMut(Bytes) -> Bytes) -> Vec<u8> {
    let mut rest = Bytes::copy_from_slice(document);
    let mut result = Vec::new();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let chunk = rest.split_to(rest.len().min(*cut));
        result.extend_from_slice(&push(chunk));
    }
    result
}

#[track_caller]
fn same(left: &[u8], right: &[u8], what: &str) {
    assert!(
        left == right,
        "{what}:\n{}\n{}",
        left.escape_ascii(),
        right.escape_ascii()
    );
}

/// Where the result has the new base the document has the old one, in some spelling; all else is equal.
fn only_bases_changed(document: &[u8], result: &[u8], character: fn(&[u8]) -> Option<(u8, usize)>) {
    let (mut given, mut made) = (document, result);
    while !made.is_empty() {
        if let Some(rest) = made.strip_prefix(TO.as_bytes()) {
            made = rest;
            given = without_base(given, character).expect("what changed was a base");
            continue;
        }
        if let Some(rest) = made.strip_prefix(TO_ENCODED.as_bytes()) {
            made = rest;
            let character = |text: &[u8]| percent_encoded(text, character);
            given = without_base(given, character).expect("what changed was an encoded base");
            continue;
        }
        if let Some(rest) = made.strip_prefix(TO_ENCODED_TWICE.as_bytes()) {
            made = rest;
            let once = |text: &[u8]| percent_encoded(text, character);
            let twice = |text: &[u8]| percent_encoded(text, once);
            given = without_base(given, twice).expect("what changed was a base encoded twice");
            continue;
        }
        assert_eq!(given.first(), made.first(), "something else changed");
        (given, made) = (&given[1..], &made[1..]);
    }
    assert!(given.is_empty(), "something was lost");
}

fn without_base(text: &[u8], character: impl Fn(&[u8]) -> Option<(u8, usize)>) -> Option<&[u8]> {
    let strip = |at: usize, wanted: &str, any_case: bool| {
        let mut at = at;
        for wanted in wanted.bytes() {
            let (found, len) = character(&text[at..])?;
            let equal = found == wanted || any_case && found.eq_ignore_ascii_case(&wanted);
            at = equal.then_some(at + len)?;
        }
        Some(at)
    };
    let host = strip(0, HOST, true)?;
    let port = strip(host, ":443", false).unwrap_or(host);
    let end = strip(port, &FROM[HOST.len()..], false)?;
    Some(&text[end..])
}

/// A character of a query, percent-encoded or not.
fn percent_encoded(
    text: &[u8],
    character: impl Fn(&[u8]) -> Option<(u8, usize)>,
) -> Option<(u8, usize)> {
    let (sign, len) = character(text)?;
    let digit = |at: usize| {
        let (digit, len) = character(&text[at..])?;
        Some((char::from(digit).to_digit(16)?, at + len))
    };
    let escaped = |start| {
        let (high, middle) = digit(start)?;
        let (low, end) = digit(middle)?;
        Some((u8::try_from(high << 4 | low).ok()?, end))
    };
    // Without two digits it is a sign like any other.
    let escaped = escaped(len).filter(|_| sign == b'%');
    Some(escaped.unwrap_or((sign, len)))
}

fn plain_character(text: &[u8]) -> Option<(u8, usize)> {
    Some((*text.first()?, 1))
}

fn json_character(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'\\', b'/', ..] => Some((b'/', 2)),
        [b'\\', b'u', digits @ ..] => {
            let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, 6))
        }
        _ => plain_character(text),
    }
}

fn xml_character(text: &[u8]) -> Option<(u8, usize)> {
    let Some(rest) = text.strip_prefix(b"&#") else {
        return plain_character(text);
    };
    let end = rest.iter().position(|byte| *byte == b';')?;
    let number = std::str::from_utf8(&rest[..end]).ok()?;
    let character = match number.strip_prefix('x') {
        Some(digits) => u8::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some((character, end + 3))
}
