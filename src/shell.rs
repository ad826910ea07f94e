//! Words of commands that a person copies into a shell: that of POSIX, on Windows PowerShell or cmd.exe.

use std::ffi::OsStr;

/// The command that runs curl. PowerShell has a command of its own with the shorter name.
pub(crate) const CURL: &str = if cfg!(windows) { "curl.exe" } else { "curl" };

/// A word as a shell of this system takes it for itself.
pub(crate) fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@".contains(c);
    let is_path = |c: char| cfg!(windows) && c == '\\';
    if !word.is_empty() && word.chars().all(|c| is_plain(c) || is_path(c)) {
        word.into_owned()
    } else if cfg!(windows) {
        format!("\"{}\"", word.replace('"', "\"\""))
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_the_shell_would_read_it_otherwise() {
        for plain in ["az", "--resource", "https://a.example", "user@host:1"] {
            assert_eq!(quoted(plain), plain);
        }
        let expected: [(&str, &str); 4] = if cfg!(windows) {
            [
                ("", r#""""#),
                ("two words", r#""two words""#),
                (r#"Jane's "own""#, r#""Jane's ""own""""#),
                (r"C:\my\az.cmd", r"C:\my\az.cmd"),
            ]
        } else {
            [
                ("", "''"),
                ("two words", "'two words'"),
                (r#"Jane's "own""#, r#"'Jane'\''s "own"'"#),
                (r"a\b", r"'a\b'"),
            ]
        };
        for (word, expected) in expected {
            assert_eq!(quoted(word), expected);
        }
    }
}
