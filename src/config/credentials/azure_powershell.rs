//! `azure-powershell`: the user who is signed in to Azure `PowerShell`.

use super::kind::{Kind, SignIn};

pub(in crate::config) const KIND: Kind = Kind {
    name: "azure-powershell",
    required: None,
    needs_audience: true,
    harmless: &["tenant", "path", "timeout"],
    sign_in: SignIn::Command {
        command: "Connect-AzAccount",
        tenant: "-Tenant",
    },
};
