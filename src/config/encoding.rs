//! The encodings of texts that other programs have written.

/// The remedy for a text in UTF-16.
pub(super) const TO_UTF_8: &str = if cfg!(windows) {
    "save it as UTF-8 in an editor, such as Notepad"
} else {
    "convert it with `iconv -f UTF-16 -t UTF-8`"
};

const MARK_OF_UTF_8: &[u8] = "\u{feff}".as_bytes();
const MARKS_OF_UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Whether a text begins with a byte order mark of UTF-16, as `>` of Windows PowerShell writes it.
pub fn is_utf16(text: &[u8]) -> bool {
    MARKS_OF_UTF_16.iter().any(|mark| text.starts_with(mark))
}

/// A text in UTF-8 without the byte order mark that programs of Windows put before it.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(MARK_OF_UTF_8).unwrap_or(text)
}
