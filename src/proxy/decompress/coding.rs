//! The content coding that a head names.

use http::{HeaderMap, header};

/// The content codings that can be decoded (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Coding {
    Gzip,
    Deflate,
}

/// A coding that cannot be decoded, or several codings.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::proxy) struct UnknownCoding;

impl Coding {
    /// `None` for a body that is not compressed.
    pub(in crate::proxy) fn of(headers: &HeaderMap) -> Result<Option<Self>, UnknownCoding> {
        let mut codings = super::super::headers::list(headers, header::CONTENT_ENCODING)
            .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
        let Some(coding) = codings.next() else {
            return Ok(None);
        };
        let is = |name: &[u8]| coding.eq_ignore_ascii_case(name);
        match codings.next() {
            None if is(b"gzip") || is(b"x-gzip") => Ok(Some(Self::Gzip)),
            None if is(b"deflate") => Ok(Some(Self::Deflate)),
            _ => Err(UnknownCoding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_read_in_every_spelling() {
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&[""], Ok(None)),
            (&["identity"], Ok(None)),
            (&["GZip"], Ok(Some(Coding::Gzip))),
            (&["x-gzip ,"], Ok(Some(Coding::Gzip))),
            (&["gzip, Identity"], Ok(Some(Coding::Gzip))),
            (&["identity", "deflate"], Ok(Some(Coding::Deflate))),
            (&["gzip, gzip"], Err(UnknownCoding)),
            (&["gzip", "br"], Err(UnknownCoding)),
            (&["br, identity"], Err(UnknownCoding)),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = http::HeaderValue::from_static(value);
                headers.append(header::CONTENT_ENCODING, value);
            }
            assert_eq!(Coding::of(&headers), expected, "{values:?}");
        }
    }
}
