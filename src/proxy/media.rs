//! The media types whose bodies may hold links.

use http::{HeaderMap, header};

/// How a body is written, and by whose rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    FhirJson,
    DicomJson,
    /// A patch, for example.
    OtherJson,
    /// Of no format that the type names, or of a patch and the like.
    Xml,
    FhirXml,
    Form,
}

/// FHIR takes the general types for its own (hl7.org/fhir/R4/http.html#mime-type), and was
/// registered under others before (hl7.org/fhir/DSTU2/http.html#mime-type).
const KNOWN: [(&str, Media); 12] = [
    ("application/json", Media::Json),
    ("text/json", Media::Json),
    ("application/fhir+json", Media::FhirJson),
    ("application/json+fhir", Media::FhirJson),
    ("text/fhir+json", Media::FhirJson),
    ("application/dicom+json", Media::DicomJson),
    ("application/xml", Media::Xml),
    ("text/xml", Media::Xml),
    ("application/fhir+xml", Media::FhirXml),
    ("application/xml+fhir", Media::FhirXml),
    ("text/fhir+xml", Media::FhirXml),
    ("application/x-www-form-urlencoded", Media::Form),
];

impl Media {
    /// Of a body in UTF-8.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next()?;
        let known = KNOWN
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        let media = known.map(|(_, media)| *media).or_else(|| other(name))?;
        parts.all(is_utf8).then_some(media)
    }
}

/// Of a type that only tells its syntax (RFC 6839). Web pages and pictures are nobody's resources.
fn other(name: &str) -> Option<Media> {
    let name = name.to_ascii_lowercase();
    if name
        .strip_suffix("+json")
        .is_some_and(|start| !start.is_empty())
    {
        return Some(Media::OtherJson);
    }
    let start = name.strip_prefix("application/")?.strip_suffix("+xml")?;
    (!start.is_empty() && start != "xhtml").then_some(Media::Xml)
}

/// Whether a parameter of a media type leaves the text in UTF-8.
fn is_utf8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return true;
    };
    let value = value.trim().trim_matches('"');
    !name.trim().eq_ignore_ascii_case("charset")
        || ["utf-8", "utf8", "us-ascii"]
            .iter()
            .any(|known| value.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn media_types_are_known_in_every_spelling() {
        for (text, expected) in [
            ("application/fhir+json", Some(Media::FhirJson)),
            (
                "Application/FHIR+JSON;charset=\"UTF-8\"",
                Some(Media::FhirJson),
            ),
            ("application/json ; charset=utf-8", Some(Media::Json)),
            ("application/json; fhirVersion=4.0", Some(Media::Json)),
            ("text/json", Some(Media::Json)),
            ("text/fhir+json", Some(Media::FhirJson)),
            ("application/json+fhir", Some(Media::FhirJson)),
            ("application/json-patch+json", Some(Media::OtherJson)),
            ("application/xml", Some(Media::Xml)),
            ("TEXT/xml; charset=utf-8", Some(Media::Xml)),
            ("text/xml; charset=iso-8859-1", None),
            ("application/fhir+xml", Some(Media::FhirXml)),
            ("application/xml+fhir", Some(Media::FhirXml)),
            ("application/xml-patch+xml", Some(Media::Xml)),
            ("Application/XML-Patch+XML; charset=utf-8", Some(Media::Xml)),
            ("application/+xml", None),
            ("image/svg+xml", None),
            ("text/html", None),
            ("application/xhtml+xml", None),
            ("application/fhir+json; charset=utf-16", None),
            ("application/fhir+ndjson", None),
            ("multipart/related; type=\"application/dicom+json\"", None),
            ("+json", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            assert_eq!(Media::of(&headers), expected, "{text}");
        }
    }
}
