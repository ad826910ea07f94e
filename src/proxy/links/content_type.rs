//! The content types whose bodies may contain links.

use http::{HeaderMap, header};

/// The format of a body, and the standard that it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum ContentType {
    Json,
    FhirJson,
    DicomJson,
    /// JSON of no named standard, such as a patch.
    OtherJson,
    /// XML of no named standard, such as a patch.
    Xml,
    FhirXml,
    Form,
}

/// The known names. FHIR servers accept the general types (hl7.org/fhir/R4/http.html#mime-type),
/// and older servers use other names (hl7.org/fhir/DSTU2/http.html#mime-type).
const KNOWN: [(&str, ContentType); 12] = [
    ("application/json", ContentType::Json),
    ("text/json", ContentType::Json),
    ("application/fhir+json", ContentType::FhirJson),
    ("application/json+fhir", ContentType::FhirJson),
    ("text/fhir+json", ContentType::FhirJson),
    ("application/dicom+json", ContentType::DicomJson),
    ("application/xml", ContentType::Xml),
    ("text/xml", ContentType::Xml),
    ("application/fhir+xml", ContentType::FhirXml),
    ("application/xml+fhir", ContentType::FhirXml),
    ("text/fhir+xml", ContentType::FhirXml),
    ("application/x-www-form-urlencoded", ContentType::Form),
];

impl ContentType {
    /// The content type of a body. `None` for a body that is not in UTF-8 or cannot contain links.
    pub(in crate::proxy) fn of(headers: &HeaderMap) -> Option<Self> {
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

/// The content type that the suffix of a name shows (RFC 6839), except for web pages and pictures,
/// which are not resources.
fn other(name: &str) -> Option<ContentType> {
    let name = name.to_ascii_lowercase();
    if name
        .strip_suffix("+json")
        .is_some_and(|start| !start.is_empty())
    {
        return Some(ContentType::OtherJson);
    }
    let start = name.strip_prefix("application/")?.strip_suffix("+xml")?;
    (!start.is_empty() && start != "xhtml").then_some(ContentType::Xml)
}

/// Whether a parameter of a content type leaves the text in UTF-8.
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
    fn content_types_are_known_in_every_spelling() {
        for (text, expected) in [
            ("application/fhir+json", Some(ContentType::FhirJson)),
            (
                "Application/FHIR+JSON;charset=\"UTF-8\"",
                Some(ContentType::FhirJson),
            ),
            ("application/json ; charset=utf-8", Some(ContentType::Json)),
            ("application/json; fhirVersion=4.0", Some(ContentType::Json)),
            ("text/json", Some(ContentType::Json)),
            ("text/fhir+json", Some(ContentType::FhirJson)),
            ("application/json+fhir", Some(ContentType::FhirJson)),
            ("application/json-patch+json", Some(ContentType::OtherJson)),
            ("application/xml", Some(ContentType::Xml)),
            ("TEXT/xml; charset=utf-8", Some(ContentType::Xml)),
            ("text/xml; charset=iso-8859-1", None),
            ("application/fhir+xml", Some(ContentType::FhirXml)),
            ("application/xml+fhir", Some(ContentType::FhirXml)),
            ("application/xml-patch+xml", Some(ContentType::Xml)),
            (
                "Application/XML-Patch+XML; charset=utf-8",
                Some(ContentType::Xml),
            ),
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
            assert_eq!(ContentType::of(&headers), expected, "{text}");
        }
    }
}
