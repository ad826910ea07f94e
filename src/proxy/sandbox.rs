//! Keeps what a service stores from acting in a browser. A stored document that is opened at the proxy's
//! address has the proxy's origin: a script in it could read every patient.

use http::{HeaderMap, HeaderValue, header};

/// No script, no form, no plugin, and an origin of its own.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox");
/// Browsers show no PDF in a sandbox. Their viewers run its scripts apart from any origin.
const PDF_ONLY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
);
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

/// For an answer of an upstream, whose own words on this count for its own address.
pub(super) fn confine(headers: &mut HeaderMap) {
    let policy = if is_pdf(headers) { PDF_ONLY } else { SANDBOX };
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
}

/// Of several types a browser takes another than we might.
fn is_pdf(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return false;
    };
    content_type
        .as_bytes()
        .eq_ignore_ascii_case(b"application/pdf")
}
