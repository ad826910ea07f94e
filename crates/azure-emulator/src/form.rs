//! `application/x-www-form-urlencoded`: token requests, queries and `_search` forms.

/// Fields in the order they came; a field may repeat.
pub(super) type Fields = Vec<(String, String)>;

/// Decodes a query or a form body. Broken escapes stay as they are.
pub(super) fn parse(text: &str) -> Fields {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The first field of that name.
pub(super) fn get<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// The first field of that name as a number, if it is one.
pub(super) fn number<T: std::str::FromStr>(fields: &[(String, String)], name: &str) -> Option<T> {
    get(fields, name)?.parse().ok()
}

/// Undoes percent-encoding, and `+` for a space.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], escaped) {
            (_, Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (b'+', None) => {
                decoded.push(b' ');
                at += 1;
            }
            (byte, None) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_escapes_and_keeps_broken_ones() {
        assert_eq!(
            parse("a=b+c&scope=https%3A%2F%2Fx%2F.default&&odd=100%&flag"),
            [
                ("a".into(), "b c".into()),
                ("scope".into(), "https://x/.default".into()),
                ("odd".into(), "100%".into()),
                ("flag".into(), String::new()),
            ]
        );
    }
}
