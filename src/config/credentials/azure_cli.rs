//! `azure-cli`: the user who is signed in to `az`.

use std::{path::PathBuf, time::Duration};

use super::{
    keys::{Keys, argument, tenant},
    kind::{Kind, SignIn},
};
use crate::config::{Tenant, secrets::program};

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

/// Keys of `azure-cli`.
#[derive(Debug, Clone)]
pub struct AzureCli {
    /// Passed as `--tenant`.
    pub tenant: Option<Tenant>,
    /// Passed as `--subscription` (name or id).
    pub subscription: Option<String>,
    /// The `az` program; looked up on PATH when absent.
    pub path: Option<PathBuf>,
    /// How long one call may take. Default 60 s.
    pub timeout: Duration,
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> AzureCli {
    AzureCli {
        tenant: keys.read("tenant", tenant),
        subscription: keys.read("subscription", argument),
        path: keys.read("path", program),
        timeout: keys.timeout(),
    }
}
