//! URLs with a query, one character at a time.
//!
//! FHIR lets a request say a search where it could name a resource, and a search names resources in
//! its values. So the base at the start of such a URL is changed, and the base at the start of each
//! value of its query (of each part, where commas separate several), by the rules of
//! [`Bases::rewrite_query`]:
//!
//! - `Bundle.entry.request.url` (hl7.org/fhir/R4/http.html#transaction), `Bundle.link.url` and
//!   `Bundle.entry.fullUrl` (hl7.org/fhir/R4/bundle.html): members named `url` and `fullUrl`;
//! - conditional references (hl7.org/fhir/R4/http.html#trules, at the end): members named
//!   `reference`;
//! - `Subscription.criteria` (hl7.org/fhir/R4/subscription.html): members named `criteria`;
//! - what a parameter of an operation may hold of these (hl7.org/fhir/R4/parameters.html): members
//!   named `valueUri` and `valueUrl`;
//! - `Bundle.entry.request.ifNoneExist` and the header `If-None-Exist`
//!   (hl7.org/fhir/R4/http.html#ccreate): members named `ifNoneExist`. This is a query without a
//!   URL before it, though clients send the one with the other too.
//!
//! But for `ifNoneExist`, what precedes the query has to be a URL below one of the bases or a
//! relative one, without scheme or authority: the query of anybody else's URL is theirs. All other
//! strings, among them whatever people write (`div`, `display`, `valueString`), are no searches.
//!
//! No more is held back than the start of what may be a base.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::{
    bases::{Bases, Match, Matcher, Syntax},
    output::Output,
    plan::Text,
    values,
};

/// Reads one value and changes the bases in it.
#[derive(Debug, Default)]
pub(super) struct Search {
    place: Place,
    owner: Owner,
    after_slash: bool,
    after_backslash: bool,
    /// The start of what may be an encoded character.
    percent: Percent,
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

/// Characters of which it is still open whether they encode one, and the bytes each took.
#[derive(Debug, Default, Clone, Copy)]
enum Percent {
    #[default]
    None,
    Sign(usize),
    Digit(usize, u8, usize),
}

/// What may be a base.
#[derive(Debug)]
struct Candidate {
    /// Where in the chunk it starts; 0 when that was in an earlier one.
    start: usize,
    /// The bytes compared, and so many of them precede the first encoded character.
    len: usize,
    plain: Option<usize>,
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
        self.begin(bases, at);
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
                self.place = Place::Value;
                self.begin(bases, next);
            }
            Place::Value => self.in_value(bases, output, character, len, next),
            Place::Name | Place::Passing => {}
        }
        self.place != Place::Passing
    }

    /// The value's end.
    pub(super) fn finish(&mut self, bases: &Bases, output: &mut Output) {
        if self.place == Place::Value {
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
        let is_double = character == b'/' && self.after_slash;
        self.after_slash = character == b'/';
        let in_path = character.is_ascii_alphanumeric() || b"-._~$%/?#".contains(&character);
        if self.owner == Owner::Relative && (is_double || !in_path) {
            self.owner = Owner::Other;
        }
        match (character, self.owner) {
            (b'?', Owner::Condition | Owner::Relative | Owner::Ours) => self.place = Place::Name,
            (b'=', Owner::Condition) => {
                let found = self.matcher.found();
                self.settle(bases, output, found);
                self.place = Place::Value;
                self.begin(bases, next);
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
        let digit = char::from(character).to_digit(16);
        match (self.percent, digit) {
            (Percent::Sign(sign), Some(_)) => {
                self.percent = Percent::Digit(sign, character, len);
                return;
            }
            (Percent::Digit(sign, first, first_len), Some(low)) => {
                self.percent = Percent::None;
                let high = char::from(first).to_digit(16).unwrap_or(0);
                // Two hexadecimal digits fit.
                let decoded = u8::try_from(high << 4 | low).unwrap_or(b'%');
                if let Some(candidate) = &mut self.candidate {
                    candidate.plain.get_or_insert(candidate.len);
                }
                self.decoded(bases, output, decoded, sign + first_len + len, next);
                return;
            }
            _ => self.give_up_percent(bases, output),
        }
        match character {
            b'%' => self.percent = Percent::Sign(len),
            b'&' => {
                let found = self.matcher.finish(bases);
                self.settle(bases, output, found);
                self.place = Place::Name;
            }
            b'+' => self.decoded(bases, output, b' ', len, next),
            _ => self.decoded(bases, output, character, len, next),
        }
    }

    /// What looked like an encoded character is several.
    fn give_up_percent(&mut self, bases: &Bases, output: &mut Output) {
        // Neither begins a part of its own, so that it does not matter where they end.
        match std::mem::take(&mut self.percent) {
            Percent::None => {}
            Percent::Sign(len) => self.decoded(bases, output, b'%', len, 0),
            Percent::Digit(len, digit, digit_len) => {
                self.decoded(bases, output, b'%', len, 0);
                self.decoded(bases, output, digit, digit_len, 0);
            }
        }
    }

    fn decoded(
        &mut self,
        bases: &Bases,
        output: &mut Output,
        character: u8,
        len: usize,
        next: usize,
    ) {
        // FHIR writes a comma that separates nothing as `\,`.
        if character == b',' && !self.after_backslash {
            let found = self.matcher.finish(bases);
            self.settle(bases, output, found);
            self.begin(bases, next);
            return;
        }
        self.after_backslash = character == b'\\' && !self.after_backslash;
        self.compare(bases, output, character, len);
    }

    fn begin(&mut self, bases: &Bases, start: usize) {
        self.after_backslash = false;
        self.matcher.start(bases);
        self.candidate = Some(Candidate {
            start,
            len: 0,
            plain: None,
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
            let is_encoded = candidate.plain.is_some_and(|plain| plain < found.len);
            let base = bases.replacement(found, Syntax::Plain);
            values::encode(base, is_encoded, &mut replacement);
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

    fn rewrite_as(&self, text: Text, value: &[u8]) -> Option<Vec<u8>> {
        let mut output = Output::new(Syntax::Plain);
        output.begin(Bytes::copy_from_slice(value));
        let mut search = Search::default();
        search.start(self, text, 0);
        for (at, character) in value.iter().enumerate() {
            if !search.push(self, &mut output, *character, 1, at + 1) {
                break;
            }
        }
        search.finish(self, &mut output);
        let result = output.end(None);
        (result != value).then(|| result.into())
    }
}
