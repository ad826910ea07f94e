//! URLs with a query, one character at a time.
//!
//! FHIR lets a request say a search where it could name a resource, and a search names resources in
//! its values: in `Bundle.entry.request.url` (hl7.org/fhir/R4/http.html#transaction), conditional
//! references (hl7.org/fhir/R4/http.html#trules, at the end), `Subscription.criteria`
//! (hl7.org/fhir/R4/subscription.html), the parameters of operations and patches. So any string
//! but the narrative may be one, and is if it is a URL below one of the bases, or a relative one
//! without scheme, authority or spaces, up to a `?`. The query of anybody else's URL is theirs.
//!
//! Then the base at the start of the URL is changed, and the base at the start of each value of its
//! query: of each part, where commas or dollars separate several (hl7.org/fhir/R4/search.html#combining
//! and #composite), and of each word, which `_filter` (`hl7.org/fhir/R4/search_filter.html`) may put in
//! parentheses or quotation marks. A base that was percent-encoded is replaced by one that is. A value may itself be
//! such a URL, as in `_typeFilter` (hl7.org/fhir/uv/bulkdata/export.html): the same holds of its query,
//! whose values are then percent-encoded twice, though not everybody does that. A base that was is
//! replaced by one that is. What is encoded more often is not looked at.
//!
//! `Bundle.entry.request.ifNoneExist` and the header `If-None-Exist` (hl7.org/fhir/R4/http.html#ccreate)
//! are a query without a URL before it, though clients send the one with the other too. The query of
//! a request and a form are nothing else.
//!
//! No more is held back than the start of what may be a base.

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
    /// In a value that is itself a search, behind its `?`.
    is_inner: bool,
    /// The start of what may be an encoded character.
    percent: Percent,
    /// A value within a search that is itself a value, once that is decoded.
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
    /// In its value.
    Value,
    /// In a value that is itself a search, in the name of a parameter.
    InnerName,
    /// The rest is of no interest.
    Passing,
}

/// Whose query it is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The service's, whatever precedes it, if anything does.
    Condition,
    /// The service's: the URL is a relative one, as far as it was read.
    #[default]
    Relative,
    /// The service's: the URL lies below a base.
    Ours,
    /// Nobody's, or somebody else's.
    Other,
}

/// How often a character was percent-encoded, as far as that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// At most as the outermost query demands.
    Outer,
    /// As a query within it does.
    Inner,
}

/// A possible base.
#[derive(Debug)]
struct Candidate {
    /// Where in the chunk it starts; 0 when that was in an earlier one.
    start: usize,
    /// The bytes compared, and so many of them precede the first encoded character.
    len: usize,
    plain: Option<usize>,
    /// And so many the first that was encoded twice.
    once: Option<usize>,
}

impl Search {
    /// Prepares for a value that starts at this position of the chunk.
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

    /// Reads a query that has no URL before it.
    pub(super) fn of_query() -> Self {
        Self {
            place: Place::Name,
            ..Self::default()
        }
    }

    /// Takes the next characters, which are a whole chunk, as they stand.
    pub(super) fn push_all(&mut self, bases: &Bases, output: &mut Output, chunk: &[u8]) {
        for (at, character) in chunk.iter().enumerate() {
            if !self.push(bases, output, *character, 1, at + 1) {
                break;
            }
        }
    }

    /// Takes the next character, which took `len` bytes and ends before position `next` of the
    /// chunk. Answers whether more are wanted.
    pub(super) fn push(
        &mut self,
        bases: &Bases,
        output: &mut Output,
        character: u8,
        len: usize,
        next: usize,
    ) -> bool {
        match self.place {
            Place::Url => self.in_url(bases, output, character, len, next),
            Place::Name if character == b'=' => {
                self.begin_value(bases, next);
            }
            Place::Value | Place::InnerName => {
                self.in_value(bases, output, character, len, next);
            }
            Place::Name | Place::Passing => {}
        }
        self.place != Place::Passing
    }

    /// The value's end.
    pub(super) fn finish(&mut self, bases: &Bases, output: &mut Output) {
        if matches!(self.place, Place::Value | Place::InnerName) {
            self.give_up_percent(bases, output);
        }
        let found = self.matcher.finish(bases);
        self.settle(bases, output, found);
    }

    /// The value breaks off: what is not known to be a base is none.
    pub(super) fn abort(&mut self, bases: &Bases, output: &mut Output) {
        let found = self.matcher.found();
        self.settle(bases, output, found);
    }

    /// At the end of a chunk: from where on it cannot be given out yet.
    pub(super) fn unfinished(&mut self) -> Option<usize> {
        let candidate = self.candidate.as_mut()?;
        Some(std::mem::take(&mut candidate.start))
    }

