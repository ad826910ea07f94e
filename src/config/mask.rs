//! Decides which parts of a configuration file must never be shown.
//!
//! A file that is refused may hold a secret where none belongs, under a misspelt key or in a
//! header, and error messages end up in tickets. So this errs on the side of hiding: what is
//! masked depends on names alone, not on whether the rest could be understood.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::report::Report;

/// Parts of key names that promise a secret.
const TELLING: [&str; 9] = [
    "secret", "token", "passw", "pwd", "key", "auth", "cookie", "bearer", "assert",
];

/// Names that contain such a part and say nothing.
const HARMLESS_ELSEWHERE: [&str; 4] = ["authority", "token_url", "token_file", "key_id"];

/// All that may be shown of a credential.
const HARMLESS_IN_CREDENTIALS: [&str; 20] = [
    "tenant",
    "client_id",
    "subscription",
    "path",
    "timeout",
    "authority",
    "token_url",
    "token_file",
    "issuer",
    "scope",
    "resource",
    "endpoint",
    "object_id",
    "resource_id",
    "auth",
    "algorithm",
    "key_id",
    "url",
    "env",
    "file",
];

/// Masks the secrets of a file that could be parsed.
pub(super) fn mask_tree(table: &DeTable<'_>, report: &mut Report) {
    for (key, value) in table {
        mask_value(key.get_ref(), value, key.get_ref() == "credentials", report);
    }
}

fn mask_value(
    key: &str,
    value: &toml::Spanned<DeValue<'_>>,
    in_credentials: bool,
    report: &mut Report,
) {
    match value.get_ref() {
        DeValue::Table(table) => {
            let all = matches!(key, "headers" | "parameters");
            for (inner, value) in table {
                if all && !value.get_ref().is_table() {
                    report.mask(value.span());
                } else {
                    mask_value(inner.get_ref(), value, in_credentials, report);
                }
            }
        }
        DeValue::Array(array) if !array.is_empty() => {
            for value in array {
                mask_value(key, value, in_credentials, report);
            }
        }
        other => {
            let harmless = if in_credentials {
                HARMLESS_IN_CREDENTIALS.contains(&key)
            } else {
                !is_telling(key)
            };
            if !harmless || other.as_str().is_some_and(tells_by_itself) {
                report.mask(value.span());
            }
        }
    }
}

/// Whether a key's name promises a secret.
pub(super) fn is_telling(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !HARMLESS_ELSEWHERE.contains(&key.as_str()) && TELLING.iter().any(|part| key.contains(part))
}

/// A PEM key, or a URL with user info or a query, where signatures and keys are pasted.
fn tells_by_itself(value: &str) -> bool {
    value.contains("-----BEGIN") || value.contains(['@', '?'])
}

/// Masks what could be a secret around a syntax error, where there is no tree to go by: if the
/// assignment the error lies in (on its own line or the nearest one above) has a telling name or
/// value, all that follows the key.
pub(super) fn mask_around(text: &str, at: usize, report: &mut Report) {
    let line_start = text[..at].rfind('\n').map_or(0, |i| i + 1);
    let line_end = text[at..].find('\n').map_or(text.len(), |i| at + i);
    let line = &text[line_start..line_end];
    if let Some(span) = telling_part(line) {
        report.mask(line_start + span.start..line_start + span.end);
        return;
    }
    let above = text[..line_start]
        .lines()
        .rev()
        .find(|line| assigned(line).is_some() || line.trim_start().starts_with('['));
    if let Some(above) = above
        && telling_part(above).is_some()
        && (!line.contains('=') || leaves_a_string_open(above))
    {
        report.mask(line_start..line_end);
    }
}

/// Whether what follows may belong to a string that starts here: a PEM key's last line has a `=`.
fn leaves_a_string_open(line: &str) -> bool {
    ["\"\"\"", "'''"].iter().any(|quotes| line.contains(quotes))
        || line.matches('"').count() % 2 == 1
        || line.matches('\'').count() % 2 == 1
}

/// The key of a line such as `key = …`, and where its value starts.
fn assigned(line: &str) -> Option<(&str, usize)> {
    let equals = line.find('=')?;
    Some((&line[..equals], equals + 1))
}

fn telling_part(line: &str) -> Option<Range<usize>> {
    let all = line.to_ascii_lowercase();
    let telling = TELLING.iter().any(|part| all.contains(part)) || tells_by_itself(line);
    if !telling {
        return None;
    }
    let start = assigned(line).map_or(0, |(_, start)| start);
    // The header of a table holds names only.
    if line.trim_start().starts_with('[') {
        return None;
    }
    Some(start..line.len())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn shown_at(text: &str, needle: &str) -> String {
        let at = text.find(needle).expect("in the text");
        let mut report = Report::default();
        report.set_source(Path::new("f.toml"), text.into());
        mask_around(text, at, &mut report);
        report.refuse((at..at + 1).into(), "m", "r");
        report.into_errors().expect("a problem").to_string()
    }

    #[test]
    fn hides_a_secret_around_a_syntax_error() {
        for text in [
            "secret = hunter2",
            "client_secret=\"hunter2",
            "[a]\nx = { token = hunter2 }",
            "url = https://user@hunter2",
            "key = \"\"\"\n-----BEGIN\nhunter2==",
            "token = \"abc\nhunter2=\"",
            "tokens = [\n  hunter2,\n]",
        ] {
            let shown = shown_at(text, "hunter2");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn shows_what_is_no_secret() {
        for text in [
            "listen = [\n  oops\n]",
            "secret = { env = \"S\" }\ntenant = oops",
            "[security]\noops",
            "[credentials.app.client-secret]\ntenant = oops",
        ] {
            let shown = shown_at(text, "oops");
            assert!(
                shown.contains("| tenant = oops") || shown.contains("oops\n"),
                "{shown}"
            );
        }
    }

    #[test]
    fn knows_a_secret_by_its_key() {
        for key in [
            "client_secret",
            "Password",
            "api-key",
            "X-Auth",
            "caller_token",
        ] {
            assert!(is_telling(key), "{key}");
        }
        for key in ["tenant", "authority", "token_url", "upstream", "env"] {
            assert!(!is_telling(key), "{key}");
        }
    }
}
