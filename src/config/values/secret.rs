//! Secrets by reference: the configuration says where a secret is, never what it is.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};

/// A secret kept elsewhere: `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable of this process.
    Env(String),
    /// A file, read again at each use so that a rotated secret is picked up.
    File(PathBuf),
    /// The secret itself, as the demo holds its own. No configuration can say this.
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
    /// The secret now, without surrounding white space. Reads a file or variable: call it where
    /// blocking for a small local file is fine.
    pub fn read(&self) -> Result<SecretString, SecretRefError> {
        self.read_with(&|name| std::env::var(name).ok())
    }

    /// As [`SecretRef::read`], with the environment given by the caller.
    pub fn read_with(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SecretString, SecretRefError> {
        let secret = self.read_text_with(env)?;
        // Inside a header, a line break would start another one.
        if secret.expose_secret().chars().any(char::is_control) {
            return Err(SecretRefError::Content(self.to_string()));
        }
        Ok(secret)
    }

    /// As [`SecretRef::read`] for what may have several lines, such as PEM.
    pub fn read_text(&self) -> Result<SecretString, SecretRefError> {
        self.read_text_with(&|name| std::env::var(name).ok())
    }

    /// As [`SecretRef::read_text`], with the environment given by the caller.
    pub fn read_text_with(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SecretString, SecretRefError> {
        let text = match self {
            Self::Env(name) => env(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| SecretRefError::Env(name.clone()))?,
            Self::File(path) => read_file(path).map_err(|reason| SecretRefError::File {
                path: path.clone(),
                reason,
            })?,
            Self::Given(GivenSecret(secret)) => return Ok(secret.clone()),
        };
        // Editors and `echo` leave a newline at the end.
        let secret = text.trim();
        if secret.is_empty() {
            return Err(SecretRefError::Content(self.to_string()));
        }
        Ok(SecretString::from(secret))
    }
}

/// More than any secret, certificate chain or assertion takes.
const MAX_FILE: u64 = 1 << 20;

fn read_file(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        let problem = "it is larger than 1 MiB";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    String::from_utf8(bytes).map_err(|_| {
        let problem = "it is not text; a certificate or key in binary form (.pfx, .der) has to be PEM: \
                       openssl pkcs12 -in app.pfx -out app.pem -nodes";
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
        /// What the system said.
        reason: std::io::Error,
    },
    /// The secret is empty or holds a control character or line break.
    #[error("the secret in {0} is empty or holds a control character")]
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

    #[test]
    fn trims_what_editors_leave() {
        let (_file, reference) = file(b"s3cret \r\n");
        assert_eq!(
            reference.read().expect("readable").expose_secret(),
            "s3cret"
        );
    }

    #[test]
    fn refuses_what_could_split_a_header() {
        for content in [&b""[..], b"\n", b"a\nb", b"a\0b", b"a\r\nX: y"] {
            let (_file, reference) = file(content);
            let error = reference.read().expect_err("refused");
            assert!(
                matches!(error, SecretRefError::Content(_)),
                "{content:?}: {error}"
            );
        }
        let (_file, reference) = file(b"\xff\xfe");
        assert!(matches!(reference.read(), Err(SecretRefError::File { .. })));
    }

    #[test]
    fn reads_a_file_again_each_time() {
        let (file, reference) = file(b"one");
        assert_eq!(reference.read().expect("readable").expose_secret(), "one");
        std::fs::write(file.path(), "two").expect("written");
        assert_eq!(reference.read().expect("readable").expose_secret(), "two");
    }

    #[test]
    fn names_the_variable_and_never_the_secret() {
        let env = |name: &str| (name == "SET").then(|| "hunter\n2".to_owned());
        let unset = SecretRef::Env("UNSET".into()).read_with(&env);
        assert!(
            unset
                .expect_err("refused")
                .to_string()
                .contains("variable UNSET is not set")
        );
        let bad = SecretRef::Env("SET".into())
            .read_with(&env)
            .expect_err("refused")
            .to_string();
        assert!(bad.contains("SET") && !bad.contains("hunter"), "{bad}");
    }
}
