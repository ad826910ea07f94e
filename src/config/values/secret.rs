//! Secrets by reference: the configuration names the place of a secret and never contains it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::{
    encoding,
    files::{self, Links},
};

/// A reference to a secret: `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable of this process.
    Env(String),
    /// A file, read again at each use so that a rotated secret is picked up.
    File(PathBuf),
    /// The secret itself. Only the demo uses this; a configuration file cannot express it.
    Given(GivenSecret),
}

/// A secret that only the program itself can put into a configuration.
#[derive(Debug, Clone)]
pub struct GivenSecret(SecretString);

impl From<String> for GivenSecret {
    fn from(secret: String) -> Self {
        Self(secret.into())
    }
}

impl PartialEq for GivenSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for GivenSecret {}

impl SecretRef {
    /// Reads the secret, without white space around it. It is one line, so that it fits into a header.
    /// A file system that does not respond causes an error after 5 s.
    pub async fn read(&self) -> Result<SecretString, SecretRefError> {
        self.on_one_line(self.read_text().await?)
    }

    /// Reads a secret that may have several lines, such as PEM.
    pub async fn read_text(&self) -> Result<SecretString, SecretRefError> {
        match self {
            Self::File(path) => {
                let read = files::in_time(path, read_file).await;
                self.trimmed(&read.map_err(|reason| unreadable(path, reason))?)
            }
            Self::Env(_) | Self::Given(_) => self.read_text_now(&|name| std::env::var(name).ok()),
        }
    }

    /// Reads the secret without a time limit, before the proxy serves. The caller provides the
    /// environment.
    pub fn read_now(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SecretString, SecretRefError> {
        self.on_one_line(self.read_text_now(env)?)
    }

    /// Reads a secret that may have several lines, without a time limit.
    pub fn read_text_now(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SecretString, SecretRefError> {
        match self {
            Self::Env(name) => {
                let value = env(name).filter(|value| !value.is_empty());
                self.trimmed(&value.ok_or_else(|| SecretRefError::Env(name.clone()))?)
            }
            Self::File(path) => {
                self.trimmed(&read_file(path).map_err(|reason| unreadable(path, reason))?)
            }
            Self::Given(GivenSecret(secret)) => Ok(secret.clone()),
        }
    }

    /// Removes the newline that editors and `echo` leave at the end.
    fn trimmed(&self, text: &str) -> Result<SecretString, SecretRefError> {
        let secret = text.trim();
        if secret.is_empty() {
            return Err(SecretRefError::Content(self.to_string()));
        }
        Ok(SecretString::from(secret))
    }

    /// Refuses line breaks, since they would start another header.
    fn on_one_line(&self, secret: SecretString) -> Result<SecretString, SecretRefError> {
        if secret.expose_secret().chars().any(char::is_control) {
            return Err(SecretRefError::Content(self.to_string()));
        }
        Ok(secret)
    }
}

fn unreadable(path: &Path, reason: io::Error) -> SecretRefError {
    SecretRefError::File {
        path: path.to_owned(),
        reason,
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let bytes = files::read(path, Links::Follow)?;
    let text = encoding::without_mark(&bytes);
    String::from_utf8(text.to_vec()).map_err(|_| {
        let problem = if encoding::is_utf16(&bytes) {
            format!("it is in UTF-16, not in UTF-8; {}", encoding::TO_UTF_8)
        } else {
            "it is not UTF-8; save a text as UTF-8, convert a .pfx file with `openssl pkcs12 -in \
             app.pfx -out app.pem -nodes`, and a key in DER with `openssl pkey -inform DER -in app.der \
             -out app.pem`"
                .to_owned()
        };
        io::Error::new(io::ErrorKind::InvalidData, problem)
    })
}

/// Names the place, never the secret.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Given(_) => f.write_str("memory"),
        }
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
        /// The error of the system.
        reason: std::io::Error,
    },
    /// The secret is empty or contains a control character or line break.
    #[error("the secret in {0} is empty or contains a control character")]
    Content(String),
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(content: &[u8]) -> (tempfile::NamedTempFile, SecretRef) {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(content).expect("written");
        let reference = SecretRef::File(file.path().to_owned());
        (file, reference)
    }

    fn no_variables(_: &str) -> Option<String> {
        None
    }

    #[tokio::test]
    async fn trims_what_editors_leave() {
        for content in [&b"s3cret \r\n"[..], b"\xef\xbb\xbfs3cret"] {
            let (_file, reference) = file(content);
            let now = reference.read_now(&no_variables).expect("readable");
            let in_time = reference.read().await.expect("readable");
            for secret in [now, in_time] {
                assert_eq!(secret.expose_secret(), "s3cret");
            }
        }
    }

    #[test]
    fn refuses_what_could_split_a_header() {
        for content in [&b""[..], b"\n", b"a\nb", b"a\0b", b"a\r\nX: y"] {
            let (_file, reference) = file(content);
            let error = reference.read_now(&no_variables).expect_err("refused");
            assert!(
                matches!(error, SecretRefError::Content(_)),
                "{content:?}: {error}"
            );
        }
        let (_file, reference) = file(b"\xff\xfe");
        assert!(matches!(
            reference.read_now(&no_variables),
            Err(SecretRefError::File { .. })
        ));
    }

    #[test]
    fn says_how_to_convert_another_encoding() {
        for (content, parts) in [
            (&b"\xff\xfes\0"[..], ["it is in UTF-16", encoding::TO_UTF_8]),
            (b"\xfe\xff\0s", ["it is in UTF-16", encoding::TO_UTF_8]),
            (
                b"0\x82\x04",
                ["it is not UTF-8", "openssl pkey -inform DER"],
            ),
        ] {
            let (_file, reference) = file(content);
            let error = reference.read_now(&no_variables).expect_err("refused");
            let error = error.to_string();
            for part in parts {
                assert!(error.contains(part), "no {part:?} in {error}");
            }
        }
    }

    #[test]
    fn reads_a_file_again_each_time() {
        let (file, reference) = file(b"one");
        assert_eq!(
            reference
                .read_now(&no_variables)
                .expect("readable")
                .expose_secret(),
            "one"
        );
        std::fs::write(file.path(), "two").expect("written");
        assert_eq!(
            reference
                .read_now(&no_variables)
                .expect("readable")
                .expose_secret(),
            "two"
        );
    }

    #[test]
    fn names_the_variable_and_never_the_secret() {
        let env = |name: &str| (name == "SET").then(|| "hunter\n2".to_owned());
        let unset = SecretRef::Env("UNSET".into()).read_now(&env);
        assert!(
            unset
                .expect_err("refused")
                .to_string()
                .contains("variable UNSET is not set")
        );
        let bad = SecretRef::Env("SET".into())
            .read_now(&env)
            .expect_err("refused")
            .to_string();
        assert!(bad.contains("SET") && !bad.contains("hunter"), "{bad}");
    }
}
