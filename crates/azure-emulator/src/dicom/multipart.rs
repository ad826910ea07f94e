//! `multipart/related` (RFC 2387), in memory: uploads in, retrievals out.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::super::random;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) content_type: String,
    pub(super) content: Bytes,
}

/// The `boundary` parameter of a `multipart/related` content type.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/related") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim().trim_matches('"'))
            .filter(|value| !value.is_empty())
    })
}

/// Splits a body; `None` when it does not end with the closing boundary.
pub(super) fn parse(boundary: &str, body: &Bytes) -> Option<Vec<Part>> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut at = find(body, delimiter.as_bytes(), 0)? + delimiter.len();
    loop {
        if body[at..].starts_with(b"--") {
            return Some(parts);
        }
        let head_start = find(body, b"\r\n", at)? + 2;
        // A part without headers starts with the empty line itself.
        let (head_end, content_start) = if body[head_start..].starts_with(b"\r\n") {
            (head_start, head_start + 2)
        } else {
            let end = find(body, b"\r\n\r\n", head_start)?;
            (end, end + 4)
        };
        let separator = format!("\r\n{delimiter}");
        let content_end = find(body, separator.as_bytes(), content_start)?;
        parts.push(Part {
            content_type: header(&body[head_start..head_end], "content-type"),
            content: body.slice(content_start..content_end),
        });
        at = content_end + separator.len();
    }
}

/// A body of parts, and its content type. Azure leaves the `type` parameter out.
pub(super) fn write(parts: &[Part]) -> (String, Bytes) {
    let boundary = random::guid();
    let length = parts.iter().map(|part| part.content.len() + 200).sum();
    let mut body = BytesMut::with_capacity(length);
    for part in parts {
        body.put_slice(format!("--{boundary}\r\n").as_bytes());
        body.put_slice(format!("Content-Type: {}\r\n\r\n", part.content_type).as_bytes());
        body.put_slice(&part.content);
        body.put_slice(b"\r\n");
    }
    body.put_slice(format!("--{boundary}--\r\n").as_bytes());
    let content_type = format!("multipart/related; boundary={boundary}");
    (content_type, body.freeze())
}

fn header(head: &[u8], wanted: &str) -> String {
    String::from_utf8_lossy(head)
        .lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| value.trim().to_owned())
        })
        .unwrap_or_default()
}

fn find(body: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    // Jumping from one first byte to the next keeps large uploads quick.
    while let Some(step) = body.get(at..)?.iter().position(|byte| *byte == needle[0]) {
        at += step;
        if body[at..].starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let parts = [&b"one\r\n--x"[..], b"", b"\r\n"].map(|content| Part {
            content_type: "application/dicom; transfer-syntax=1.2".to_owned(),
            content: Bytes::from_static(content),
        });
        let (content_type, body) = write(&parts);
        let boundary = boundary(&content_type).expect("a boundary");
        assert_eq!(parse(boundary, &body).expect("well-formed"), parts);
    }

    #[test]
    fn reads_preambles_and_parts_without_headers() {
        let body = Bytes::from_static(b"hello\r\n--b\r\n\r\nbare\r\n--b--");
        let parts = parse("b", &body).expect("well-formed");
        assert_eq!(parts[0].content, "bare");
        assert_eq!(parts[0].content_type, "");
    }

    #[test]
    fn rejects_what_does_not_end() {
        let body = Bytes::from_static(b"--b\r\nContent-Type: a/b\r\n\r\ncut");
        assert_eq!(parse("b", &body), None);
        assert_eq!(parse("other", &body), None);
    }

    #[test]
    fn finds_the_boundary_whatever_the_quotes() {
        assert_eq!(
            boundary("multipart/related; type=\"application/dicom\"; boundary=abc"),
            Some("abc")
        );
        assert_eq!(boundary("Multipart/Related;Boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary("multipart/form-data; boundary=abc"), None);
    }
}
