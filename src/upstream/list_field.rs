//! Header fields whose values are lists (RFC 9110, section 5.6.1).

use http::HeaderValue;

/// The members of the list that one field contains.
pub fn members(field: &HeaderValue) -> impl DoubleEndedIterator<Item = &[u8]> {
    let members = field.as_bytes().split(|byte| *byte == b',');
    members.map(<[u8]>::trim_ascii)
}
