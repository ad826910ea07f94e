//! Whether output is colored.

use std::{env, ffi::OsString, io::IsTerminal};

/// Whether `output` is a terminal that shows colors and the user has not refused them.
pub(crate) fn is_wanted(output: &impl IsTerminal) -> bool {
    output.is_terminal() && is_accepted(|name| env::var_os(name)) && terminal_shows_it()
}

/// Whether the user accepts colors (no-color.org).
fn is_accepted(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty())
        && variable("TERM").is_none_or(|value| value != "dumb")
}

/// Consoles of Windows print escape sequences as they are until a program turns them on.
#[cfg(windows)]
fn terminal_shows_it() -> bool {
    anstyle_query::windows::enable_ansi_colors() != Some(false)
}

#[cfg(not(windows))]
fn terminal_shows_it() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_can_be_declined() {
        let with = |set: &'static [(&str, &str)]| {
            is_accepted(|name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.into())
            })
        };
        assert!(with(&[]) && with(&[("NO_COLOR", ""), ("TERM", "xterm")]));
        assert!(!with(&[("NO_COLOR", "1")]) && !with(&[("TERM", "dumb")]));
    }
}
