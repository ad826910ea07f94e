//! The keys that `azure-powershell` and `azure-developer-cli` share.

use std::{path::PathBuf, time::Duration};

use crate::config::{
    Tenant,
    keys::{Keys, keys},
    secrets::program,
};

/// The time that one call of a command-line tool may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

keys! {
    /// Keys of `azure-powershell` and `azure-developer-cli`.
    #[derive(Debug, Clone)]
    pub struct Tool {
        /// The tenant to ask; the one signed in to when absent.
        pub tenant: Option<Tenant>,
        /// The program; looked up on PATH when absent.
        pub path: Option<PathBuf> as program,
        /// How long one call may take. Default 60 s.
        pub timeout: Duration = TIMEOUT,
    }
}

/// Without a key.
impl Default for Tool {
    fn default() -> Self {
        Keys::defaults()
    }
}
