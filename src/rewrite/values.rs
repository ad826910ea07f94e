//! Rewrites links in header fields.

use super::bases::{Bases, Matcher, Syntax};

impl Bases {
    /// Rewrites a value that is one absolute URL, such as `Location` and `Content-Location`.
    /// Returns `None` if nothing changes.
    pub fn rewrite_url(&self, url: &[u8]) -> Option<Vec<u8>> {
        let mut matcher = Matcher::default();
        matcher.start(self);
        for byte in url {
            if !matcher.feed(self, *byte, 1) {
                break;
            }
        }
        // After a mismatch no base is complete, so `finish` adds no match.
        let found = matcher.finish(self)?;
        let rest = &url[found.len..];
        Some([self.replacement(found, Syntax::Plain).as_bytes(), rest].concat())
    }

    /// Rewrites the target of each link `<…>; rel=…` in a `Link` field (RFC 8288). `rewrite`
    /// returns the replacement of one target. Returns `None` if nothing changes.
    pub fn rewrite_links(
        field: &[u8],
        rewrite: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let mut result = Vec::new();
        let mut done = 0;
        let mut at = 0;
        let mut in_quotes = false;
        while let Some(byte) = field.get(at) {
            match byte {
                b'\\' if in_quotes => at += 1,
                b'"' => in_quotes = !in_quotes,
                b'<' if !in_quotes => {
                    let target = &field[at + 1..];
                    let len = memchr::memchr(b'>', target).unwrap_or(target.len());
                    if let Some(changed) = rewrite(&target[..len]) {
                        result.extend_from_slice(&field[done..=at]);
                        result.extend_from_slice(&changed);
                        done = at + 1 + len;
                    }
                    at += len;
                }
                _ => {}
            }
            at += 1;
        }
        finished(result, &field[done..])
    }
}

fn finished(mut result: Vec<u8>, rest: &[u8]) -> Option<Vec<u8>> {
    // A replacement is never empty, so an empty result means that nothing changed.
    if result.is_empty() {
        return None;
    }
    result.extend_from_slice(rest);
    Some(result)
}

