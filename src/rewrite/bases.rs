//! The base URLs to exchange, and the automaton that recognises them one character at a time.

use crate::config::ServiceUrl;

/// Pairs of base URLs: an absolute URL below the first of a pair is changed to lie below the second.
///
/// Scheme and host compare without regard to case, a default port equals none, the path compares
/// byte for byte. A base matches only up to the end of the URL, `/`, `?`, `#` or the `|` that FHIR
/// puts before a version or a code, so that `https://a.example` is not found in
/// `https://a.example.evil`. Where several match, the longest counts, also if it is a pair of two
/// equal ones: what lies below that is kept.
#[derive(Debug, Clone, Default)]
pub struct Bases {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    from: Box<[u8]>,
    /// So much of `from` is scheme and host, in lower case.
    origin: usize,
    to: Box<str>,
    to_in_xml: Box<str>,
    /// Nothing is changed below it.
    is_kept: bool,
}

/// How a value is written where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// As it is.
    Plain,
    /// In a JSON string.
    Json,
    /// In an attribute of XML.
    Xml,
}

impl Bases {
    /// The pairs, each as (from, to).
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
        // So that the first that matches is the longest.
        patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.from.len()));
        Self { patterns }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The base at the start of `value`, which is followed by `quote`, as far as it can be told
    /// without decoding; `None` leaves it open. It saves most values the [`Matcher`].
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

    /// The replacement of a match. A [`ServiceUrl`] holds nothing that JSON escapes.
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

/// A base at the start of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    /// How many bytes it takes where it was read, escapes and all.
    pub(super) len: usize,
    pattern: usize,
}

/// Compares a value with all bases at once while it is decoded.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    alive: Vec<usize>,
    /// Characters compared.
    position: usize,
    /// Bytes these took where they were read.
    len: usize,
    found: Option<Match>,
}

impl Matcher {
    /// Prepares for a value.
    pub(super) fn start(&mut self, bases: &Bases) {
        self.alive.clear();
        self.alive.extend(0..bases.patterns.len());
        self.position = 0;
        self.len = 0;
        self.found = None;
    }

    /// Takes the value's next character, which took `len` bytes. Answers whether more are wanted.
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

    /// The value's end.
    pub(super) fn finish(&mut self, bases: &Bases) -> Option<Match> {
        self.note_complete(bases);
        self.found
    }

    /// The longest base so far that a boundary followed.
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
