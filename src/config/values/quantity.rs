//! Sizes and durations with their units.

use std::{fmt, time::Duration};

use super::ValueError;

/// The longest duration that is accepted: long enough for any use, and short enough that adding it to
/// a clock never overflows.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A number of bytes, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteSize {
    /// At most this many bytes; never zero.
    Limited(u64),
    /// No bound.
    Unlimited,
}

impl ByteSize {
    /// Reads `"64KiB"`, `"10MB"`, `"1024"` or `"unlimited"`.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        const REMEDY: &str = "write a size such as \"64KiB\" or \"10MB\", or \"unlimited\"";
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        let refuse = |message: String| ValueError::new(message, REMEDY);
        let (number, unit) = split_unit(text)
            .ok_or_else(|| refuse(format!("`{}` is not a valid size", text.escape_debug())))?;
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            _ => return Err(refuse(format!("`{unit}` is not a unit of size"))),
        };
        let bytes = number
            .checked_mul(factor)
            .filter(|bytes| *bytes < u64::MAX)
            .ok_or_else(|| refuse(format!("`{text}` is too large")))?;
        Self::from_bytes(bytes)
    }

    /// A plain number of bytes; zero is refused.
    pub fn from_bytes(bytes: u64) -> Result<Self, ValueError> {
        if bytes == 0 {
            return Err(ValueError::new(
                "a size of zero would refuse every request",
                "write a size such as \"64KiB\", or \"unlimited\"",
            ));
        }
        Ok(Self::Limited(bytes))
    }

    /// The bound, if there is one.
    pub fn limit(self) -> Option<u64> {
        match self {
            Self::Limited(bytes) => Some(bytes),
            Self::Unlimited => None,
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limited(bytes) => write!(f, "{bytes} bytes"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// Reads `"500ms"`, `"10s"`, `"2m"` or `"1h"`; zero and more than a week are refused.
pub fn parse_duration(text: &str) -> Result<Duration, ValueError> {
    const REMEDY: &str = "write a duration such as \"500ms\", \"10s\", \"2m\" or \"1h\"";
    let refuse = |message: String| ValueError::new(message, REMEDY);
    let (number, unit) = split_unit(text)
        .ok_or_else(|| refuse(format!("`{}` is not a valid duration", text.escape_debug())))?;
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(refuse(format!("the duration `{text}` has no unit"))),
        _ => return Err(refuse(format!("`{unit}` is not a unit of time"))),
    };
    let duration = number
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
        .filter(|d| *d <= LONGEST)
        .ok_or_else(|| refuse(format!("`{text}` is longer than a week")))?;
    if duration.is_zero() {
        return Err(refuse("a duration of zero leaves no time".to_owned()));
    }
    Ok(duration)
}

/// Splits digits from the letters behind them, with an optional space between. A number beyond `u64`
/// becomes the largest `u64`, so that the caller's own bound reports it.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    if digits.is_empty() || !unit.chars().all(|c| c.is_ascii_alphabetic()) {
        return None;
    }
    Some((digits.parse().unwrap_or(u64::MAX), unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("10MB", 10_000_000),
            ("10mb", 10_000_000),
            ("2GiB", 2 << 30),
            ("7B", 7),
        ] {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize::Limited(bytes)));
        }
        assert_eq!(ByteSize::parse("unlimited"), Ok(ByteSize::Unlimited));
        for text in [
            "",
            "0",
            "0KiB",
            "-1",
            "1.5MB",
            "64 K B",
            "10 parsecs",
            "KiB",
            "none",
            "99999999999999999999",
            "99999999999999GiB",
        ] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_durations() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("168h", 604_800_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(milliseconds))
            );
        }
        for text in [
            "",
            "0s",
            "0ms",
            "10",
            "s",
            "-1s",
            "1.5s",
            "1h30m",
            "1d",
            "169h",
            "10S",
            "99999999999999999999ms",
            "99999999999999999999h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
