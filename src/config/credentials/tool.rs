//! The keys that `azure-powershell` and `azure-developer-cli` share.

use std::{path::PathBuf, time::Duration};

use crate::config::{
    Tenant,
    keys::{Keys, keys},
    secrets::program,
};

/// The time limit of one call of a command-line tool.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

keys! {
    /// Keys of `azure-powershell` and `azure-developer-cli`.
    #[derive(Debug, Clone)]
    pub struct Tool {
        /// The tenant that issues the token. Without it, the tenant of the sign-in.
        pub tenant: Option<Tenant>,
        /// The program. Without it, PATH is searched.
        pub path: Option<PathBuf> as program,
        /// The time limit of one call. Default 60 s.
        pub timeout: Duration = TIMEOUT,
    }
}

/// The values of a table without keys.
impl Default for Tool {
    fn default() -> Self {
        Keys::defaults()
    }
}
