//! The small values of a configuration, each valid once made.

use std::{fmt, path::PathBuf, sync::Arc};

use http::uri::{Authority, Scheme};
use secrecy::SecretString;

/// The base URL of a service: scheme, host, optional port, optional path. No
/// query, no user info.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    scheme: Scheme,
    authority: Authority,
    base_path: String,
}

impl ServiceUrl {
    /// `http` or `https`.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host and port as written, without user info: the `Host` header sent upstream.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Host in lower case, IPv6 addresses without brackets.
    pub fn host(&self) -> String {
        todo!()
    }

    /// The port, 80 or 443 when none is written.
    pub fn port(&self) -> u16 {
        todo!()
    }

    /// Empty, or a path that starts with a slash and does not end with one.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// `scheme://authority` without a slash at the end.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// Whether the host is `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        todo!()
    }
}

/// Whom a token is for (the `resource` of v1, `{audience}/.default` of v2), byte for byte as
/// configured. Letters, digits and `.-_:/` only, since it is passed to other programs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Audience(Arc<str>);

impl Audience {
    /// The audience as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant id or domain: letters, digits, `.` and `-` only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// The tenant as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A route's path prefix: starts with a slash, does not end with one; the root is the empty string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// The prefix, empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A secret kept elsewhere: `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable of this process.
    Env(String),
    /// A file, read again at each use so that a rotated secret is picked up.
    File(PathBuf),
}

impl SecretRef {
    /// The secret now, without surrounding white space.
    pub fn read(&self) -> Result<SecretString, SecretRefError> {
        todo!()
    }
}

/// Why a secret could not be read. The text names the variable or file, never the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretRefError {
    /// The variable is not set or empty.
    #[error("the environment variable {0} is not set; set it and start ahds-proxy again")]
    Env(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The secret is empty or holds a control character or line break.
    #[error("the secret in {0} is empty or holds a control character")]
    Content(String),
}
