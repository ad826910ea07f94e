//! The keys of a table, each written once: its name, type, default and documentation.
//!
//! [`keys!`] declares a table as a struct. A field's type decides the meaning of an absent key: a `T` is
//! required, an `Option<T>` is not, a `Read<T>` keeps the place for later checks, and `= default`
//! completes it. `as reader` replaces the type's own reader. The keys below `not yet` belong to
//! features that do not exist yet. Their reader checks the value and then refuses the key, since a
//! user would rely on a key that is silently ignored.

use std::{path::PathBuf, time::Duration};

use toml::de::DeTable;

use super::{
    Audience, ByteSize, EndpointUrl, Listen, Prefix, SecretRef, ServiceUrl, Tenant, ValueError,
    grammar,
    report::{At, Read, Report},
    secrets,
    values::{ProxySetting, Word, parse_duration},
    walk::{Item, Table},
};

/// The largest count, for example of connections. A machine does not have that many ports.
const MOST: usize = 1_000_000;

/// A type that has one syntax. `None` means that a problem was reported.
pub(super) trait Value: Sized {
    fn read(item: &Item<'_>, report: &mut Report) -> Option<Self>;
}

/// A table with a known set of keys.
pub(super) trait Keys: Sized {
    /// `None` if a required key is absent or refused. Unknown keys are left to the caller.
    fn read_from(table: &mut Table<'_>, report: &mut Report) -> Option<Self>;

    /// Reads a table and reports its unknown keys.
    fn read_whole(mut table: Table<'_>, report: &mut Report) -> Option<Self> {
        let keys = Self::read_from(&mut table, report);
        table.finish(report);
        keys
    }

    /// The values of a table without keys, for types whose keys all have defaults.
    fn defaults() -> Self {
        let empty = DeTable::new();
        Self::read_from(&mut Table::root(&empty), &mut Report::default())
            .expect("no key is required")
    }
}

impl<T: Keys> Keys for Box<T> {
    fn read_from(table: &mut Table<'_>, report: &mut Report) -> Option<Self> {
        T::read_from(table, report).map(Box::new)
    }
}

/// The type of a struct's field, which decides the meaning of an absent key.
pub(super) trait Field: Sized {
    type Value;
    const IS_REQUIRED: bool = false;

    fn from_read(read: Read<Self::Value>) -> Option<Self>;
}

impl<T: Value> Field for T {
    type Value = T;
    const IS_REQUIRED: bool = true;

    fn from_read(read: Read<T>) -> Option<T> {
        read.into_value()
    }
}

impl<T> Field for At<T> {
    type Value = T;
    const IS_REQUIRED: bool = true;

    fn from_read(read: Read<T>) -> Option<Self> {
        match read {
            Read::Given(at) => Some(at),
            Read::Absent | Read::Refused => None,
        }
    }
}

/// A refused value counts as absent, since the configuration is not used then.
impl<T> Field for Option<T> {
    type Value = T;

    fn from_read(read: Read<T>) -> Option<Self> {
        Some(read.into_value())
    }
}

impl<T> Field for Read<T> {
    type Value = T;

