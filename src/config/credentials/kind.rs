//! The description of one kind of credential. All code that depends on a kind's properties reads
//! it.

use crate::config::Tenant;

/// One kind of credential: `KIND` in `[credentials.NAME.KIND]`.
#[derive(Debug)]
pub struct Kind {
    /// As written in the configuration, for example `azure-cli`.
    pub name: &'static str,
    /// The keys that it needs, as a text for errors. `None` if it works without any.
    pub(in crate::config) required: Option<&'static str>,
    /// Whether its tokens are for one audience, which the route must have.
    pub needs_audience: bool,
    /// The keys that never contain a secret, so that an error may show their values. A key that one kind
    /// lists is shown for all kinds.
    pub(in crate::config) harmless: &'static [&'static str],
    /// The way to another token.
    pub sign_in: SignIn,
}

/// The way to another token of a kind.
#[derive(Debug)]
pub enum SignIn {
    /// The user runs a command, which takes a tenant as an option.
    Command {
        /// For example `az login`.
        command: &'static str,
        /// For example `--tenant`.
        tenant: &'static str,
    },
    /// The user is shown a code or a page.
    Prompt,
    /// An application of the tenant, whose administrator sets it up.
    Application,
    /// An identity of the machine, in its own tenant.
    Machine,
    /// The token comes from a place that only the user knows, such as a file.
    Elsewhere,
}

impl SignIn {
    /// The command that signs in, to `tenant` if there is one. `None` for kinds that have no such command.
    pub fn command(&self, tenant: Option<&Tenant>) -> Option<String> {
        let Self::Command {
            command,
            tenant: option,
        } = self
        else {
            return None;
        };
        Some(match tenant {
            Some(tenant) => format!("{command} {option} {tenant}"),
            None => (*command).to_owned(),
        })
    }
}
