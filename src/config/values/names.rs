//! Names that are passed on byte for byte to the identity provider, to other programs or to
//! clients.

use std::{fmt, sync::Arc};

use super::ValueError;

/// The audience of a token (the `resource` of v1, `{audience}/.default` of v2), byte for byte as
/// configured. Letters, digits and `.-_:/` only, since it is passed to other programs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Audience(Arc<str>);

impl Audience {
    /// Keeps the text unchanged. To Entra, an audience with a slash at its end is another one.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        check_charset("audience", text, ".-_:/")?;
        Ok(Self(text.into()))
    }

    /// The audience as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant id or domain: letters, digits, `.` and `-` only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// Accepts an id (`72f988bf-…`) or a domain (`contoso.onmicrosoft.com`).
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        check_charset("tenant", text, ".-")?;
        Ok(Self(text.into()))
    }

    /// The tenant as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a value that becomes an argument of another program. A quote, a space or a leading dash
/// could make it a second argument or an option.
fn check_charset(what: &str, text: &str, beside: &str) -> Result<(), ValueError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || beside.contains(c);
    let remedy = format!(
        "write the {what} with letters, digits and `{beside}` only, starting with a letter or digit"
    );
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let message = if text.is_empty() {
            format!("the {what} is empty")
        } else {
            format!("the {what} does not start with a letter or digit")
        };
        return Err(ValueError::new(message, remedy));
    }
    match text.chars().find(|c| !allowed(*c)) {
        None => Ok(()),
        Some(c) => Err(ValueError::new(
            format!("the {what} contains `{}`", c.escape_debug()),
            remedy,
        )),
    }
}

/// A route's path prefix. It starts with a slash and does not end with one; the root is the empty
/// string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// Accepts `/` for the root, else segments of letters, digits and `-._~`, which clients do not
    /// percent-encode.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        const REMEDY: &str = "write it as `/fhir` or `/a/b`, or `/` for the root";
        let refuse = |message: String| Err(ValueError::new(message, REMEDY));
        if text == "/" {
            return Ok(Self("".into()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return refuse("the prefix does not start with a slash".to_owned());
        };
        if text.ends_with('/') {
            return refuse("the prefix ends with a slash".to_owned());
        }
        for segment in rest.split('/') {
            if matches!(segment, "" | "." | "..") {
                return refuse("the prefix contains an empty, `.` or `..` segment".to_owned());
            }
            if let Some(c) = segment
                .chars()
                .find(|c| !(c.is_ascii_alphanumeric() || "-._~".contains(*c)))
            {
                return refuse(format!("the prefix contains `{}`", c.escape_debug()));
            }
        }
        Ok(Self(text.into()))
    }

    /// The prefix, empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_an_audience_byte_for_byte() {
        for text in [
            "https://dicom.healthcareapis.azure.com",
            "https://dicom.healthcareapis.azure.com/",
            "api://4f6778d8-5aef-43dc-a1ff-b073724b9495",
            "4f6778d8-5aef-43dc-a1ff-b073724b9495",
        ] {
            assert_eq!(Audience::parse(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn refuses_an_audience_another_program_could_misread() {
        for text in [
            "", "a b", "a\n", "--x", "/x", "a\"b", "a;b", "a$b", "ä", "a&b",
        ] {
            assert!(Audience::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn refuses_a_tenant_that_is_no_id_or_domain() {
        assert!(Tenant::parse("contoso.onmicrosoft.com").is_ok());
        assert!(Tenant::parse("72f988bf-86f1-41af-91ab-2d7cd011db47").is_ok());
        for text in ["", "a/b", "-t", "..", "a_b", "a b", "a:b"] {
            assert!(Tenant::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn reads_prefixes() {
        assert_eq!(Prefix::parse("/").expect("root").as_str(), "");
        assert_eq!(Prefix::parse("/").expect("root").to_string(), "/");
        assert_eq!(Prefix::parse("/a/b-c").expect("nested").as_str(), "/a/b-c");
        for text in [
            "", "fhir", "/fhir/", "//", "/a//b", "/..", "/a/./b", "/%66", "/a?b", "/a#b", "/a\n",
            "/ä", "/a;b", "/a b", "/a\\b",
        ] {
            assert!(Prefix::parse(text).is_err(), "{text:?}");
        }
    }
}
