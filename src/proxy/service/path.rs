//! Methods and paths, as every kind of service reads them.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// A method that changes nothing by its definition (RFC 9110, section 9.2.1). TRACE is not forwarded.
pub(super) fn is_read_method(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The percent-decoded segments of a path behind its first slash. Some may be empty.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    // Most paths need no decoding, which would cost more than all that is done with the segments.
    let is_encoded = path.contains('%');
    path.split('/').skip(1).map(move |segment| {
        if is_encoded {
            percent_decode_str(segment).decode_utf8_lossy()
        } else {
            Cow::Borrowed(segment)
        }
    })
}

/// The first of `names`, which are in byte order, in the start of a path. A DICOM path begins with a
/// version, and with a partition where there are any.
pub(super) fn resource(path: &str, names: &[&'static str]) -> &'static str {
    segments(path)
        .filter(|segment| !segment.is_empty())
        .take(4)
        .find_map(|segment| names.binary_search(&&*segment).ok())
        .map_or("-", |index| names[index])
}

/// A segment that every server reads alike: nothing encoded in it, and not a dot segment.
pub(super) fn is_name(segment: &str) -> bool {
    segment.starts_with(|first: char| first.is_ascii_alphanumeric())
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}
