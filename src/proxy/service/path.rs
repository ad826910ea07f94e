//! Methods and paths, as every kind of service reads them.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// Whether a method is safe by its definition (RFC 9110, section 9.2.1). TRACE is not forwarded.
pub(super) fn is_read_method(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The percent-decoded segments of a path after its first slash. Some may be empty.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    // Most paths are not encoded, and decoding would cost more than all uses of the segments.
    let is_encoded = path.contains('%');
    path.split('/').skip(1).map(move |segment| {
        if is_encoded {
            percent_decode_str(segment).decode_utf8_lossy()
        } else {
            Cow::Borrowed(segment)
        }
    })
}

/// The first segment in the start of a path that is one of `names`, which are in byte order. A
/// DICOM path begins with a version, and with a partition if the service has partitions.
pub(super) fn resource(path: &str, names: &[&'static str]) -> &'static str {
    segments(path)
        .filter(|segment| !segment.is_empty())
        .take(4)
        .find_map(|segment| names.binary_search(&&*segment).ok())
        .map_or("-", |index| names[index])
}

/// Whether every server reads a segment alike: it is not encoded, and not a dot segment.
pub(super) fn is_name(segment: &str) -> bool {
    segment.starts_with(|first: char| first.is_ascii_alphanumeric())
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}
