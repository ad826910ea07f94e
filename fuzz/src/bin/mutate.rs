//! Runs the checks on inputs made from samples by mutation, without coverage and on stable:
//! `mutate [RUNS] [SEED]`.

use std::panic::{AssertUnwindSafe, catch_unwind};

const SAMPLES: [&str; 19] = [
    "\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\x7f\x7f\0\0\x0f\x01\x05\0\0\0\x01\x44\x07/a?b#cd\x40\x01a\x01b\0\0\x08\x01\x08\0\0\0\x03\x02\x7e\x02/c..\0\0\x03\x09\x04\0\0\0\x03\x20\x04\0",
    "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: W/\"1\"\r\n\r\nabcdef",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nETag: 1\r\n\r\n",
    "HTTP/1.1 404 Not here\r\ncontent-length: 3, 3\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nX: \u{e9}\r\n\r\nabc",
    r#"<!DOCTYPE x [<!ENTITY e "]>"><!-- ' -->]><f:diff><f:replace sel="a"> https:&#x2f;/h.example/v2/P?a=https://h.example/v2|1</f:replace><add><x:div>https://h.example/v2</x:div></add></f:diff>"#,
    r#"{"op":"replace","path":"/criteria","value":"P?_typeFilter=O%3Fa=1%26b%3Dhttps:%2f/h.example/v2/x,Q?c=x$https://h.example/v2|1","valueString":"https://h.example/v2|2","div":"https://h.example/v2"}"#,
    r#"{"resourceType":"Bundle","entry":[{"resource":{"subject":{"reference":"Patient?organization=https:\/\/h.example/v2/Organization/1,https%3A%2F%2Fh.example%2fv2"},"criteria":"Observation?a=\\,b&subject=https:\u002f%2fh.example/v2"},"request":{"url":"https://h.example/v2/Patient?x=https://h.example/v2/1#y","ifNoneExist":"subject=https://h.example/v2/1&x:y=https://h.example/v2"}}]}"#,
    r#"<Bundle><entry><resource><X><reference value="Patient?a=1&amp;b=https:&#x2f;/h.example/v2/x,https%3a&#37;2F/h.example/v2"/></X></resource><request><ifNoneExist value='a=https://h.example/v2&amp;b'/><url value="https://h.example/v2/P?x=https%3A//h.example/v2"/></request></entry></Bundle>"#,
    r#"{"resourceType":"Bundle","id":"1","type":"searchset","link":[{"relation":"next","url":"https://h.example/v2/Patient?ct=1"}],"entry":[{"fullUrl":"https://h.example/v2/Patient/1","resource":{"resourceType":"Patient","text":{"div":"<a href=\"https://h.example/v2\">\\</a>"},"link":[{"url":"https://h.example/v2"}]},"search":{"mode":"match"}}]}"#,
    r#"{"resourceType":"Bundle","type":"batch-response","entry":[{"resource":{"resourceType":"Bundle","type":"history","link":[{"url":"HTTPS:\/\/h.example:443\u002fv2\/x"}],"entry":[{"request":{"url":"https://h.example/v2"}}]},"response":{"location":"https://h.example/v2/Patient/1"}}]}"#,
    r#"{"link":[{"url":"https://h.example/v2/a"}],"entry":[{"fullUrl":"https://h.example/v2/b"}],"type":"searchset","resourceType":"Bundle"}"#,
    r#"{"entry":[{"resource":{"link":[{"url":"https://h.example/v2/a"}],"entry":[{"fullUrl":"https://h.example/v2/b"}],"type":"searchset","resourceType":"Bundle"},"fullUrl":"https://h.example/v2/c"}],"type":"batch-response","resourceType":"Bundle"}"#,
    r#"{"resourceType":"CapabilityStatement","url":"https://h.example/v2/metadata","implementation":{"url":"https://h.example/v2"},"rest":[{"operation":[{"definition":"https://h.example/v2/o"}],"resource":[{"operation":[{"definition":"https://h.example/v2/p"}]}]}]}"#,
    r#"{"transactionTime":"2026","request":"https://h.example/v2/$export","output":[{"url":"https://h.example/v2/x"}]}"#,
    r#"{"00081190":{"vr":"UR","Value":["https://h.example/v2/studies/1"]},"00081199":{"vr":"SQ","Value":[{"00081190":{"vr":"UR","Value":["https://h.example/v2/studies/1"]}}]}}"#,
    r#"{"id":"1","href":"https://h.example/v2/operations/1","resources":["https://h.example/v2/x"],"errors":{"href":"https://h.example/v2"},"operation":{"href":"https://h.example/v2"}}"#,
    r#"<?xml version="1.0"?><Bundle xmlns="http://hl7.org/fhir"><!-- c --><type value="batch-response"/><link><url value="https://h.example/v2?a=b&amp;c"/></link><entry><resource><Bundle><type value='history'/><entry><fullUrl value='https:&#x2f;/h.example:443/v2/P'/></entry></Bundle></resource><response><location value="https://h.example/v2"/></response></entry><![CDATA[<x>]]></Bundle>"#,
    r#"s=https://h.example/v2/a,https%3A%2F%2Fh.example%2Fv2&<https://h.example/v2/b>; rel="next", <https://h.example/v2>"#,
];

