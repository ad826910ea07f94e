//! Rewrites URLs with a query, one character at a time.
//!
//! A FHIR request may contain a search in place of a URL of a resource, and the values of a search
//! may be URLs of resources. Searches occur in `Bundle.entry.request.url`
//! (hl7.org/fhir/R4/http.html#transaction), conditional references
//! (hl7.org/fhir/R4/http.html#trules, at the end), `Subscription.criteria`
//! (hl7.org/fhir/R4/subscription.html), and the parameters of operations and patches. So any string
//! except the narrative may be a search. A string is a search if the part before its `?` is a URL
//! below one of the bases, or a relative URL without scheme, authority or spaces. The query of any
//! other URL belongs to its own server.
//!
//! In a search, the base at the start of the URL changes, and so does the base at the start of each
//! value of its query. Commas and dollars separate a value into parts
//! (hl7.org/fhir/R4/search.html#combining and #composite). `_filter`
//! (`hl7.org/fhir/R4/search_filter.html`) separates it into words, also by parentheses and
//! quotation marks. The base at the start of each part and word changes. A percent-encoded base
//! gets a percent-encoded replacement.
//!
//! A value may itself be a search, as in `_typeFilter` (hl7.org/fhir/uv/bulkdata/export.html). The
//! values of its query should then be percent-encoded twice, but not every client does so. A base
//! that is encoded twice gets a replacement that is encoded twice. Text that is encoded more often
//! is not searched.
//!
//! `Bundle.entry.request.ifNoneExist` and the header `If-None-Exist`
//! (hl7.org/fhir/R4/http.html#ccreate) are a query without a URL before it, but some clients send
//! the URL, too. The query of a request and a form are queries without a URL.
//!
//! At most the start of a possible base is held back.

mod percent;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{
    bases::{Bases, Match, Matcher, Syntax},
    output::Output,
    plan::Text,
    values,
};
use percent::{Percent, Step};

/// Reads one value and changes the bases in it.
#[derive(Debug, Default)]
pub(super) struct Search {
    place: Place,
    owner: Owner,
    after_slash: bool,
    after_backslash: bool,
    /// Whether the position is in a value that is itself a search, after its `?`.
    is_inner: bool,
    /// The start of a possible encoded character.
    percent: Percent,
    /// The start of a possible encoded character in a value of an inner search, after the outer
    /// decoding.
    inner_percent: Percent,
    matcher: Matcher,
    candidate: Option<Candidate>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a URL, before its query.
    #[default]
    Url,
    /// In the name of a parameter.
    Name,
    /// In the value of a parameter.
    Value,
    /// In a value that is itself a search, in the name of a parameter.
    InnerName,
    /// The rest passes unchanged.
    Passing,
}

/// The owner of a query. Only the service's own queries change.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The service, since the text is a condition, whatever precedes the query.
    Condition,
    /// The service, since the URL is relative, as far as it has been read.
    #[default]
    Relative,
    /// The service, since the URL lies below a base.
    Ours,
    /// Another server, or none.
    Other,
}

/// The level at which a character was percent-encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// At most as often as the outermost query requires.
    Outer,
    /// As often as a query within it requires.
    Inner,
}

/// A character of the text, as it was read.
#[derive(Debug, Clone, Copy)]
struct Read {
    character: u8,
    /// The number of bytes that it took.
    len: usize,
    /// The position in the chunk after the character. 0 if it does not matter, since no part begins
    /// there.
    next: usize,
}

impl Read {
    fn new(character: u8, len: usize, next: usize) -> Self {
        Self {
            character,
            len,
            next,
        }
    }
}

/// A possible base.
#[derive(Debug)]
struct Candidate {
    /// The position in the chunk where the candidate starts; 0 if it started in an earlier chunk.
    start: usize,
    /// Number of bytes compared.
    len: usize,
    /// Number of bytes before the first percent-encoded character.
    plain: Option<usize>,
    /// Number of bytes before the first character that was encoded twice.
    once: Option<usize>,
}

impl Search {
    /// Starts a value at this position of the chunk.
    pub(super) fn start(&mut self, bases: &Bases, text: Text, at: usize) {
        self.place = Place::Url;
        self.owner = if text == Text::Condition {
            Owner::Condition
        } else {
            Owner::Relative
        };
        self.after_slash = false;
        self.percent = Percent::None;
        self.inner_percent = Percent::None;
        self.begin(bases, at);
    }

    /// Creates a search for a query that has no URL before it.
    pub(super) fn of_query() -> Self {
        Self {
            place: Place::Name,
            ..Self::default()
        }
    }

    /// Takes a whole chunk, whose characters are not escaped.
    pub(super) fn push_all(&mut self, bases: &Bases, output: &mut Output, chunk: &[u8]) {
        for (at, character) in chunk.iter().enumerate() {
            if !self.push(bases, output, *character, 1, at + 1) {
                break;
            }
        }
    }

