//! The characters of a URL, and in words what is wrong with one that has others.

use super::ValueError;

/// The longest text that a message repeats.
const LONGEST_SHOWN: usize = 100;

/// A text for a message, cut if it is long.
pub(super) fn shown(text: &str) -> String {
    let mut rest = text.chars();
    let start: String = rest.by_ref().take(LONGEST_SHOWN).collect();
    if rest.next().is_some() {
        format!("{start}…")
    } else {
        start
    }
}

/// Refuses a character that no URL may have. The error repeats only that character, since a password
/// may be near.
pub(super) fn check(text: &str) -> Result<(), ValueError> {
    let is_space = |c: char| c.is_whitespace() || c.is_control();
    let trimmed = text.trim_matches(is_space);
    if trimmed.len() < text.len() && !trimmed.contains(is_space) {
        return Err(ValueError::new(
            "the URL has white space, such as a line break, before or after it",
            "remove it",
        ));
    }
    let Some(found) = text.chars().find(|c| !is_in_urls(*c)) else {
        return Ok(());
    };
    let remedy = match found {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => {
            "type it as `-`: a word processor or a chat program may have changed it".to_owned()
        }
        c if is_space(c) => "remove it".to_owned(),
        c if c.is_ascii() => format!("remove it, or write it as %{:02X} in a path", u32::from(c)),
        _ => "write it in ASCII: a host name as its certificate has it (xn--…), a path \
              percent-encoded"
            .to_owned(),
    };
    Err(ValueError::new(
        format!(
            "the URL contains {}, which a URL cannot contain",
            name(found)
        ),
        remedy,
    ))
}

/// Whether a URL may contain the character (RFC 3986, section 2).
fn is_in_urls(c: char) -> bool {
    c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c)
}

fn name(c: char) -> String {
    match c {
        '\n' | '\r' => "a line break".to_owned(),
        '\t' => "a tab".to_owned(),
        c if c.is_control() => "a control character".to_owned(),
        c if c.is_whitespace() => "white space".to_owned(),
        c if c.is_ascii() => format!("`{c}`"),
        c => format!("`{c}` (U+{:04X})", u32::from(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_character() {
        for (text, message, remedy) in [
            ("https://h\n", "a line break, before or after", "remove it"),
            (" https://h", "white space,", "remove it"),
            ("https://h /x", "white space", "remove it"),
            ("https://h\n/x", "a line break", "remove it"),
            ("https://a\u{2013}b", "(U+2013)", "as `-`"),
            ("https://höst", "`ö` (U+00F6)", "in ASCII"),
            ("https://a\"b", "`\"`", "%22 in a path"),
            ("https://h/{id}", "`{`", "%7B in a path"),
            ("https://h/\u{1b}a", "a control character", "remove it"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.message.contains(message), "{text:?}: {error:?}");
            assert!(error.remedy.contains(remedy), "{text:?}: {error:?}");
        }
        assert!(check("https://[::1]:8443/a%20b;c=d,e?f#g@h").is_ok());
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(shown("short"), "short");
        assert_eq!(shown(&"é".repeat(101)), "é".repeat(100) + "…");
    }
}
