//! `command`: the token that another program prints, raw or in the JSON of `az`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use super::{
    AccessToken, Claims, CredentialError,
    az_json::AzOutput,
    children::{Call, SubprocessError},
    context::Context,
    search_path,
    tool::{self, Printed},
};
use crate::config::{self, Audience, encoding};

/// The variable that names the audience of the token to the program.
const AUDIENCE_VARIABLE: &str = "AHDS_PROXY_AUDIENCE";

/// The assumed lifetime of a token without an expiry.
const OPAQUE_LIFETIME: Duration = Duration::from_secs(300);

/// Another program.
#[derive(Debug)]
pub(super) struct Command {
    keys: config::Command,
    context: Context,
    turn: Mutex<()>,
}

impl Command {
    pub(super) fn new(keys: config::Command, context: &Context) -> Self {
        Self {
            keys,
            context: context.clone(),
            turn: Mutex::new(()),
        }
    }

    pub(super) async fn token(
        &self,
        audience: Option<&Audience>,
    ) -> Result<AccessToken, CredentialError> {
        let program = search_path::find(&self.keys.program).await;
        let program = program.map_err(|error| self.not_run(&error))?;
        let arguments: Vec<&str> = self.keys.arguments.iter().map(String::as_str).collect();
        let call = Call {
            program: &program,
            arguments: &arguments,
            environment: &[(AUDIENCE_VARIABLE, audience.map(Audience::as_str))],
            limit: self.keys.timeout,
            turn: &self.turn,
        };
        let finished = self
            .context
            .children
            .run(call)
            .await
            .map_err(|error| self.not_run(&error))?;
        if !finished.success {
            return Err(CredentialError::transient(
                format!("{} failed ({})", self.name(), finished.status),
                "Run it by hand to see why.",
            ));
        }
        let read = read(&finished.stdout, self.context.clock.now());
        let (secret, expires_on) = read.map_err(|problem| {
            CredentialError::needs_action(
                format!("{} {problem}", self.name()),
                "Run it by hand to see its output. It must print a token alone on one line, or the \
                 JSON of `az account get-access-token`, on stdout in UTF-8.",
            )
        })?;
        Ok(AccessToken {
            secret,
            expires_on,
            // The program may itself call one of the tools, which return a cached token.
            renewal: tool::RENEWAL,
        })
    }

    /// The name of the program in messages. It omits the arguments, which may contain secrets.
    fn name(&self) -> String {
        format!("the program {}", self.keys.program.display())
    }

    fn not_run(&self, error: &SubprocessError) -> CredentialError {
        const CHECK: &str =
            "Check `argv` of the credential: the program's path, and whether this user may run it.";
        let name = self.name();
        match error {
            SubprocessError::NotFound(_) => {
                CredentialError::absent(format!("{name} does not exist"), CHECK)
            }
            SubprocessError::Start { reason, .. } => {
                CredentialError::needs_action(format!("{name} cannot be started: {reason}"), CHECK)
            }
            SubprocessError::Timeout(after) => CredentialError::transient(
                format!(
                    "{name} gave no token within {} s and was ended",
                    after.as_secs_f32()
                ),
                "Run it by hand to see what it waits for; its stdin is closed. A larger `timeout` helps a slow \
                 program.",
            ),
            SubprocessError::Output => CredentialError::transient(
                format!("the output of {name} could not be read"),
                "Run it by hand to see what it prints.",
            ),
        }
    }
}

fn read(stdout: &[u8], now: SystemTime) -> Printed {
    if encoding::is_utf16(stdout) {
        return Err("printed text in UTF-16, not in UTF-8");
    }
    let text = encoding::without_mark(stdout);
    let text = str::from_utf8(text).map_err(|_| "printed something that is not text")?;
    let text = text.trim();
    if text.is_empty() {
        return Err("printed nothing");
    }
    if text.starts_with('{') {
        let response: AzOutput =
            serde_json::from_str(text).map_err(|_| "printed JSON that is not the output of az")?;
        let end = end(response.access_token.expose_secret(), now)?;
        let end = response.expires_on(now).unwrap_or(end);
        return Ok((response.access_token, end));
    }
    if text.lines().count() > 1 {
        return Err("printed several lines");
    }
    Ok((SecretString::from(text), end(text, now)?))
}

/// The expiry of a token, which a JWT contains.
fn end(token: &str, now: SystemTime) -> Result<SystemTime, &'static str> {
    // Text with spaces is an error message, and jq prints `null` for a missing key.
    if token == "null" || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("printed something that is not a token");
    }
    let claimed = Claims::of(token)
        .expires_on
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    Ok(claimed.unwrap_or(now + OPAQUE_LIFETIME))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    const NOW: SystemTime = UNIX_EPOCH;

    fn lifetime(stdout: &str) -> u64 {
        let (_, end) = read(stdout.as_bytes(), NOW).expect("a token");
        end.duration_since(NOW).expect("in the future").as_secs()
    }

    #[test]
    fn a_token_ends_when_it_or_the_answer_around_it_says() {
        let jwt = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"exp":17}"#));
        assert_eq!(lifetime(&jwt), 17);
        assert_eq!(lifetime(&format!(" {jwt}\r\n\n")), 17);
        assert_eq!(lifetime(&format!(r#"{{"accessToken":"{jwt}"}}"#)), 17);
        let both = format!(r#"{{"accessToken":"{jwt}","expires_on":18}}"#);
        assert_eq!(lifetime(&both), 18);
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_token() {
        for text in [
            "\u{feff}t",
            "\u{feff}t\r\n",
            "\u{feff}{\"accessToken\":\"t\"}",
        ] {
            let (token, _) = read(text.as_bytes(), NOW).expect("a token");
            assert_eq!(token.expose_secret(), "t", "{text:?}");
        }
    }

    #[test]
    fn names_the_encoding_that_is_not_text() {
        for text in [b"\xff\xfet\0", b"\xfe\xff\0t"] {
            let problem = read(text, NOW).expect_err("refused");
            assert_eq!(problem, "printed text in UTF-16, not in UTF-8");
        }
    }

    #[test]
    fn an_opaque_token_is_used_for_a_while() {
        assert_eq!(lifetime("opaque+token/=="), 300);
        assert_eq!(lifetime(r#"{"accessToken":"opaque"}"#), 300);
    }

    #[test]
    fn refuses_what_is_no_token() {
        for text in [
            &b""[..],
            b" \r\n",
            b"one\ntwo",
            b"error: not signed in",
            b"null",
            b"t\x1b[0m",
            b"\xff",
            "t\u{e4}".as_bytes(),
            b"{}",
            b"{\"accessToken\":\"two words\"}",
            b"{\"accessToken\":\"\"} {}",
        ] {
            assert!(read(text, NOW).is_err(), "{}", text.escape_ascii());
        }
    }
}
