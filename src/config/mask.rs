//! Decides which parts of a configuration file must never be shown.
//!
//! A refused file may contain a secret where none belongs, below a misspelt key or in a header, and
//! error messages end up in tickets. If in doubt, a value is hidden. Names alone decide, so that a
//! file that is not understood is masked as well.

use std::net::SocketAddr;

use toml::de::{DeTable, DeValue};

use super::{RouteKind, ServiceUrl, Word as _, parse_duration, report::Report};

/// Parts of key names that suggest a secret.
const TELLING: [&str; 9] = [
    "secret", "token", "passw", "pwd", "key", "auth", "cookie", "bearer", "assert",
];

/// Names that contain such a part without being secret.
const HARMLESS_ELSEWHERE: [&str; 4] = ["authority", "token_url", "token_file", "key_id"];

/// Masks the secrets of a file. Of a credential only the `harmless` keys are shown, beside `env` and `file`.
pub(super) fn mask_tree(table: &DeTable<'_>, harmless: &[&str], report: &mut Report) {
    for (key, value) in table {
        match value.get_ref() {
            // The name of a route suggests nothing.
            DeValue::Table(routes) if key.get_ref() == "routes" => {
                for (name, route) in routes {
                    match route.get_ref() {
                        DeValue::Table(route) => mask_each(route, None, report),
                        _ => mask_value(name.get_ref(), route, None, report),
                    }
                }
            }
            _ => {
                let strict = (key.get_ref() == "credentials").then_some(harmless);
                mask_value(key.get_ref(), value, strict, report);
            }
        }
    }
}

/// Masks the value of an unknown key, and every value below it.
pub(super) fn mask_whole(key: &str, value: &toml::Spanned<DeValue<'_>>, report: &mut Report) {
    match value.get_ref() {
        // The table itself is not masked, since its span may be that of its name.
        DeValue::Table(table) => table
            .iter()
            .for_each(|(key, value)| mask_whole(key.get_ref(), value, report)),
        DeValue::Array(array) if !array.is_empty() => array
            .iter()
            .for_each(|value| mask_whole(key, value, report)),
        other if !is_telling(key) && is_certainly_harmless(other, report) => {}
        _ => report.mask(value.span()),
    }
}

/// Whether a value is not a secret, unless its key suggests one: `true`, a word of the configuration, a
/// duration, an address, the URL of a service of Azure.
fn is_certainly_harmless(value: &DeValue<'_>, report: &Report) -> bool {
    let Some(text) = value.as_str() else {
        return value.is_bool();
    };
    report.kinds.contains(&text)
        || RouteKind::WORDS.iter().any(|(word, _)| *word == text)
        || parse_duration(text).is_ok()
        || text.parse::<SocketAddr>().is_ok()
        || ServiceUrl::parse(text)
            .is_ok_and(|url| url.azure_domain().is_some() && url.base_path().is_empty())
}

/// If `strict` is given, only its keys may be shown.
fn mask_each(table: &DeTable<'_>, strict: Option<&[&str]>, report: &mut Report) {
    for (key, value) in table {
        mask_value(key.get_ref(), value, strict, report);
    }
}

fn mask_value(
    key: &str,
    value: &toml::Spanned<DeValue<'_>>,
    strict: Option<&[&str]>,
    report: &mut Report,
) {
    match value.get_ref() {
        DeValue::Table(table) if matches!(key, "headers" | "parameters") => {
            for (inner, value) in table {
                if value.get_ref().is_table() {
                    mask_value(inner.get_ref(), value, strict.or(Some(&[])), report);
                } else {
                    report.mask(value.span());
                }
            }
        }
        DeValue::Table(table) => {
            let telling = is_telling(key).then_some(&[][..]);
            mask_each(table, strict.or(telling), report);
        }
        DeValue::Array(array) if !array.is_empty() => {
            for value in array {
                mask_value(key, value, strict, report);
            }
        }
        other => {
            let harmless = match (key, other.as_str()) {
                // A user may have pasted the secret in place of its reference.
                ("env", Some(name)) => is_variable(name),
                ("file", Some(path)) => is_path(path),
                // The key of `security.tls`, which is a file.
                ("key", Some(path)) if strict.is_none() => is_path(path),
                _ if !is_telling(key) && is_certainly_harmless(other, report) => true,
                _ => strict.map_or_else(|| !is_telling(key), |shown| shown.contains(&key)),
            };
            if !harmless || other.as_str().is_some_and(tells_by_itself) {
                report.mask(value.span());
            }
        }
    }
}

/// Whether a key's name suggests a secret.
pub(super) fn is_telling(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !HARMLESS_ELSEWHERE.contains(&key.as_str()) && TELLING.iter().any(|part| key.contains(part))
}

/// Whether a text is the name of an environment variable rather than a secret: in capitals, and its
/// words are short or have no digit.
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

/// Whether a text is a path rather than a secret: it starts like a path, or ends in an extension.
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

#[cfg(test)]
mod tests {
    use super::*;

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
