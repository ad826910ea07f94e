//! Azure Arc: the agent on a machine outside Azure
//! (learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication).
//!
//! The agent checks that the caller may have a token by a file that only some users can read. An
//! endpoint names that file over plain HTTP, so only files of the agent may be read.

use std::{
    io,
    path::{Path, PathBuf},
};

use http::{HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    super::{AccessToken, CredentialError, context::Context, http::Response},
    endpoint, reply,
};
use crate::config::{
    Audience,
    files::{self, Links},
};

const API_VERSION: &str = "2020-06-01";
/// No key is longer.
const MAX_KEY: usize = 4096;

/// The agent on this machine.
#[derive(Debug)]
pub(super) struct Arc {
    address: String,
    /// Where the agent's keys are.
    folder: PathBuf,
}

impl Arc {
    pub(super) fn new(address: &str) -> Result<Self, CredentialError> {
        Self::with_keys_in(documented_folder(), address)
    }

    fn with_keys_in(folder: PathBuf, address: &str) -> Result<Self, CredentialError> {
        Ok(Self {
            address: endpoint::exact(endpoint::IDENTITY, address)?,
            folder,
        })
    }

    pub(super) async fn token(
        &self,
        context: &Context,
        audience: &Audience,
    ) -> Result<AccessToken, CredentialError> {
        let url = endpoint::request(&self.address, API_VERSION, audience, None)?;
        let ask = async |headers| {
            let response = context.endpoints.get(&url, headers).await;
            response.map_err(|error| {
                error.with_remedy("Check that the agent runs. Run: azcmagent show")
            })
        };
        let mut start = context.clock.now();
        let mut headers = endpoint::metadata_header();
        let mut response = ask(headers.clone()).await?;
        if response.status == StatusCode::UNAUTHORIZED {
            let key = self.key(&response).await?;
            let mut value = HeaderValue::from_str(&format!("Basic {}", key.expose_secret()))
                .map_err(|_| unusable_key("contains a control character"))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
            start = context.clock.now();
            response = ask(headers).await?;
        }
        let platform = "the Azure Arc agent";
        reply::read(&response, start, platform, audience, || {
            CredentialError::needs_action(
                format!("{platform} responded with {}", response.status.as_u16()),
                "Check that the machine is connected. Run: azcmagent show",
            )
        })
    }

    /// The key in the file that the agent's challenge names.
    async fn key(&self, challenge: &Response) -> Result<SecretString, CredentialError> {
        let named = challenge
            .headers
            .get(header::WWW_AUTHENTICATE)
            .and_then(|value| value.to_str().ok())
            .and_then(realm)
            .ok_or_else(|| unusable_key("is not named in its response"))?;
        let path = Path::new(named);
        let is_key = path.extension().is_some_and(|end| end == "key");
        if path.parent() != Some(&self.folder) || !is_key {
            return Err(unusable_key(&format!(
                "is said to be elsewhere than in {}",
                self.folder.display()
            )));
        }
        let text = files::in_time(path, read_key).await.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => CredentialError::needs_action(
                "this user may not read the Azure Arc agent's key",
                "On Linux, run `sudo usermod -aG himds USER` and sign in to the machine again. On \
                 Windows, add the user to the group Hybrid agent extension applications.",
            ),
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::FileTooLarge => unusable_key("is not a short text file"),
            kind => unusable_key(&format!("cannot be read ({kind})")),
        })?;
        Ok(text.trim().into())
    }
}

/// The `realm` of `Basic realm=…`.
fn realm(challenge: &str) -> Option<&str> {
    let (scheme, parameter) = challenge.trim().split_once(' ')?;
    let (name, value) = parameter.trim_start().split_once('=')?;
    (scheme.eq_ignore_ascii_case("basic") && name.eq_ignore_ascii_case("realm"))
        .then(|| value.trim_matches('"'))
}

/// Reads a short file, and nothing in its place: no link to another one, no pipe, no device.
fn read_key(path: &Path) -> io::Result<String> {
    let key = files::read(path, Links::Refuse)?;
    let text = String::from_utf8(key)
        .ok()
        .filter(|text| text.len() <= MAX_KEY);
    text.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(not(windows))]
fn documented_folder() -> PathBuf {
    PathBuf::from("/var/opt/azcmagent/tokens")
}

#[cfg(windows)]
fn documented_folder() -> PathBuf {
    let data = std::env::var_os("ProgramData").unwrap_or_else(|| r"C:\ProgramData".into());
    Path::new(&data).join(r"AzureConnectedMachineAgent\Tokens")
}

