//! Shortens distinguished names for people.

use super::der::{Element, OBJECT_IDENTIFIER, SEQUENCE, SET};

/// The OID 2.5.4.3 (RFC 5280, appendix A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// The OID 2.5.4.10 (RFC 5280, appendix A.1).
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const BMP_STRING: u8 = 0x1e;

/// Returns the common name with the organization in parentheses, or whichever of them is present.
pub(super) fn of(name: &Element<'_>) -> String {
    let common_name = attribute(name, COMMON_NAME);
    match (common_name, attribute(name, ORGANIZATION)) {
        (Some(common_name), Some(organization)) => format!("{common_name} ({organization})"),
        (one, other) => one.or(other).unwrap_or_default(),
    }
}

/// Returns the first value of a type. A `Name` is a sequence of sets, whose elements are pairs of
/// type and value.
fn attribute(name: &Element<'_>, wanted: &[u8]) -> Option<String> {
    let mut next = Element::first(name.content);
    while let Some(set) = next {
        next = set.next();
        let Some(pair) = Element::first(set.expect(SET)?.content) else {
            continue;
        };
        let kind = Element::first(pair.expect(SEQUENCE)?.content)?;
        let value = kind.next()?;
        if kind.expect(OBJECT_IDENTIFIER)?.content == wanted {
            return Some(text(&value));
        }
    }
    None
}

fn text(value: &Element<'_>) -> String {
    if value.tag == BMP_STRING {
        let (units, _) = value.content.as_chunks();
        let units: Vec<u16> = units.iter().copied().map(u16::from_be_bytes).collect();
        return String::from_utf16_lossy(&units);
    }
    String::from_utf8_lossy(value.content).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("a short one");
        [&[tag, length], content].concat()
    }

    fn pair(kind: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        let pair = [element(OBJECT_IDENTIFIER, kind), element(tag, value)].concat();
        element(SET, &element(SEQUENCE, &pair))
    }

    #[test]
    fn says_the_name_and_the_organization() {
        const UTF8: u8 = 0x0c;
        const COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
        let country = pair(COUNTRY, UTF8, b"US");
        let organization = pair(ORGANIZATION, UTF8, b"Contoso");
        let common_name = pair(COMMON_NAME, UTF8, b"*.example");
        let in_utf16 = pair(COMMON_NAME, BMP_STRING, &[0, b'C', 0, b'A']);
        for (parts, expected) in [
            (
                vec![&country, &organization, &common_name],
                "*.example (Contoso)",
            ),
            (vec![&country, &organization], "Contoso"),
            (vec![&in_utf16], "CA"),
            (vec![&country], ""),
            (vec![], ""),
        ] {
            let parts: Vec<u8> = parts.into_iter().flatten().copied().collect();
            let whole = element(SEQUENCE, &parts);
            assert_eq!(of(&Element::first(&whole).expect("DER")), expected);
        }
    }
}
