//! Reads the keys of one credential, and collects the secrets to check later.

use std::time::Duration;

use crate::config::{
    EndpointUrl, SecretRef, ServiceUrl, Tenant, grammar,
    report::{At, Place, Read, Report},
    secrets::{pem, secret},
    walk::{Item, Table},
};

/// The time that one call of a command-line tool may take.
const TOOL_TIMEOUT: Duration = Duration::from_secs(60);

/// A secret that a credential needs.
#[derive(Debug, Clone)]
pub(in crate::config) struct Needed {
    /// The full name of its key.
    pub(in crate::config) key: String,
    pub(in crate::config) at: At<SecretRef>,
    /// It may have several lines.
    pub(in crate::config) is_pem: bool,
}

/// The keys of one credential.
pub(super) struct Keys<'t, 'r> {
    pub(super) table: Table<'t>,
    report: &'r mut Report,
    secrets: Vec<Needed>,
    pub(super) wants_authority: bool,
    is_refused: bool,
}

impl<'t, 'r> Keys<'t, 'r> {
    pub(super) fn new(table: Table<'t>, report: &'r mut Report) -> Self {
        Self {
            table,
            report,
            secrets: Vec::new(),
            wants_authority: false,
            is_refused: false,
        }
    }

    /// Reports unknown keys. Returns the secrets to check later, and whether a key was refused.
    pub(super) fn finish(self) -> (Vec<Needed>, bool) {
        self.table.finish(self.report);
        (self.secrets, self.is_refused)
    }

    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'t>, &mut Report) -> Option<T>,
    ) -> Option<T> {
        let read = self.table.read(self.report, key, read);
        self.is_refused |= read.is_refused();
        read.into_value()
    }

    pub(super) fn need<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'t>, &mut Report) -> Option<T>,
    ) -> Option<T> {
        self.table.need(self.report, key, read).map(|at| at.value)
    }

    /// A secret of one line that must be there.
    pub(super) fn need_secret(&mut self, key: &'static str) -> Option<SecretRef> {
        let at = self.table.need(self.report, key, secret)?;
        Some(self.remember(key, at, false))
    }

    /// PEM that must be there.
    pub(super) fn need_pem(&mut self, key: &'static str) -> Option<SecretRef> {
        let at = self.table.need(self.report, key, pem)?;
        Some(self.remember(key, at, true))
    }

    pub(super) fn pem(&mut self, key: &'static str) -> Option<SecretRef> {
        match self.table.read(self.report, key, pem) {
            Read::Given(at) => Some(self.remember(key, at, true)),
            Read::Absent => None,
            Read::Refused => {
                self.is_refused = true;
                None
            }
        }
    }

    /// Collects a secret to check once the environment is known.
    pub(super) fn remember(&mut self, key: &str, at: At<SecretRef>, is_pem: bool) -> SecretRef {
        self.secrets.push(Needed {
            key: format!("{}.{key}", self.table.path),
            at: at.clone(),
            is_pem,
        });
        at.value
    }

    pub(super) fn authority(&mut self) -> ServiceUrl {
        let written = self.read("authority", |item, report| {
            item.parse(report, ServiceUrl::parse_secure)
        });
        self.wants_authority = written.is_none();
        written.unwrap_or_else(ServiceUrl::public_authority)
    }

    pub(super) fn timeout(&mut self) -> Duration {
        let timeout = self.table.duration(self.report, "timeout");
        self.is_refused |= timeout.is_refused();
        timeout.or(TOOL_TIMEOUT)
    }

    pub(super) fn refuse(
        &mut self,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.is_refused = true;
        self.report.refuse(place, message.into(), remedy.into());
    }

    pub(super) fn only_one(&mut self, keys: &[&str]) {
        let given: Vec<&str> = keys
            .iter()
            .copied()
            .filter(|key| self.table.has(key))
            .collect();
        if given.len() > 1 {
            self.refuse(
                self.table.place,
                format!("`{}` has both `{}`", self.table.path, given.join("` and `")),
                "keep one of them",
            );
        }
    }
}

pub(super) fn tenant(item: &Item<'_>, report: &mut Report) -> Option<Tenant> {
    item.parse(report, Tenant::parse)
}

pub(super) fn argument(item: &Item<'_>, report: &mut Report) -> Option<String> {
    item.parse(report, grammar::argument)
}

pub(super) fn url(item: &Item<'_>, report: &mut Report) -> Option<ServiceUrl> {
    item.parse(report, ServiceUrl::parse_secure)
}

pub(super) fn endpoint(item: &Item<'_>, report: &mut Report) -> Option<EndpointUrl> {
    item.parse(report, EndpointUrl::parse)
}