    /// Takes the next character, which took `len` bytes and ends before position `next` of the
    /// chunk. Returns whether more characters are needed.
    pub(super) fn push(
        &mut self,
        bases: &Bases,
        output: &mut Output,
        character: u8,
        len: usize,
        next: usize,
    ) -> bool {
        let read = Read::new(character, len, next);
        match self.place {
            Place::Url => self.in_url(bases, output, read),
            Place::Name if character == b'=' => self.begin_value(bases, next),
            Place::Value | Place::InnerName => self.in_value(bases, output, read),
            Place::Name | Place::Passing => {}
        }
        self.place != Place::Passing
    }

    /// Ends the value.
    pub(super) fn finish(&mut self, bases: &Bases, output: &mut Output) {
        if matches!(self.place, Place::Value | Place::InnerName) {
            self.give_up_percent(bases, output);
        }
        self.end_candidate(bases, output);
    }

    /// Breaks the value off. A base whose end has not been read does not count.
    pub(super) fn abort(&mut self, bases: &Bases, output: &mut Output) {
        let found = self.matcher.found();
        self.settle(bases, output, found);
    }

    /// Ends the chunk and returns the position from which on its bytes must be held back.
    pub(super) fn unfinished(&mut self) -> Option<usize> {
        let candidate = self.candidate.as_mut()?;
        Some(std::mem::take(&mut candidate.start))
    }

    fn in_url(&mut self, bases: &Bases, output: &mut Output, read: Read) {
        self.compare(bases, output, read);
        self.note_owner(read.character);
        match (read.character, self.owner) {
            (b'?', Owner::Condition | Owner::Relative | Owner::Ours) => self.place = Place::Name,
            (b'=', Owner::Condition) => {
                let found = self.matcher.found();
                self.settle(bases, output, found);
                self.begin_value(bases, read.next);
            }
            (b'#', Owner::Relative | Owner::Ours) => self.place = Place::Passing,
            (_, Owner::Other) if self.candidate.is_none() => self.place = Place::Passing,
            _ => {}
        }
    }

    fn in_value(&mut self, bases: &Bases, output: &mut Output, read: Read) {
        match self.percent.push(read.character, read.len) {
            Step::Part => return,
            Step::Encoded(decoded, len) => {
                if let Some(candidate) = &mut self.candidate {
                    candidate.plain.get_or_insert(candidate.len);
                }
                return self.decoded(bases, output, Read::new(decoded, len, read.next));
            }
            Step::Other(before) => {
                // None of these characters begins a part, so their positions do not matter.
                for (character, len) in before.characters() {
                    self.decoded(bases, output, Read::new(character, len, 0));
                }
            }
        }
        match read.character {
            b'%' => self.percent = Percent::Sign(read.len),
            b'&' => {
                self.give_up_inner(bases, output);
                self.end_candidate(bases, output);
                self.place = Place::Name;
            }
            b'+' => self.decoded(bases, output, Read::new(b' ', read.len, read.next)),
            _ => self.decoded(bases, output, read),
        }
    }

    /// Treats an encoding that stays incomplete as plain characters.
    fn give_up_percent(&mut self, bases: &Bases, output: &mut Output) {
        for (character, len) in std::mem::take(&mut self.percent).characters() {
            self.decoded(bases, output, Read::new(character, len, 0));
        }
        self.give_up_inner(bases, output);
    }

    fn give_up_inner(&mut self, bases: &Bases, output: &mut Output) {
        for (character, len) in std::mem::take(&mut self.inner_percent).characters() {
            self.character(bases, output, Read::new(character, len, 0), Level::Outer);
        }
    }

    /// Takes a character of a value after the first decoding.
    fn decoded(&mut self, bases: &Bases, output: &mut Output, read: Read) {
        if self.is_inner && self.place == Place::Value {
            match self.inner_percent.push(read.character, read.len) {
                Step::Part => return,
                Step::Encoded(decoded, len) => {
                    if let Some(candidate) = &mut self.candidate {
                        candidate.once.get_or_insert(candidate.len);
                    }
                    let read = Read::new(decoded, len, read.next);
                    return self.character(bases, output, read, Level::Inner);
                }
                Step::Other(before) => {
                    for (character, len) in before.characters() {
                        self.character(bases, output, Read::new(character, len, 0), Level::Outer);
                    }
                }
            }
            if read.character == b'%' {
                self.inner_percent = Percent::Sign(read.len);
                return;
            }
        }
        self.character(bases, output, read, Level::Outer);
    }

