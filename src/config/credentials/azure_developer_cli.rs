//! `azure-developer-cli`: the user who is signed in to `azd`.

use super::kind::{Kind, SignIn};

pub(in crate::config) const KIND: Kind = Kind {
    name: "azure-developer-cli",
    required: None,
    needs_audience: true,
    harmless: &["tenant", "path", "timeout"],
    sign_in: SignIn::Command {
        command: "azd auth login",
        tenant: "--tenant-id",
    },
};
