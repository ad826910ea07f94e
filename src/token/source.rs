//! The token in use for one credential and one audience. A background task renews it ahead of
//! expiry. While renewal fails, the old token stays in use until it expires.
//!
//! Every caller that needs the next token joins one shared fetch: the renewal, and the requests
//! that wait after the token has expired. The fetch runs in its own task, so that a caller that
//! gives up does not stop it for the others.
//!
//! The current token is kept outside moka, since a look-up in moka costs as much as writing a
//! request. Both deadlines are checked at each use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;

use super::{
    Token,
    backoff::FailedFetch,
    key::{Key, Name, Tokens},
};
use crate::{
    clock::Clock,
    config::Audience,
    credentials::{Credential, CredentialError, Reason},
};

/// The interval at which the wall clock is checked between renewals.
const TICK: Duration = Duration::from_secs(15);
/// The pause between background attempts that fail until a person acts.
const UNATTENDED_PAUSE: Duration = Duration::from_secs(30);
/// The pause after a credential returned the token that is already in use.
const SAME_TOKEN_PAUSE: Duration = Duration::from_secs(30);

/// The shortest time between two replacements of refused tokens.
const REPLACEMENT_PAUSE: Duration = Duration::from_secs(30);

/// The tokens of one credential for one audience.
#[derive(Debug)]
pub(crate) struct Source {
    name: Arc<Name>,
    credential: Arc<Credential>,
    tokens: Tokens,
    clock: Clock,
    current: Mutex<Current>,
    renewing: AtomicBool,
    failure: Mutex<Option<FailedFetch>>,
    /// The generation that a service refused last, and the time of its refusal.
    replaced: Mutex<Option<(u64, Instant)>>,
}

/// The token in use, and its generation.
#[derive(Debug, Clone, Default)]
struct Current {
    generation: u64,
    token: Option<Arc<Token>>,
}

/// The reason why there is no token now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Unavailable {
    /// The last error of the credential.
    pub error: CredentialError,
    /// The time until the next attempt is due.
    pub retry_in: Duration,
}

/// The state of a source, for display; never the token itself.
#[derive(Debug, Clone)]
pub(crate) struct SourceStatus {
    /// The credential's name in the configuration.
    pub credential: Arc<str>,
    /// The kind of the credential in use.
    pub kind: &'static str,
    /// The audience of the tokens.
    pub audience: Option<Audience>,
    /// The token in use, if there is one that has not expired.
    pub token: Option<Arc<Token>>,
    /// The error of the last attempt, if it failed.
    pub last_error: Option<CredentialError>,
}

/// On drop, turns a panic of the credential into a failed fetch with a pause after it.
struct OnPanic<'a> {
    source: &'a Source,
    previous: Option<&'a FailedFetch>,
}

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failure = FailedFetch::after(self.previous, aborted());
            *self.source.failure.lock() = Some(failure);
        }
    }
}

fn aborted() -> CredentialError {
    CredentialError::new(
        Reason::Transient,
        "the token request was aborted",
        "Try again in a moment.",
    )
}

impl Source {
    pub(super) fn new(
        name: Name,
        credential: Arc<Credential>,
        tokens: Tokens,
        clock: Clock,
    ) -> Self {
        Self {
            name: Arc::new(name),
            credential,
            tokens,
            clock,
            current: Mutex::default(),
            renewing: AtomicBool::new(false),
            failure: Mutex::new(None),
            replaced: Mutex::new(None),
        }
    }

    /// Returns a token that has not expired: the current one, or the result of the one fetch that
    /// all callers share.
    pub(crate) async fn token(self: &Arc<Self>) -> Result<Arc<Token>, Unavailable> {
        let generation = self.current.lock().generation;
        match self.current() {
            Some(token) => Ok(token),
            None => self.fetch(generation).await,
        }
    }

    /// Returns the current token, unless it has expired. If it is time to renew the token, this
    /// begins in the background.
    pub(crate) fn current(self: &Arc<Self>) -> Option<Arc<Token>> {
        let Current { generation, token } = self.current.lock().clone();
        let now = self.clock.now();
        let token = token.filter(|token| token.is_alive(now))?;
        if token.renew_on <= now {
            self.renew_in_background(generation);
        }
        Some(token)
    }

