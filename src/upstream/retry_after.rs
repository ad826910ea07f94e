//! Reads `Retry-After` (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

/// Reads `Retry-After` (RFC 9110, section 10.2.3) in either form. A date in the past gives zero.
///
/// A date is measured from the response's own `Date`, so that a wrong clock on either side changes
/// nothing. `received` takes the place of a missing `Date`.
pub fn retry_after(headers: &HeaderMap, received: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too large for `u64` means for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let sent = date(headers).unwrap_or(received);
    Some(until.duration_since(sent).unwrap_or_default())
}

/// The `Date` of a response: the time by its sender's clock.
pub fn date(headers: &HeaderMap) -> Option<SystemTime> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOON: &str = "Sun, 06 Nov 1994 12:00:00 GMT";

    fn seconds(wait: &'static str, date: Option<&'static str>) -> Option<u64> {
        let received = httpdate::parse_http_date(NOON).expect("a date");
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(wait));
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_static(date));
        }
        retry_after(&headers, received).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_are_read() {
        for (text, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(seconds(text, None), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_read_in_all_three_forms() {
        for text in [
            "Sun, 06 Nov 1994 12:00:30 GMT",
            "Sunday, 06-Nov-94 12:00:30 GMT",
            "Sun Nov  6 12:00:30 1994",
        ] {
            assert_eq!(seconds(text, None), Some(30), "{text}");
        }
        assert_eq!(seconds("Sun, 06 Nov 1994 12:00:30 CET", None), None);
        assert_eq!(seconds("1994-11-06T12:00:30Z", None), None);
    }

    #[test]
    fn a_date_is_measured_from_when_the_answer_says_it_was_sent() {
        let later = "Sun, 06 Nov 1994 12:00:30 GMT";
        for (date, expected) in [
            ("Sun, 06 Nov 1994 12:00:20 GMT", 10),
            ("Sun, 06 Nov 1994 12:00:40 GMT", 0),
            ("yesterday", 30),
        ] {
            assert_eq!(seconds(later, Some(date)), Some(expected), "{date}");
        }
    }
}
