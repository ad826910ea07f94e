//! The base URLs to replace, and the automaton that recognizes them one character at a time.

use crate::config::ServiceUrl;

/// Pairs of base URLs. An absolute URL below the first of a pair is rewritten to lie below the
/// second.
///
/// Scheme and host compare without regard to case, a default port equals a missing one, and the
/// path compares byte for byte. A base matches only if it is followed by the end of the URL, `/`,
/// `?`, `#` or the `|` that FHIR puts before a version or a code. So `https://a.example` does not
/// match `https://a.example.evil`. The longest matching base wins. A pair of two equal URLs
/// protects the URLs below it from a shorter base.
#[derive(Debug, Clone, Default)]
pub struct Bases {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    from: Box<[u8]>,
    /// The length of the scheme and host, with which `from` begins in lower case.
    origin: usize,
    to: Box<str>,
    to_in_xml: Box<str>,
    /// Whether URLs below this base stay as they are.
    is_kept: bool,
}

/// The syntax around a value, which decides how it is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// No escapes.
    Plain,
    /// A JSON string.
    Json,
    /// An XML attribute.
    Xml,
}

impl Bases {
    /// Builds the set from pairs of (from, to).
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a ServiceUrl, &'a ServiceUrl)>) -> Self {
        let mut patterns = Vec::new();
        for (from, to_url) in pairs {
            let origin = from.origin().to_ascii_lowercase();
            let to = to_url.to_string().into_boxed_str();
            let to_in_xml = to.replace('&', "&amp;").replace('\'', "&apos;");
            let mut push = |port: &str| {
                patterns.push(Pattern {
                    from: [&origin, port, from.base_path()]
                        .concat()
                        .into_bytes()
                        .into(),
                    origin: origin.len(),
                    to: to.clone(),
                    to_in_xml: to_in_xml.as_str().into(),
                    is_kept: from == to_url,
                });
            };
            push("");
            if from.authority().port().is_none() {
                push(&format!(":{}", from.port()));
            }
        }
        if patterns.iter().all(|pattern: &Pattern| pattern.is_kept) {
            patterns.clear();
        }
        // The longest pattern comes first, so that the first match is the longest.
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.from.len()));
        Self { patterns }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Finds the base at the start of `value`, which ends at `quote`, without decoding. `None`
    /// leaves the decision to the slower [`Matcher`].
    pub(super) fn at_start_of(&self, value: &[u8], syntax: Syntax, quote: u8) -> Option<Match> {
        let longest = self.patterns.first()?.from.len();
        let escape = if syntax == Syntax::Xml { b'&' } else { b'\\' };
        if memchr::memchr(escape, value.get(..=longest)?).is_some() {
            return None;
        }
        let matches = |pattern: &Pattern| {
            let (base, rest) = value.split_at(pattern.from.len());
            let (origin, path) = pattern.from.split_at(pattern.origin);
            (ends_base(rest[0]) || rest[0] == quote)
                && base[..pattern.origin].eq_ignore_ascii_case(origin)
                && base[pattern.origin..] == *path
        };
        let pattern = self.patterns.iter().position(matches)?;
        if self.patterns[pattern].is_kept {
            return None;
        }
        let len = self.patterns[pattern].from.len();
        Some(Match { len, pattern })
    }

    /// Returns the base that replaces a match. A [`ServiceUrl`] has no character that JSON escapes.
    pub(super) fn replacement(&self, found: Match, syntax: Syntax) -> &str {
        let pattern = &self.patterns[found.pattern];
        match syntax {
            Syntax::Plain | Syntax::Json => &pattern.to,
            Syntax::Xml => &pattern.to_in_xml,
        }
    }
}

fn ends_base(character: u8) -> bool {
    matches!(character, b'/' | b'?' | b'#' | b'|')
}

/// A base found at the start of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    /// Length of the base in the input, escapes included.
    pub(super) len: usize,
    pattern: usize,
}

/// Compares a value with all bases at once while it is decoded.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    alive: Vec<usize>,
    /// Number of characters compared.
    position: usize,
    /// Number of input bytes that these characters took.
    len: usize,
    found: Option<Match>,
}

impl Matcher {
    /// Starts a new value.
    pub(super) fn start(&mut self, bases: &Bases) {
        self.alive.clear();
        self.alive.extend(0..bases.patterns.len());
        self.position = 0;
        self.len = 0;
        self.found = None;
    }

    /// Takes the value's next character, which took `len` input bytes. Returns whether more are
    /// needed.
    pub(super) fn feed(&mut self, bases: &Bases, character: u8, len: usize) -> bool {
        let position = self.position;
        if ends_base(character) {
            self.note_complete(bases);
        }
        self.alive.retain(|&index| {
            let pattern = &bases.patterns[index];
            let folded = if position < pattern.origin {
                character.to_ascii_lowercase()
            } else {
                character
            };
            pattern.from.get(position) == Some(&folded)
        });
        self.position += 1;
        self.len += len;
        !self.alive.is_empty()
    }

    /// Ends the value and returns the base that it starts with.
    pub(super) fn finish(&mut self, bases: &Bases) -> Option<Match> {
        self.note_complete(bases);
        self.found
    }

    /// Returns the longest base so far that is followed by a boundary.
    pub(super) fn found(&self) -> Option<Match> {
        self.found
    }

    fn note_complete(&mut self, bases: &Bases) {
        let complete = |&&index: &&usize| bases.patterns[index].from.len() == self.position;
        if let Some(&pattern) = self.alive.iter().find(complete) {
            let found = Match {
                len: self.len,
                pattern,
            };
            self.found = Some(found).filter(|_| !bases.patterns[pattern].is_kept);
        }
    }
}