    fn in_url(
        &mut self,
        bases: &Bases,
        output: &mut Output,
        character: u8,
        len: usize,
        next: usize,
    ) {
        self.compare(bases, output, character, len);
        self.note_owner(character);
        match (character, self.owner) {
            (b'?', Owner::Condition | Owner::Relative | Owner::Ours) => self.place = Place::Name,
            (b'=', Owner::Condition) => {
                let found = self.matcher.found();
                self.settle(bases, output, found);
                self.begin_value(bases, next);
            }
            (b'#', Owner::Relative | Owner::Ours) => self.place = Place::Passing,
            (_, Owner::Other) if self.candidate.is_none() => self.place = Place::Passing,
            _ => {}
        }
    }

    fn in_value(
        &mut self,
        bases: &Bases,
        output: &mut Output,
        character: u8,
        len: usize,
        next: usize,
    ) {
        match self.percent.push(character, len) {
            Step::Part => return,
            Step::Encoded(decoded, len) => {
                if let Some(candidate) = &mut self.candidate {
                    candidate.plain.get_or_insert(candidate.len);
                }
                return self.decoded(bases, output, decoded, len, next);
            }
            Step::Other(before) => {
                // None begins a part of its own, so that it does not matter where they end.
                for (character, len) in before.characters() {
                    self.decoded(bases, output, character, len, 0);
                }
            }
        }
        match character {
            b'%' => self.percent = Percent::Sign(len),
            b'&' => {
                self.give_up_inner(bases, output);
                let found = self.matcher.finish(bases);
                self.settle(bases, output, found);
                self.place = Place::Name;
            }
            b'+' => self.decoded(bases, output, b' ', len, next),
            _ => self.decoded(bases, output, character, len, next),
        }
    }

    /// At the end, what looked like an encoded character is several.
    fn give_up_percent(&mut self, bases: &Bases, output: &mut Output) {
        for (character, len) in std::mem::take(&mut self.percent).characters() {
            self.decoded(bases, output, character, len, 0);
        }
        self.give_up_inner(bases, output);
    }

    fn give_up_inner(&mut self, bases: &Bases, output: &mut Output) {
        for (character, len) in std::mem::take(&mut self.inner_percent).characters() {
            self.character(bases, output, character, len, 0, Level::Outer);
        }
    }

    /// A character of a value, once decoded.
    fn decoded(
        &mut self,
        bases: &Bases,
        output: &mut Output,
        character: u8,
        len: usize,
        next: usize,
    ) {
        if self.is_inner && self.place == Place::Value {
            match self.inner_percent.push(character, len) {
                Step::Part => return,
                Step::Encoded(decoded, len) => {
                    if let Some(candidate) = &mut self.candidate {
                        candidate.once.get_or_insert(candidate.len);
                    }
                    return self.character(bases, output, decoded, len, next, Level::Inner);
                }
                Step::Other(before) => {
                    for (character, len) in before.characters() {
                        self.character(bases, output, character, len, 0, Level::Outer);
                    }
                }
            }
            if character == b'%' {
                self.inner_percent = Percent::Sign(len);
                return;
            }
        }
        self.character(bases, output, character, len, next, Level::Outer);
    }

    fn character(
        &mut self,
        bases: &Bases,
        output: &mut Output,
        character: u8,
        len: usize,
        next: usize,
        level: Level,
    ) {
        // FHIR writes what separates nothing as `\,` and `\$`.
        let separates = matches!(character, b',' | b'$') && !self.after_backslash;
        match (self.place, character) {
            _ if separates => {
                let found = self.matcher.finish(bases);
                self.settle(bases, output, found);
                self.place = Place::Value;
                self.begin_part(bases, next);
            }
            (_, b' ' | b'"' | b'(') if !self.after_backslash => {
                let found = self.matcher.finish(bases);
                self.settle(bases, output, found);
                self.place = Place::Value;
                self.begin_part(bases, next);
                // No relative URL goes on behind these.
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
                let found = self.matcher.finish(bases);
                self.settle(bases, output, found);
                self.after_backslash = false;
                self.place = Place::InnerName;
            }
            _ => {
                self.after_backslash = character == b'\\' && !self.after_backslash;
                self.compare(bases, output, character, len);
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

    /// Whose a query is depends on the URL before it.
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

    fn compare(&mut self, bases: &Bases, output: &mut Output, character: u8, len: usize) {
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        candidate.len += len;
        if !self.matcher.feed(bases, character, len) {
            let found = self.matcher.found();
            self.settle(bases, output, found);
        }
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
    /// A value that is one URL, absolute or relative: its base and those in its query.
    pub fn rewrite_search(&self, url: &[u8]) -> Option<Vec<u8>> {
        self.rewrite_as(Text::Search, url)
    }

    /// `If-None-Exist`: a query, or such a URL.
    pub fn rewrite_condition(&self, condition: &[u8]) -> Option<Vec<u8>> {
        self.rewrite_as(Text::Condition, condition)
    }

    /// The query of a request, or a form.
    pub fn rewrite_query(&self, query: &[u8]) -> Option<Vec<u8>> {
        // Most hold no URL at all.
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