const PIECES: [&str; 47] = [
    "\0\0\x05\x01\x05\0\0\0\x05\x04\x03/d#",
    "\x44\x03/e#",
    "\0\x05:path\x02/#",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "HTTP/1.1 ",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "0\r\n",
    "ffffffff",
    "https%3A%2F%2Fh.example%2Fv2",
    "\"reference\":\"",
    "\"ifNoneExist\":\"",
    "%",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\\u002f",
    "\\/",
    "\\\"",
    "https://h.example/v2",
    "https://h.example:443/v2/",
    "HTTPS://H.EXAMPLE/v2",
    "h",
    "https://",
    "\"url\":",
    "\"link\":[",
    "\"resource\":{",
    "\"resourceType\":\"Bundle\"",
    "\"type\":\"searchset\"",
    "\"entry\":[{",
    " ",
    "\u{e9}",
    "&",
    "&#47;",
    "<",
    "/>",
    "<link>",
    "%2C",
    "=",
    "?",
];

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    fn input(&mut self) -> Vec<u8> {
        let mut input = vec![0, 0, 0];
        input.extend_from_slice(SAMPLES[self.below(SAMPLES.len())].as_bytes());
        for _ in 0..self.below(6) {
            self.mutate(&mut input);
        }
        if self.below(50_000) == 0 {
            // More than is kept back while it is unknown what the document is.
            let place = 3 + self.below(input.len() - 3);
            input.splice(place..place, std::iter::repeat_n(b' ', 5 << 20));
        }
        input.resize(input.len().max(3), 0);
        for choice in &mut input[..3] {
            *choice = self.below(256) as u8;
        }
        input[0] = [0, 0, 1, 2, 3, 4][self.below(6)];
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let start = 3 + self.below(input.len() - 3);
        let end = input.len().min(start + self.below(40));
        match self.below(4) {
            0 => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(start..start, piece.bytes());
            }
            1 => {
                let piece = PIECES[self.below(PIECES.len())];
                input.splice(start..end, piece.bytes());
            }
            2 => {
                let copy = input[start..end].to_vec();
                let place = 3 + self.below(input.len() - 3);
                input.splice(place..place, copy);
            }
            _ => {
                input.drain(start..end);
            }
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let runs = number(1_000_000_u64);
    let mut dice = Dice(number(0x9e37_79b9_7f4a_7c15) | 1);
    for run in 0..runs {
        let input = dice.input();
        let checked = catch_unwind(AssertUnwindSafe(|| {
            ahds_proxy_fuzz::json(&input);
            ahds_proxy_fuzz::xml(&input);
            ahds_proxy_fuzz::values(&input[3..]);
            ahds_proxy_fuzz::response(&input);
            ahds_proxy_fuzz::targets(&input[1..]);
        }));
        if checked.is_err() {
            eprintln!("run {run}: b\"{}\"", input.escape_ascii());
            std::process::exit(1);
        }
    }
    println!("{runs} inputs checked");
}