    fn character(&mut self, bases: &Bases, output: &mut Output, read: Read, level: Level) {
        let Read {
            character, next, ..
        } = read;
        // In FHIR, a comma or dollar that is not a separator is written as `\,` or `\$`.
        let separates = matches!(character, b',' | b'$') && !self.after_backslash;
        match (self.place, character) {
            _ if separates => {
                self.end_candidate(bases, output);
                self.place = Place::Value;
                self.begin_part(bases, next);
            }
            (_, b' ' | b'"' | b'(') if !self.after_backslash => {
                self.end_candidate(bases, output);
                self.place = Place::Value;
                self.begin_part(bases, next);
                // No relative URL follows these characters.
                self.owner = Owner::Other;
            }
            (Place::InnerName, b'=') => {
                self.place = Place::Value;
                self.begin_part(bases, next);
            }
            (Place::InnerName, _) => {
                self.after_backslash = character == b'\\' && !self.after_backslash;
            }
            (_, b'&') if self.is_inner && level == Level::Outer => {
                self.end_candidate(bases, output);
                self.after_backslash = false;
                self.place = Place::InnerName;
            }
            _ => {
                self.after_backslash = character == b'\\' && !self.after_backslash;
                self.compare(bases, output, read);
                self.note_owner(character);
                let ends_path = matches!(character, b'?' | b'#');
                let is_ours = matches!(self.owner, Owner::Relative | Owner::Ours);
                if character == b'?' && level == Level::Outer && is_ours {
                    self.is_inner = true;
                    self.place = Place::InnerName;
                } else if ends_path {
                    self.owner = Owner::Other;
                }
            }
        }
    }

    /// Updates the owner of a query from the URL before it.
    fn note_owner(&mut self, character: u8) {
        let is_double = character == b'/' && self.after_slash;
        self.after_slash = character == b'/';
        let in_path = character.is_ascii_alphanumeric() || b"-._~$%/?#".contains(&character);
        if self.owner == Owner::Relative && (is_double || !in_path) {
            self.owner = Owner::Other;
        }
    }

    fn begin_value(&mut self, bases: &Bases, start: usize) {
        self.place = Place::Value;
        self.is_inner = false;
        self.begin_part(bases, start);
    }

    fn begin_part(&mut self, bases: &Bases, start: usize) {
        self.owner = Owner::Relative;
        self.after_slash = false;
        self.begin(bases, start);
    }

    fn begin(&mut self, bases: &Bases, start: usize) {
        self.after_backslash = false;
        self.matcher.start(bases);
        self.candidate = Some(Candidate {
            start,
            len: 0,
            plain: None,
            once: None,
        });
    }

    fn compare(&mut self, bases: &Bases, output: &mut Output, read: Read) {
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        candidate.len += read.len;
        if !self.matcher.feed(bases, read.character, read.len) {
            let found = self.matcher.found();
            self.settle(bases, output, found);
        }
    }

    fn end_candidate(&mut self, bases: &Bases, output: &mut Output) {
        let found = self.matcher.finish(bases);
        self.settle(bases, output, found);
    }

    fn settle(&mut self, bases: &Bases, output: &mut Output, found: Option<Match>) {
        let Some(candidate) = self.candidate.take() else {
            return;
        };
        let Some(found) = found else {
            output.keep();
            return;
        };
        let mut replacement = Vec::new();
        if self.place == Place::Value {
            self.owner = Owner::Ours;
            let is_within = |first: Option<usize>| first.is_some_and(|first| first < found.len);
            let base = bases.replacement(found, Syntax::Plain);
            values::encode(base, is_within(candidate.plain), &mut replacement);
            if is_within(candidate.once) {
                let once = std::mem::take(&mut replacement);
                values::encode_again(&once, &mut replacement);
            }
        } else {
            if self.owner != Owner::Condition {
                self.owner = Owner::Ours;
            }
            let base = bases.replacement(found, output.syntax());
            replacement.extend_from_slice(base.as_bytes());
        }
        output.replace(candidate.start, found.len, &replacement);
    }
}

impl Bases {
    /// Rewrites a value that is one URL, absolute or relative: its base and those in its query.
    /// Returns `None` if nothing changes.
    pub fn rewrite_search(&self, url: &[u8]) -> Option<Vec<u8>> {
        self.rewrite_as(Text::Search, url)
    }

    /// Rewrites `If-None-Exist`, which is a query or a URL with one. Returns `None` if nothing
    /// changes.
    pub fn rewrite_condition(&self, condition: &[u8]) -> Option<Vec<u8>> {
        self.rewrite_as(Text::Condition, condition)
    }

    /// Rewrites the query of a request, or a form. Returns `None` if nothing changes.
    pub fn rewrite_query(&self, query: &[u8]) -> Option<Vec<u8>> {
        // Most queries contain no URL.
        memchr::memchr2(b'/', b'%', query)?;
        self.rewrite_with(Search::of_query(), query)
    }

    fn rewrite_as(&self, text: Text, value: &[u8]) -> Option<Vec<u8>> {
        let mut search = Search::default();
        search.start(self, text, 0);
        self.rewrite_with(search, value)
    }

    fn rewrite_with(&self, mut search: Search, value: &[u8]) -> Option<Vec<u8>> {
        let mut output = Output::new(Syntax::Plain);
        output.begin(Bytes::copy_from_slice(value));
        search.push_all(self, &mut output, value);
        search.finish(self, &mut output);
        let result = output.end(None);
        (result != value).then(|| result.into())
    }
}