    /// The wall-clock time that decides whether tokens have expired.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Returns the token in use, without waiting for one.
    pub(crate) fn at_hand(&self) -> Option<Arc<Token>> {
        let token = self.current.lock().token.clone()?;
        token.is_alive(self.clock.now()).then_some(token)
    }

    /// Returns a token in place of one that a service has refused. `None` if there is no other
    /// token, since the credential returns the refused one, or since a token has been replaced
    /// shortly before.
    pub(crate) async fn replace(
        self: &Arc<Self>,
        refused: &Token,
    ) -> Result<Option<Arc<Token>>, Unavailable> {
        let Current { generation, token } = self.current.lock().clone();
        let is_new = |token: &Arc<Token>| token.authorization != refused.authorization;
        if let Some(token) = token.filter(is_new) {
            return Ok(Some(token));
        }
        if !self.may_replace(generation) {
            return Ok(None);
        }
        tracing::warn!(
            credential = &*self.name.credential,
            audience = self.name.audience.as_ref().map(tracing::field::display),
            not_repeated_for = ?REPLACEMENT_PAUSE,
            "the service refused the token; requesting another"
        );
        self.drop_token(generation);
        self.fetch(generation)
            .await
            .map(|token| Some(token).filter(is_new))
    }

    /// Fetches the first token, then renews it ahead of expiry for as long as the process runs.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            let pause = match self.token().await {
                Ok(token) => match token.renew_on.duration_since(self.clock.now()) {
                    Ok(until) => until.min(TICK),
                    Err(_) => self
                        .failure
                        .lock()
                        .as_ref()
                        .map_or(TICK, FailedFetch::retry_in),
                },
                Err(unavailable) => match unavailable.error.reason {
                    Reason::Transient | Reason::Waiting => unavailable.retry_in,
                    Reason::Absent | Reason::NeedsAction => {
                        unavailable.retry_in.max(UNATTENDED_PAUSE)
                    }
                },
            };
            // At least a short pause, so that jumping clocks never cause a busy loop.
            tokio::time::sleep(pause.max(Duration::from_millis(100))).await;
        }
    }

    /// The audience of the tokens.
    pub(crate) fn audience(&self) -> Option<&Audience> {
        self.name.audience.as_ref()
    }

    /// Whether its tokens are those of this credential for this audience.
    pub(crate) fn serves(&self, credential: &str, audience: Option<&Audience>) -> bool {
        &*self.name.credential == credential && self.audience() == audience
    }

    /// The current state of this source.
    pub(crate) fn status(&self) -> SourceStatus {
        let now = self.clock.now();
        let token = self.current.lock().token.clone();
        SourceStatus {
            credential: self.name.credential.clone(),
            kind: self.credential.kind(),
            audience: self.name.audience.clone(),
            token: token.filter(|token| token.is_alive(now)),
            last_error: self
                .failure
                .lock()
                .as_ref()
                .map(|failure| failure.error.clone()),
        }
    }

    fn key(&self, generation: u64) -> Key {
        Key {
            name: self.name.clone(),
            generation,
        }
    }

    fn renew_in_background(self: &Arc<Self>, generation: u64) {
        if self
            .failure
            .lock()
            .as_ref()
            .is_some_and(|failure| !failure.pause().is_zero())
            || self.renewing.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let source = self.clone();
        tokio::spawn(async move {
            // The fetch has stored and logged its error. The token in use stays in use.
            let _ = source.fetch(generation).await;
            source.renewing.store(false, Ordering::Release);
        });
    }

    /// Joins or starts the fetch of the generation after `generation`.
    async fn fetch(self: &Arc<Self>, generation: u64) -> Result<Arc<Token>, Unavailable> {
        let source = self.clone();
        let fetch = tokio::spawn(async move {
            let next = source.key(generation + 1);
            let token = source.tokens.try_get_with(next, source.acquire()).await;
            if let Ok(token) = &token
                && source.advance(generation, token)
            {
                source.tokens.invalidate(&source.key(generation)).await;
            }
            token
        });
        match fetch.await {
            Ok(result) => result.map_err(|error| Unavailable::clone(&error)),
            Err(_) => Err(Unavailable {
                error: aborted(),
                retry_in: Duration::from_secs(1),
            }),
        }
    }

    /// Fetches a token from the credential, unless a pause after a failure still runs.
    async fn acquire(&self) -> Result<Arc<Token>, Unavailable> {
        let previous = self.failure.lock().clone();
        if let Some(failure) = &previous {
            let pause = failure.pause();
            if !pause.is_zero() {
                return Err(Unavailable {
                    error: failure.error.clone(),
                    retry_in: pause,
                });
            }
        }
        // Without this, each waiting caller in turn would retry a credential that panics.
        let on_panic = OnPanic {
            source: self,
            previous: previous.as_ref(),
        };
        let result = self.request().await;
        drop(on_panic);
        match result {
            Ok(token) => {
                *self.failure.lock() = None;
                Ok(token)
            }
            Err(error) => {
                let failure = FailedFetch::after(previous.as_ref(), error);
                // A credential that waits for a person has logged the prompt itself.
                if failure.error.reason != Reason::Waiting {
                    tracing::warn!(
                        credential = &*self.name.credential,
                        kind = self.credential.kind(),
                        audience = self.name.audience.as_ref().map(tracing::field::display),
                        remedy = failure.error.remedy,
                        retry_in_s = failure.pause().as_secs_f32(),
                        "no token: {}",
                        failure.error.message
                    );
                }
                *self.failure.lock() = Some(failure.clone());
                Err(Unavailable {
                    retry_in: failure.retry_in(),
                    error: failure.error,
                })
            }
        }
    }

    async fn request(&self) -> Result<Arc<Token>, CredentialError> {
        tracing::debug!(
            credential = &*self.name.credential,
            kind = self.credential.kind(),
            audience = self.name.audience.as_ref().map(tracing::field::display),
            "token requested"
        );
        // Boxed, since the size is that of the largest kind of credential.
        let access = Box::pin(self.credential.token(self.name.audience.as_ref())).await?;
        let now = self.clock.now();
        if access.expires_on <= now {
            return Err(CredentialError::new(
                Reason::NeedsAction,
                "the token that was issued has already expired",
                "Check this machine's clock and time zone.",
            ));
        }
        let mut token = Token::new(&access, now).ok_or_else(|| {
            CredentialError::new(
                Reason::NeedsAction,
                "the issued text is not a bearer token (RFC 6750, section 2.1)",
                "Check the token that the credential prints, stores or receives.",
            )
        })?;
        let current = self.current.lock().token.clone();
        if current.is_some_and(|current| current.authorization == token.authorization) {
            token.renew_on = token.renew_on.max(now + SAME_TOKEN_PAUSE);
        } else {
            tracing::info!(
                credential = &*self.name.credential,
                kind = self.credential.kind(),
                audience = self.name.audience.as_ref().map(tracing::field::display),
                identity = token.claims.identity,
                lifetime_s = token.states_expiry.then(|| token.remaining(now).as_secs()),
                "token acquired"
            );
        }
        Ok(Arc::new(token))
    }

    /// Puts the token of the next generation into use, unless another caller of this fetch already
    /// has.
    fn advance(&self, generation: u64, token: &Arc<Token>) -> bool {
        let mut current = self.current.lock();
        let is_first = current.generation == generation;
        if is_first {
            *current = Current {
                generation: generation + 1,
                token: Some(token.clone()),
            };
        }
        is_first
    }

    /// Whether to replace a refused token of this generation. All callers share one attempt, and a
    /// service that refuses every token does not keep the issuer busy.
    fn may_replace(&self, generation: u64) -> bool {
        let mut replaced = self.replaced.lock();
        let now = Instant::now();
        match *replaced {
            // The caller joins the attempt of another caller, or repeats it if it failed.
            Some((last, _)) if last == generation => true,
            Some((_, at)) if now.duration_since(at) < REPLACEMENT_PAUSE => false,
            _ => {
                *replaced = Some((generation, now));
                true
            }
        }
    }

    fn drop_token(&self, generation: u64) {
        let mut current = self.current.lock();
        if current.generation == generation {
            current.token = None;
        }
    }
}