fn unusable_key(what: &str) -> CredentialError {
    CredentialError::needs_action(
        format!("the Azure Arc agent's key {what}"),
        "Check that the agent is Azure's and runs. Run: azcmagent show",
    )
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use tempfile::TempDir;

    use super::{super::testing::Server, *};

    const TOKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n\
                         {\"access_token\":\"arc-token\",\"expires_in\":3600}";

    fn challenge(path: &Path) -> String {
        format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm={}\r\nContent-Length: 2\r\n\r\n{{}}",
            path.display()
        )
    }

    fn folder() -> TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    async fn ask(folder: &TempDir, server: &Server) -> Result<AccessToken, CredentialError> {
        let address = server.url("/metadata/identity/oauth2/token");
        let audience = Audience::parse("https://a.example").expect("an audience");
        Arc::with_keys_in(folder.path().to_owned(), &address)
            .expect("a loopback address")
            .token(&server.context(), &audience)
            .await
    }

    #[tokio::test]
    async fn answers_the_challenge_with_the_key() {
        let folder = folder();
        let key = folder.path().join("a1.key");
        fs::write(&key, "s3cret\n").expect("written");
        let server = Server::saying([challenge(&key), TOKEN.to_owned()]).await;
        let token = ask(&folder, &server).await.expect("a token");
        assert_eq!(token.secret.expose_secret(), "arc-token");
        let heads = server.heads();
        assert_eq!(heads.len(), 2);
        for head in &heads {
            assert!(
                head.starts_with(
                    "GET /metadata/identity/oauth2/token?api-version=2020-06-01&resource=https%3A%2F%2Fa.example HTTP/1.1\r\n"
                ),
                "{head}"
            );
            assert!(head.contains("metadata: true\r\n"), "{head}");
        }
        assert!(!heads[0].contains("authorization"), "{}", heads[0]);
        assert!(
            heads[1].contains("authorization: Basic s3cret\r\n"),
            "{}",
            heads[1]
        );
    }

    #[tokio::test]
    async fn asks_twice_and_not_more() {
        let folder = folder();
        let key = folder.path().join("a1.key");
        fs::write(&key, "s3cret").expect("written");
        let server = Server::saying([challenge(&key), challenge(&key)]).await;
        let error = ask(&folder, &server).await.expect_err("refused");
        assert!(error.message.contains("401"), "{error}");
        assert_eq!(server.heads().len(), 2);
    }

    #[tokio::test]
    async fn reads_no_file_but_the_agents_keys() {
        let folder = folder();
        let inside = |name: &str| folder.path().join(name);
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        let secret = elsewhere.path().join("other.key");
        fs::write(&secret, "hunter2").expect("written");
        fs::create_dir(inside("below")).expect("made");
        fs::write(inside("below/deep.key"), "hunter2").expect("written");
        fs::write(inside("passwords.txt"), "hunter2").expect("written");
        fs::write(inside("long.key"), "hunter2".repeat(1000)).expect("written");
        fs::write(inside("binary.key"), b"hunter2\xff").expect("written");
        fs::write(inside("split.key"), "hunter2\r\nX-More: 1").expect("written");
        fs::create_dir(inside("folder.key")).expect("made");
        symlink(&secret, inside("link.key")).expect("made");
        let back = inside("..").join(elsewhere.path().file_name().expect("a name"));
        for (path, message) in [
            (secret.clone(), "elsewhere"),
            (back.join("other.key"), "elsewhere"),
            (inside("below/../../x.key"), "elsewhere"),
            (inside("below/deep.key"), "elsewhere"),
            (inside("passwords.txt"), "elsewhere"),
            (inside(".key"), "elsewhere"),
            (PathBuf::from("other.key"), "elsewhere"),
            (PathBuf::new(), "elsewhere"),
            (inside("link.key"), "not a short text file"),
            (inside("folder.key"), "not a short text file"),
            (inside("long.key"), "not a short text file"),
            (inside("binary.key"), "not a short text file"),
            (inside("split.key"), "control character"),
            (inside("missing.key"), "cannot be read"),
        ] {
            let server = Server::saying([challenge(&path)]).await;
            let error = ask(&folder, &server).await.expect_err("refused");
            assert!(
                error.message.contains(message),
                "{}: {error}",
                path.display()
            );
            assert!(error.remedy.contains("azcmagent show"), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert_eq!(server.heads().len(), 1, "{}", path.display());
        }
    }

    #[test]
    fn finds_the_realm() {
        for (challenge, expected) in [
            ("Basic realm=/a/b.key", Some("/a/b.key")),
            ("basic Realm=\"/a/b.key\"", Some("/a/b.key")),
            (" Basic  realm=/a=b.key", Some("/a=b.key")),
            ("Bearer realm=/a/b.key", None),
            ("Basic", None),
            ("Basic charset=UTF-8", None),
        ] {
            assert_eq!(realm(challenge), expected, "{challenge}");
        }
    }
}