    fn from_read(read: Read<T>) -> Option<Self> {
        Some(read)
    }
}

impl<'t> Table<'t> {
    /// The value of `key`. `None` if the key is required, and absent or refused.
    pub(super) fn key<F: Field>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        read: impl FnOnce(&Item<'t>, &mut Report) -> Option<F::Value>,
    ) -> Option<F> {
        let read = self.read(report, key, read);
        if F::IS_REQUIRED && read.is_absent() {
            report.refuse(
                self.place,
                format!("`{}` needs the key `{key}`", self.path),
                format!("add `{key} = …` to this table"),
            );
        }
        F::from_read(read)
    }
}

macro_rules! keys {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $(
                $(#[$field_attribute:meta])*
                $field_visibility:vis $field:ident: $type:ty $(as $reader:path)? $(= $default:expr)?,
            )*
        }
        $(not yet { $($later:ident),* $(,)? })?
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $($(#[$field_attribute])* $field_visibility $field: $type,)*
        }

        impl $crate::config::keys::Keys for $name {
            fn read_from(
                table: &mut $crate::config::walk::Table<'_>,
                report: &mut $crate::config::report::Report,
            ) -> Option<Self> {
                // Each key is read before the first `?`, so that every problem is reported.
                $(let $field = keys!(@read table, report, $field, $type, [$($reader)?], $($default)?);)*
                $($(let _: $crate::config::report::Read<()> = table.read(report, stringify!($later), $later);)*)?
                Some(Self { $($field: $field?,)* })
            }
        }

        impl $crate::config::keys::Value for $name {
            fn read(
                item: &$crate::config::walk::Item<'_>,
                report: &mut $crate::config::report::Report,
            ) -> Option<Self> {
                $crate::config::keys::Keys::read_whole(item.table(report)?, report)
            }
        }
    };
    (@read $table:ident, $report:ident, $field:ident, $type:ty, [$($reader:path)?], $default:expr) => {
        Some(
            $table
                .read($report, stringify!($field), keys!(@reader $($reader)?))
                .or($default)
        )
    };
    (@read $table:ident, $report:ident, $field:ident, $type:ty, [$($reader:path)?],) => {
        $table.key::<$type>($report, stringify!($field), keys!(@reader $($reader)?))
    };
    (@reader) => { $crate::config::keys::Value::read };
    (@reader $reader:path) => { $reader };
}
pub(super) use keys;

/// Implements `Value` for types that one function reads, from the item or from its text.
macro_rules! values {
    ($($type:ty = $read:expr;)*) => {
        $(impl Value for $type {
            fn read(item: &Item<'_>, report: &mut Report) -> Option<Self> {
                $read(item, report)
            }
        })*
    };
}

values! {
    bool = Item::boolean;
    usize = count;
    String = |item: &Item<'_>, report| item.str(report).map(str::to_owned);
    PathBuf = secrets::path;
    SecretRef = secrets::secret;
    Audience = parsed(Audience::parse);
    ByteSize = size;
    Duration = parsed(parse_duration);
    EndpointUrl = endpoint;
    Listen = parsed(grammar::listen);
    Prefix = parsed(Prefix::parse);
    ProxySetting = parsed(ProxySetting::parse);
    ServiceUrl = parsed(ServiceUrl::parse);
    Tenant = parsed(Tenant::parse);
}

impl<T: Word> Value for T {
    fn read(item: &Item<'_>, report: &mut Report) -> Option<Self> {
        item.parse(report, grammar::word)
    }
}

/// Reads a string by a function of its text.
pub(super) fn parsed<T>(
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> impl Fn(&Item<'_>, &mut Report) -> Option<T> {
    move |item, report| item.parse(report, &parse)
}

fn count(item: &Item<'_>, report: &mut Report) -> Option<usize> {
    item.number_in(1..=MOST, report)
}

fn size(item: &Item<'_>, report: &mut Report) -> Option<ByteSize> {
    match item.number() {
        Some(bytes) => report.accept(item.place, &item.key, ByteSize::from_bytes(bytes)),
        None => item.parse(report, ByteSize::parse),
    }
}

/// Text that becomes another program's argument or a form field.
pub(super) fn argument(item: &Item<'_>, report: &mut Report) -> Option<String> {
    item.parse(report, grammar::argument)
}

/// A URL that receives secrets.
pub(super) fn secure_url(item: &Item<'_>, report: &mut Report) -> Option<ServiceUrl> {
    let url = item.parse(report, ServiceUrl::parse_secure)?;
    report.endpoints.push((item.key.clone(), url.clone()));
    Some(url)
}

fn endpoint(item: &Item<'_>, report: &mut Report) -> Option<EndpointUrl> {
    let url = item.parse(report, EndpointUrl::parse)?;
    secure_url(item, report)?;
    Some(url)
}

/// The base of an instance metadata service.
pub(super) fn metadata_url(item: &Item<'_>, report: &mut Report) -> Option<ServiceUrl> {
    let url = item.parse(report, grammar::metadata_url)?;
    report.endpoints.push((item.key.clone(), url.clone()));
    Some(url)
}
