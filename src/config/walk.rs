//! A typed walk over a parsed TOML file that reports every problem. Serde's derive stops at the first
//! error, and users correct a file faster if they see all problems at once.

use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};

use super::{
    ValueError, mask,
    report::{At, Place, Read, Report},
};

/// One value of the file.
pub(super) struct Item<'t> {
    /// The full name, for example `routes.fhir.upstream`.
    pub(super) key: String,
    /// The value's own place.
    pub(super) place: Place,
    value: &'t DeValue<'t>,
}

impl<'t> Item<'t> {
    pub(super) fn str(&self, report: &mut Report) -> Option<&'t str> {
        self.expect(self.value.as_str(), "a string", report)
    }

    pub(super) fn boolean(&self, report: &mut Report) -> Option<bool> {
        self.expect(self.value.as_bool(), "true or false", report)
    }

    /// The string read by `parse`.
    pub(super) fn parse<T>(
        &self,
        report: &mut Report,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let Some(text) = self.value.as_str() else {
            // The remedy for an empty value shows a valid one.
            let remedy = parse("").err().map(|error| error.remedy);
            self.refuse_type(remedy.unwrap_or("write a string".to_owned()), report);
            return None;
        };
        report.accept(self.place, &self.key, parse(text))
    }

    /// The number, in whichever base it is written. `None` if the value is not a number.
    pub(super) fn number(&self) -> Option<u64> {
        let integer = self.value.as_integer()?;
        u64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    /// A whole number within bounds.
    pub(super) fn number_in(
        &self,
        bounds: std::ops::RangeInclusive<usize>,
        report: &mut Report,
    ) -> Option<usize> {
        let (low, high) = (bounds.start(), bounds.end());
        let wanted = format!("a whole number from {low} to {high}");
        let number = self
            .value
            .is_integer()
            .then(|| self.number().and_then(|n| usize::try_from(n).ok()));
        let number = self.expect(number, &wanted, report)?;
        let valid = number.filter(|n| bounds.contains(n));
        if valid.is_none() {
            report.refuse(
                self.place,
                format!("`{}` is out of bounds", self.key),
                format!("write {wanted}"),
            );
        }
        valid
    }

    pub(super) fn is_string(&self) -> bool {
        self.value.is_str()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(super) fn items(&self, report: &mut Report) -> Option<Vec<Item<'t>>> {
        let array = self.expect(self.value.as_array(), "a list: [\"…\"]", report)?;
        let item = |value: &'t toml::Spanned<DeValue<'t>>| Item {
            key: self.key.clone(),
            place: value.span().into(),
            value: value.get_ref(),
        };
        Some(array.iter().map(item).collect())
    }

    /// Reads every element of a list with `parse`. `None` if one was refused.
    pub(super) fn list<T>(
        &self,
        report: &mut Report,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<Vec<At<T>>> {
        self.each(report, parse)?.into_iter().collect()
    }

    /// The elements that `parse` accepts, for later checks: a bad element must not hide the problems of
    /// its neighbors. `None` if all were refused.
    pub(super) fn good_ones<T>(
        &self,
        report: &mut Report,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<Vec<At<T>>> {
        good_ones(self.each(report, parse)?)
    }

    /// Reads the elements at once, so that the problem of every element is reported.
    fn each<T>(
        &self,
        report: &mut Report,
        parse: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Option<Vec<Option<At<T>>>> {
        let items = self.items(report)?;
        let read = items.iter().map(|item| {
            let value = item.parse(report, &parse)?;
            let place = item.place;
            Some(At { value, place })
        });
        Some(read.collect())
    }

    pub(super) fn table(&self, report: &mut Report) -> Option<Table<'t>> {
        let Some(entries) = self.value.as_table() else {
            self.refuse_type(self.as_table(), report);
            return None;
        };
        Some(Table {
            path: self.key.clone(),
            place: self.place,
            entries,
            known: BTreeSet::new(),
        })
    }

    /// The remedy for a value in place of a table.
    fn as_table(&self) -> String {
        let kind = "azure-cli";
        let header = match self.key.split('.').collect::<Vec<_>>()[..] {
            ["routes"] => "routes.fhir".to_owned(),
            ["credentials"] => format!("credentials.default.{kind}"),
            ["credentials", name] => format!("credentials.{name}.{kind}"),
            _ => self.key.clone(),
        };
        let is_list_of_tables = self.value.as_array().is_some_and(|list| {
            !list.is_empty() && list.iter().all(|item| item.get_ref().is_table())
        });
        if is_list_of_tables {
            format!("write [{header}], with one pair of brackets")
        } else {
            format!("write [{header}] on a line of its own, and its keys below it")
        }
    }

    /// Reads every entry of a table whose keys the user chooses. `None` if one was refused.
    pub(super) fn each_entry<T>(
        &self,
        report: &mut Report,
        mut read: impl FnMut(&At<&str>, &Item<'_>, &mut Report) -> Option<T>,
    ) -> Option<Vec<T>> {
        let table = self.table(report)?;
        // Collected first, so that the problem of every entry is reported.
        let read: Vec<_> = table
            .entries()
            .map(|(name, item)| read(&name, &item, report))
            .collect();
        read.into_iter().collect()
    }

    /// Refuses the key of a feature that does not exist yet.
    pub(super) fn not_yet<T>(&self, report: &mut Report, meanwhile: &str) -> Option<T> {
        let message = format!("`{}` is not available yet", self.key);
        report.refuse(self.place, message, meanwhile);
        None
    }

    fn expect<T>(&self, value: Option<T>, wanted: &str, report: &mut Report) -> Option<T> {
        if value.is_none() {
            self.refuse_type(format!("write {wanted}"), report);
        }
        value
    }

    fn refuse_type(&self, remedy: String, report: &mut Report) {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a decimal number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` cannot be {found}", self.key);
        report.refuse(self.place, message, remedy);
    }
}

/// A table of the file. [`Table::finish`] reports the keys that were not looked up.
pub(super) struct Table<'t> {
    /// The full name, empty for the file itself.
    pub(super) path: String,
    /// The place to which the error for a missing key points.
    pub(super) place: Place,
    entries: &'t DeTable<'t>,
    known: BTreeSet<&'static str>,
}

impl<'t> Table<'t> {
    pub(super) fn root(entries: &'t DeTable<'t>) -> Self {
        Self {
            path: String::new(),
            place: Place::Nowhere,
            entries,
            known: BTreeSet::new(),
        }
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Reads the value of `key` with `read`.
    pub(super) fn read<T>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        read: impl FnOnce(&Item<'t>, &mut Report) -> Option<T>,
    ) -> Read<T> {
        self.known.insert(key);
        #[cfg(test)]
        report.asked.insert(self.name(key));
        let Some(value) = self.entries.get(key) else {
            return Read::Absent;
        };
        let item = Item {
            key: self.name(key),
            place: value.span().into(),
            value: value.get_ref(),
        };
        Read::new(read(&item, report), item.place)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Refuses a table with more than one of these keys.
    pub(super) fn only_one(&self, report: &mut Report, keys: &[&str]) {
        let given: Vec<&str> = keys.iter().copied().filter(|key| self.has(key)).collect();
        if given.len() > 1 {
            report.refuse(
                self.place,
                format!("`{}` has both `{}`", self.path, given.join("` and `")),
                "keep one of them",
            );
        }
    }

    /// Every key with its value, for tables whose keys the user chooses. Each place is that of the key.
    pub(super) fn entries(&self) -> impl Iterator<Item = (At<&'t str>, Item<'t>)> + use<'t> {
        let path = self.path.clone();
        self.entries.iter().map(move |(key, value)| {
            let name = At {
                value: key.get_ref().as_ref(),
                place: key.span().into(),
            };
            let item = Item {
                key: format!("{path}.{}", key.get_ref()),
                place: value.span().into(),
                value: value.get_ref(),
            };
            (name, item)
        })
    }

    /// Reports every key that was not looked up. Hides its value, unless the key is a misspelt form of
    /// one that is not secret.
    pub(super) fn finish(self, report: &mut Report) {
        for (key, value) in self.entries {
            let name = key.get_ref().as_ref();
            if self.known.contains(name) {
                continue;
            }
            let within = if self.path.is_empty() {
                String::new()
            } else {
                format!(" in `{}`", self.path)
            };
            let meant = closest(name, self.known.iter().copied());
            let is_nested = value.get_ref().is_table() || value.get_ref().is_array();
            // Credentials are always masked, whatever their keys are called.
            if !self.path.starts_with("credentials.")
                && (is_nested || meant.is_none_or(mask::is_telling))
            {
                mask::mask_whole(name, value, report);
            }
            let remedy = suggest(name, self.known.iter().copied());
            report.refuse(
                key.span().into(),
                format!("unknown key `{}`{within}", name.escape_debug()),
                remedy,
            );
        }
    }
}

/// The elements that were not refused. `None` if there are none.
pub(super) fn good_ones<T>(read: Vec<Option<T>>) -> Option<Vec<T>> {
    let is_empty = read.is_empty();
    let good: Vec<T> = read.into_iter().flatten().collect();
    (is_empty || !good.is_empty()).then_some(good)
}

/// The key that was probably meant.
fn closest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // `Idle-Timeout` clearly means `idle_timeout`, whatever the edit distance.
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    known
        .map(|key| (strsim::osa_distance(&plain(name), &plain(key)), key))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, key)| *distance <= key.len().div_ceil(3))
        .map(|(_, key)| key)
}

/// Names the key that was probably meant, or else all keys.
pub(super) fn suggest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let known: Vec<&str> = known.collect();
    match closest(name, known.iter().copied()) {
        Some(key) => format!("did you mean `{key}`?"),
        None if known.is_empty() => "remove it: this table has no keys".to_owned(),
        None => format!("write one of: {}", known.join(", ")),
    }
}
