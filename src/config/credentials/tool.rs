//! The keys that `azure-powershell` and `azure-developer-cli` share.

use std::{path::PathBuf, time::Duration};

use super::keys::{Keys, tenant};
use crate::config::{Tenant, secrets::program};

/// Keys of `azure-powershell` and `azure-developer-cli`.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The tenant to ask; the one signed in to when absent.
    pub tenant: Option<Tenant>,
    /// The program; looked up on PATH when absent.
    pub path: Option<PathBuf>,
    /// How long one call may take. Default 60 s.
    pub timeout: Duration,
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Tool {
    Tool {
        tenant: keys.read("tenant", tenant),
        path: keys.read("path", program),
        timeout: keys.timeout(),
    }
}
