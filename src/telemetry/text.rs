//! Log lines for people: `time LEVEL message key=value …`.
//!
//! The formatter is fast, since every request writes a line. It escapes control characters, so that
//! text from outside cannot begin a line of its own.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// The format of a line, in color or without.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    pub(super) in_color: bool,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write_time(&mut writer)?;
        let level = *event.metadata().level();
        if self.in_color {
            write!(writer, " \u{1b}[{}m{level:>5}\u{1b}[0m ", color(level))?;
        } else {
            write!(writer, " {level:>5} ")?;
        }
        let mut fields = Fields {
            writer: &mut writer,
            result: Ok(()),
        };
        event.record(&mut fields);
        fields.result?;
        writer.write_char('\n')
    }
}

fn color(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        _ => 90,
    }
}

thread_local! {
    /// The last second and its text, since most lines have the same second as the line before.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Writes the time as RFC 3339 in UTC with microseconds.
fn write_time(writer: &mut Writer<'_>) -> fmt::Result {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() {
            *second = now.as_secs();
            *text = seconds_text(*second);
        }
        write!(writer, "{text}.{:06}Z", now.subsec_micros())
    })
}

fn seconds_text(seconds: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    let Ok(timestamp) = jiff::Timestamp::try_from(time) else {
        return "-".to_owned();
    };
    format!("{timestamp:.0}").trim_end_matches('Z').to_owned()
}

/// Writes the message as it is, and every other field as ` key=value`.
struct Fields<'a, 'w> {
    writer: &'a mut Writer<'w>,
    result: fmt::Result,
}

impl Fields<'_, '_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_err() {
            return;
        }
        self.result = if field.name() == "message" {
            Printable(self.writer).write_fmt(value)
        } else {
            self.writer
                .write_char(' ')
                .and_then(|()| self.writer.write_str(field.name()))
                .and_then(|()| self.writer.write_char('='))
                .and_then(|()| Printable(self.writer).write_fmt(value))
        };
    }
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let needs_quotes = value.is_empty() || value.contains([' ', '"', '=']);
        if !needs_quotes {
            self.write(field, format_args!("{value}"));
        } else if value.contains('"') && !value.contains(['\'', '\\']) {
            // A command can be copied out of the line as it is.
            self.write(field, format_args!("'{value}'"));
        } else {
            self.write(field, format_args!("{value:?}"));
        }
    }

    /// Seconds, of which people read the tenth.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, format_args!("{value:.1}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, format_args!("{value}"));
    }
}

/// Escapes control characters.
struct Printable<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Printable<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.contains(char::is_control) {
            return self.0.write_str(text);
        }
        for character in text.chars() {
            if character.is_control() {
                write!(self.0, "{}", character.escape_default())?;
            } else {
                self.0.write_char(character)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_seconds_as_rfc_3339_does() {
        assert_eq!(seconds_text(0), "1970-01-01T00:00:00");
        assert_eq!(seconds_text(1_795_219_199), "2026-11-20T23:59:59");
    }

    #[test]
    fn nothing_from_outside_starts_a_line() {
        let mut line = String::new();
        let mut writer = Writer::new(&mut line);
        write!(Printable(&mut writer), "a\nb\r\u{1b}[31m\u{85}c").expect("written");
        assert_eq!(line, "a\\nb\\r\\u{1b}[31m\\u{85}c");
    }
}
