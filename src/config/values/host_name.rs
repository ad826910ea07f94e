//! Host names for which a certificate can be issued, and in words why a text is not one.

use super::{ValueError, characters::shown};

/// The longest part of a name between two dots (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;

/// Whether the text is a DNS name or an IPv4 address.
pub(in crate::config) fn is_host_name(host: &str) -> bool {
    problem(host).is_none()
}

/// Refuses a text that is not a DNS name or an IPv4 address.
pub(super) fn check(host: &str) -> Result<(), ValueError> {
    let Some((problem, remedy)) = problem(host) else {
        return Ok(());
    };
    Err(ValueError::new(
        format!("`{}` is not a valid host name: {problem}", shown(host)),
        remedy,
    ))
}

/// The problem of a text, and its remedy.
fn problem(host: &str) -> Option<(String, &'static str)> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if host.is_empty() {
        return Some((
            "it is empty".to_owned(),
            "write the name of the host, such as WS-FHIR.fhir.azurehealthcareapis.com",
        ));
    }
    if let Some(c) = host.chars().find(|c| !is_allowed(*c)) {
        return Some((
            format!("it contains `{}`", c.escape_debug()),
            "write a DNS name, an IPv4 address, or an IPv6 address in brackets",
        ));
    }
    if host.ends_with('.') || host.split('.').any(str::is_empty) {
        return Some((
            "it begins or ends with a dot, or has two in a row".to_owned(),
            "write it with single dots between its parts, and none at its end",
        ));
    }
    if host.split('.').any(|label| label.len() > LONGEST_LABEL) {
        return Some((
            format!("a part between two dots is longer than {LONGEST_LABEL} characters"),
            "check it against the URL that the portal shows",
        ));
    }
    (host.len() > LONGEST_NAME).then(|| {
        (
            format!("it is longer than {LONGEST_NAME} characters"),
            "check it against the URL that the portal shows",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_wrong_with_a_name() {
        for (host, expected) in [
            ("", "it is empty"),
            ("a%2e", "it contains `%`"),
            ("h.", "ends with a dot"),
            ("a..b", "two in a row"),
            (&format!("{}.b", "a".repeat(70)), "longer than 63"),
            (&"a.".repeat(128)[..255], "longer than 253"),
        ] {
            let error = check(host).expect_err(host);
            assert!(error.message.contains(expected), "{error:?}");
        }
        assert!(is_host_name("ws-fhir.fhir.azurehealthcareapis.com"));
        assert!(is_host_name("127.0.0.1"));
    }
}
