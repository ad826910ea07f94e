//! `azure-cli`: the user who is signed in to `az`.

use std::{path::PathBuf, time::Duration};

use super::{
    kind::{Kind, SignIn},
    tool::TIMEOUT,
};
use crate::config::{
    Tenant,
    keys::{Keys, argument, keys},
    secrets::program,
};

pub(in crate::config) const KIND: Kind = Kind {
    name: "azure-cli",
    required: None,
    needs_audience: true,
    harmless: &["tenant", "subscription", "path", "timeout"],
    sign_in: SignIn::Command {
        command: "az login",
        tenant: "--tenant",
    },
};

keys! {
    /// Keys of `azure-cli`.
    #[derive(Debug, Clone)]
    pub struct AzureCli {
        /// Passed as `--tenant`.
        pub tenant: Option<Tenant>,
        /// Passed as `--subscription` (name or id).
        pub subscription: Option<String> as argument,
        /// The `az` program. Without it, PATH is searched.
        pub path: Option<PathBuf> as program,
        /// The time limit of one call. Default 60 s.
        pub timeout: Duration = TIMEOUT,
    }
}

/// The values of a table without keys.
impl Default for AzureCli {
    fn default() -> Self {
        Keys::defaults()
    }
}
