//! Reads the keys of one credential and remembers what has to be done with them later.

use std::time::Duration;

use super::{
    credentials::{Draft, TOOL_TIMEOUT},
    duration,
};
use crate::config::{
    Credential, SecretRef, ServiceUrl,
    report::{At, Place, Report},
    walk::{Item, Table},
};

/// The keys of one credential, and what reading them has shown so far.
pub(super) struct Keys<'t, 'r> {
    pub(super) table: Table<'t>,
    report: &'r mut Report,
    pub(super) secrets: Vec<(String, At<SecretRef>)>,
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

    /// Reports the keys nobody asked for. `None` where one was refused.
    pub(super) fn finish(self, credential: Option<Credential>) -> Option<Draft> {
        self.table.finish(self.report);
        Some(Draft {
            credential: credential.filter(|_| !self.is_refused)?,
            wants_authority: self.wants_authority,
            secrets: self.secrets,
        })
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

    pub(super) fn secret(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'t>, &mut Report) -> Option<SecretRef>,
    ) -> Option<SecretRef> {
        let read = self.table.read(self.report, key, read);
        self.is_refused |= read.is_refused();
        let at = read.given()?;
        self.secrets
            .push((format!("{}.{key}", self.table.path), at.clone()));
        read.into_value()
    }

    pub(super) fn need_secret(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'t>, &mut Report) -> Option<SecretRef>,
    ) -> Option<SecretRef> {
        let at = self.table.need(self.report, key, read)?;
        self.secrets
            .push((format!("{}.{key}", self.table.path), at.clone()));
        Some(at.value)
    }

    pub(super) fn authority(&mut self) -> ServiceUrl {
        let written = self.read("authority", |item, report| {
            item.parse(report, ServiceUrl::parse_secure)
        });
        self.wants_authority = written.is_none();
        written.unwrap_or_else(ServiceUrl::public_authority)
    }

    pub(super) fn timeout(&mut self) -> Duration {
        let timeout = duration(&mut self.table, self.report, "timeout");
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