/// Writes a base into a query. It encodes as few characters as the original, but enough to keep the
/// base one part of one value, and of one XML attribute.
pub(super) fn encode(base: &str, is_encoded: bool, result: &mut Vec<u8>) {
    for byte in base.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || (!is_encoded && !b"&+%#,;$'".contains(&byte));
        if plain {
            result.push(byte);
        } else {
            result.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

/// Percent-encodes a fully percent-encoded text once more, for a query within a query.
pub(super) fn encode_again(once: &[u8], result: &mut Vec<u8>) {
    for byte in once {
        match byte {
            b'%' => result.extend_from_slice(b"%25"),
            _ => result.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Bases;
    use crate::config::ServiceUrl;

    fn bases(from: &str, to: &str) -> Bases {
        let url = |text| ServiceUrl::parse(text).expect("a base URL");
        Bases::new([(&url(from), &url(to))])
    }

    fn responses() -> Bases {
        bases("https://h.example/v2", "http://localhost:8080/dicom")
    }

    fn requests() -> Bases {
        bases("http://localhost:8080/fhir", "https://h.example")
    }

    #[track_caller]
    fn is(result: Option<Vec<u8>>, expected: Option<&str>) {
        let result = result.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(result.as_deref(), expected);
    }

    #[test]
    fn a_location_changes_up_to_its_base() {
        for (url, expected) in [
            ("https://h.example/v2", Some("http://localhost:8080/dicom")),
            (
                "https://h.example/v2/",
                Some("http://localhost:8080/dicom/"),
            ),
            (
                "HTTPS://H.example:443/v2/a%20b?c#d",
                Some("http://localhost:8080/dicom/a%20b?c#d"),
            ),
            (
                "https://h.example/v2?x",
                Some("http://localhost:8080/dicom?x"),
            ),
            (
                "https://h.example/v2/https://h.example/v2",
                Some("http://localhost:8080/dicom/https://h.example/v2"),
            ),
            ("https://h.example/v22", None),
            ("https://h.example/v", None),
            ("https://h.example", None),
            ("https://h.example:8443/v2", None),
            ("https://h.example/V2", None),
            ("http://h.example/v2", None),
            (" https://h.example/v2", None),
            ("/v2/studies", None),
            ("", None),
        ] {
            is(responses().rewrite_url(url.as_bytes()), expected);
        }
        is(Bases::default().rewrite_url(b"https://h.example"), None);
    }

    #[test]
    fn each_target_of_a_link_field_changes() {
        for (field, expected) in [
            (
                "<https://h.example/v2/a>; rel=\"next\", <https://other.example>; title=\"<https://h.example/v2>\\\"\", <https://h.example/v2>",
                Some(
                    "<http://localhost:8080/dicom/a>; rel=\"next\", <https://other.example>; title=\"<https://h.example/v2>\\\"\", <http://localhost:8080/dicom>",
                ),
            ),
            (
                "<https://h.example/v2",
                Some("<http://localhost:8080/dicom"),
            ),
            ("https://h.example/v2", None),
            ("<>", None),
            ("\"\\", None),
            ("", None),
        ] {
            let rewrite = |target: &[u8]| responses().rewrite_url(target);
            is(Bases::rewrite_links(field.as_bytes(), rewrite), expected);
        }
    }

    #[test]
    fn each_value_of_a_query_changes_in_its_own_spelling() {
        for (query, expected) in [
            (
                "subject=http%3A%2F%2Flocalhost%3A8080%2Ffhir%2FPatient%2F1&_count=5",
                Some("subject=https%3A%2F%2Fh.example%2FPatient%2F1&_count=5"),
            ),
            (
                "a=1&subject=http://localhost:8080/fhir/Patient/1",
                Some("a=1&subject=https://h.example/Patient/1"),
            ),
            (
                "s=http://localhost:8080/fhir/a,b,HTTP%3a//LOCALHOST:8080/fhir/c%2Chttp://localhost:8080/fhir&t=http://localhost:8080/fhir",
                Some(
                    "s=https://h.example/a,b,https%3A%2F%2Fh.example/c%2Chttps://h.example&t=https://h.example",
                ),
            ),
            (
                "s=code$http://localhost:8080/fhir/P/1%24http://localhost:8080/fhir|x",
                Some("s=code$https://h.example/P/1%24https://h.example|x"),
            ),
            ("s=x\\$http://localhost:8080/fhir", None),
            ("s=x\\,http://localhost:8080/fhir", None),
            ("s=x%5C%2Chttp://localhost:8080/fhir", None),
            (
                "s=x\\\\,http://localhost:8080/fhir",
                Some("s=x\\\\,https://h.example"),
            ),
            (
                "s=http://localhost:8080/fhir%3Fx",
                Some("s=https://h.example%3Fx"),
            ),
            ("http://localhost:8080/fhir", None),
            ("http://localhost:8080/fhir=x", None),
            ("s=http://localhost:8080/fhirx", None),
            ("s=http://localhost:8080/fhir%2", None),
            ("s=http://localhost:8080/fhir%zz", None),
            (
                "s=(a+re%20http://localhost:8080/fhir/P)&t=%22http%3A//localhost:8080/fhir%22",
                Some("s=(a+re%20https://h.example/P)&t=%22https%3A%2F%2Fh.example%22"),
            ),
            ("s=a:http://localhost:8080/fhir", None),
            ("s=http%253A%252F%252Flocalhost%253A8080%252Ffhir", None),
            ("&&=&a&s=,,%2c", None),
            ("", None),
        ] {
            is(requests().rewrite_query(query.as_bytes()), expected);
        }
    }

    #[test]
    fn a_base_put_into_a_query_stays_one_part_of_one_value() {
        let bases = bases("http://localhost/fhir", "https://h.example/a,b&c%20d$e");
        is(
            bases.rewrite_query(b"s=http://localhost/fhir/x"),
            Some("s=https://h.example/a%2Cb%26c%2520d%24e/x"),
        );
    }
}
