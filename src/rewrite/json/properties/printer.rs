//! Writes documents with unusual white space and escapes.

use std::ops::Range;

use super::{TO, reference::Tree};

/// A document as it was written, and where its links are.
#[derive(Debug, Default)]
pub(super) struct Printed {
    pub(super) text: String,
    pub(super) links: Vec<Link>,
}

/// The base of a URL that is to be changed.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) base: Range<usize>,
    /// Whether the members that decide about it follow it.
    pub(super) waits: bool,
}

impl Printed {
    /// Returns the document with the links changed that `changes` selects.
    pub(super) fn changed(&self, changes: impl Fn(&Link) -> bool) -> String {
        let mut result = String::new();
        let mut done = 0;
        for link in self.links.iter().filter(|link| changes(link)) {
            result.push_str(&self.text[done..link.base.start]);
            result.push_str(TO);
            done = link.base.end;
        }
        result + &self.text[done..]
    }

    /// Returns which links were changed in `result`, or `None` if anything else was.
    pub(super) fn compare(&self, result: &str) -> Option<Vec<(&Link, bool)>> {
        let (mut given, mut made) = (0, result);
        let mut links = Vec::new();
        for link in &self.links {
            made = made.strip_prefix(&self.text[given..link.base.start])?;
            given = link.base.end;
            let changed = made.strip_prefix(TO);
            made = match changed {
                Some(rest) => rest,
                None => made.strip_prefix(&self.text[link.base.clone()])?,
            };
            links.push((link, changed.is_some()));
        }
        (made == &self.text[given..]).then_some(links)
    }
}

/// Writes the document with white space and escapes as `dice` fall.
pub(super) fn print(tree: &Tree, dice: &[u8]) -> Printed {
    let mut printer = Printer {
        dice: dice.iter().cycle(),
        printed: Printed::default(),
    };
    printer.print(tree);
    printer.printed
}

struct Printer<'a> {
    dice: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    printed: Printed,
}

impl Printer<'_> {
    fn roll(&mut self) -> u8 {
        self.dice.next().copied().unwrap_or(0)
    }

    fn write(&mut self, text: &str) {
        self.printed.text.push_str(text);
    }

    fn space(&mut self) {
        let space = ["", "", "", "", " ", "\n\t", "\r\n"][usize::from(self.roll()) % 7];
        self.write(space);
    }

    fn escape(&mut self, text: &str) -> String {
        let mut result = String::new();
        for character in text.chars() {
            match (character, self.roll() % 16) {
                ('"', 0..14) => result.push_str("\\\""),
                ('\\', 0..14) => result.push_str("\\\\"),
                ('\n', 0..14) => result.push_str("\\n"),
                ('/', 10..14) => result.push_str("\\/"),
                (' '.., 0..14) => result.push(character),
                (_, how) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let digits = if how == 14 {
                            format!("\\u{unit:04x}")
                        } else {
                            format!("\\u{unit:04X}")
                        };
                        result.push_str(&digits);
                    }
                }
            }
        }
        result
    }

    fn print(&mut self, tree: &Tree) {
        self.space();
        match tree {
            Tree::Literal(literal) => self.write(literal),
            Tree::Text { base, rest, waits } => {
                let (spelled, rest) = (self.escape(base), self.escape(rest));
                self.write("\"");
                let start = self.printed.text.len();
                self.write(&spelled);
                if !base.is_empty() {
                    self.printed.links.push(Link {
                        base: start..self.printed.text.len(),
                        waits: *waits,
                    });
                }
                self.write(&rest);
                self.write("\"");
            }
            Tree::Array(items) => {
                self.write("[");
                for (index, item) in items.iter().enumerate() {
                    self.write(if index > 0 { "," } else { "" });
                    self.print(item);
                }
                self.space();
                self.write("]");
            }
            Tree::Object(members) => {
                self.write("{");
                for (index, (key, value)) in members.iter().enumerate() {
                    self.write(if index > 0 { "," } else { "" });
                    self.space();
                    let key = self.escape(key);
                    self.write(&format!("\"{key}\""));
                    self.space();
                    self.write(":");
                    self.print(value);
                }
                self.space();
                self.write("}");
            }
        }
        self.space();
    }
}
