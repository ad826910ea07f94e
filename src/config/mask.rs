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

/// All that may be shown of a credential, beside `env` and `file`.
const HARMLESS_IN_CREDENTIALS: [&str; 18] = [
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
];

/// Masks the secrets of a file that could be parsed.
pub(super) fn mask_tree(table: &DeTable<'_>, report: &mut Report) {
    for (key, value) in table {
        match value.get_ref() {
            // A route's name promises nothing.
            DeValue::Table(routes) if key.get_ref() == "routes" => {
                for (name, route) in routes {
                    match route.get_ref() {
                        DeValue::Table(route) => mask_each(route, false, report),
                        _ => mask_value(name.get_ref(), route, false, report),
                    }
                }
            }
            _ => mask_value(key.get_ref(), value, key.get_ref() == "credentials", report),
        }
    }
}

/// Masks every value, for a key that means nothing here.
pub(super) fn mask_whole(value: &toml::Spanned<DeValue<'_>>, report: &mut Report) {
    match value.get_ref() {
        // Not the table itself: its span may be that of its name.
        DeValue::Table(table) => table.values().for_each(|value| mask_whole(value, report)),
        DeValue::Array(array) if !array.is_empty() => {
            array.iter().for_each(|value| mask_whole(value, report));
        }
        _ => report.mask(value.span()),
    }
}

/// `is_strict` where all but what is known to be harmless may be a secret.
fn mask_each(table: &DeTable<'_>, is_strict: bool, report: &mut Report) {
    for (key, value) in table {
        mask_value(key.get_ref(), value, is_strict, report);
    }
}

fn mask_value(key: &str, value: &toml::Spanned<DeValue<'_>>, is_strict: bool, report: &mut Report) {
    match value.get_ref() {
        DeValue::Table(table) if matches!(key, "headers" | "parameters") => {
            for (inner, value) in table {
                if value.get_ref().is_table() {
                    mask_value(inner.get_ref(), value, true, report);
                } else {
                    report.mask(value.span());
                }
            }
        }
        DeValue::Table(table) => mask_each(table, is_strict || is_telling(key), report),
        DeValue::Array(array) if !array.is_empty() => {
            for value in array {
                mask_value(key, value, is_strict, report);
            }
        }
        other => {
            let harmless = match (key, other.as_str()) {
                // Where a secret is to be named, it may have been pasted.
                ("env", Some(name)) => is_variable(name),
                ("file", Some(path)) => is_path(path),
                _ if is_strict => HARMLESS_IN_CREDENTIALS.contains(&key),
                _ => !is_telling(key),
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

/// Whether a text is the name of an environment variable rather than a secret: in capitals, its
/// words short unless they hold no digit.
pub(super) fn is_variable(text: &str) -> bool {
    let is_word = |word: &str| {
        word.bytes().all(|b| b.is_ascii_uppercase())
            || word.len() <= 8
                && word
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_') && text.split('_').all(is_word)
}

/// Whether a text is a path rather than a secret: it starts like one, or ends in an extension.
pub(super) fn is_path(text: &str) -> bool {
    let has_drive = text.as_bytes().get(1) == Some(&b':');
    text.starts_with(['/', '\\', '.', '~'])
        || has_drive
        || text.rsplit_once('.').is_some_and(|(_, extension)| {
            (1..=5).contains(&extension.len())
                && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        })
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
    if let Some(span) = telling_part(line).or_else(|| unknown_part(line, &text[..line_start])) {
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
    let telling = TELLING
        .iter()
        .chain(&["headers", "parameters"])
        .any(|part| all.contains(part))
        || tells_by_itself(line);
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

/// The value of a line whose table holds secrets under names of any kind.
fn unknown_part(line: &str, before: &str) -> Option<Range<usize>> {
    let (key, start) = assigned(line)?;
    let mut above = before.lines().rev().map(str::trim);
    let header = above.find(|line| line.starts_with('['))?;
    let is_free = header.contains("headers]") || header.contains("parameters]");
    let is_known =
        !header.starts_with("[credentials") || HARMLESS_IN_CREDENTIALS.contains(&key.trim());
    (is_free || !is_known).then_some(start..line.len())
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
            "[credentials.app.static]\ntken = hunter2",
            "[credentials.app.oauth2-client-credentials.parameters]\nx = hunter2",
            "[routes.fhir.headers]\nx-site = hunter2",
            "[routes.fhir]\nheaders = { x-site = hunter2 }",
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
    fn tells_a_name_from_a_secret() {
        for name in ["S", "SET_SECRET", "_X", "APP2_KEY", "CLIENTSECRET"] {
            assert!(is_variable(name), "{name}");
        }
        for secret in ["s3cr3t", "Hunter2", "JBSWY3DPEHPK3PXP", "A_b8Q", "", "A-B"] {
            assert!(!is_variable(secret), "{secret}");
        }
        for path in [
            "/run/secrets/db",
            "./s",
            "token.txt",
            "C:\\s",
            "~/s",
            "a/b.pem",
        ] {
            assert!(is_path(path), "{path}");
        }
        for secret in [
            "hunter2",
            "aB8Q~x.yyyyyyyyy",
            "eyJh.eyJh.c2lnbmF0dXJl",
            "a.b~c",
            "a.",
        ] {
            assert!(!is_path(secret), "{secret}");
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
