//! One credential and one audience, and the token in use for them: renewed ahead of expiry in the
//! background, and in use for as long as it really lives while renewal fails.
//!
//! Whoever needs the next generation, a renewal or a crowd of requests behind an expired token, joins
//! the same fetch. It runs in a task of its own, so that a caller who gives up takes nothing from the
//! others. The token of the current generation is at hand, since a look-up in moka costs a request as
//! much as writing it does; both clocks are checked at each use.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use super::{
    Token,
    backoff::Failure,
    key::{Key, Name, Tokens},
};
use crate::{
    clock::Clock,
    config::Audience,
    credentials::{Credential, CredentialError, Reason},
};

/// How often the wall clock is looked at between renewals.
const TICK: Duration = Duration::from_secs(15);
/// The pause between attempts nobody asked for, while a person has to act before one can work.
const UNATTENDED_PAUSE: Duration = Duration::from_secs(30);
/// A source that hands out the token it gave before is not asked again for so long.
const SAME_TOKEN_PAUSE: Duration = Duration::from_secs(30);

/// Refused tokens are replaced no more often than this.
const REPLACEMENT_PAUSE: Duration = Duration::from_secs(30);

/// One credential and one audience.
#[derive(Debug)]
pub(crate) struct Source {
    name: Arc<Name>,
    credential: Arc<Credential>,
    tokens: Tokens,
    clock: Clock,
    current: Mutex<Current>,
    renewing: AtomicBool,
    failure: Mutex<Option<Failure>>,
    /// The generation that a service refused last, and when.
    replaced: Mutex<Option<(u64, Instant)>>,
}

/// The token in use, and its place in the order of a source's tokens.
#[derive(Debug, Clone, Default)]
struct Current {
    generation: u64,
    token: Option<Arc<Token>>,
}

/// Why there is no token now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Unavailable {
    /// The last error of the credential.
    pub error: CredentialError,
    /// When the next attempt is due.
    pub retry_in: Duration,
}

/// The state of a source, for people. It never holds the token.
#[derive(Debug, Clone)]
pub(crate) struct SourceStatus {
    /// The credential's name in the configuration.
    pub credential: Arc<str>,
    /// The kind that serves.
    pub kind: &'static str,
    /// Whom its tokens are for.
    pub audience: Option<Audience>,
    /// The token in use, if one is.
    pub token: Option<Arc<Token>>,
    /// Why the last attempt failed, if it did.
    pub last_error: Option<CredentialError>,
}

/// Makes a panic a failure like any other, with a pause behind it.
struct OnPanic<'a> {
    source: &'a Source,
    previous: Option<&'a Failure>,
}

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failure = Failure::after(self.previous, broken_off());
            self.source.set_failure(Some(failure));
        }
    }
}

fn broken_off() -> CredentialError {
    CredentialError {
        message: "the token request was broken off".to_owned(),
        remedy: "Try again in a moment.".to_owned(),
        reason: Reason::Transient,
        retry_after: None,
    }
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

    /// A token that has not expired: from memory, or from the one fetch that all callers share.
    pub(crate) async fn token(self: &Arc<Self>) -> Result<Arc<Token>, Unavailable> {
        let Current { generation, token } = self.current();
        if let Some(token) = token {
            let now = self.clock.now();
            if token.is_alive(now) {
                if token.renew_on <= now {
                    self.renew_in_background(generation);
                }
                return Ok(token);
            }
        }
        // Boxed, since most requests would only carry the room for it about.
        Box::pin(self.fetch(generation)).await
    }

    /// The time by which its tokens expire.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// The token in use, without waiting for one.
    pub(crate) fn at_hand(&self) -> Option<Arc<Token>> {
        let token = self.current().token?;
        token.is_alive(self.clock.now()).then_some(token)
    }

    /// A token in place of one that a service has refused. `None` when there is none: the source gives
    /// out the same one, or has just replaced another.
    pub(crate) async fn replace(
        self: &Arc<Self>,
        refused: &Token,
    ) -> Result<Option<Arc<Token>>, Unavailable> {
        let Current { generation, token } = self.current();
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
            not_again_for = ?REPLACEMENT_PAUSE,
            "the service refuses the token; asking for another"
        );
        self.drop_token(generation);
        self.fetch(generation)
            .await
            .map(|token| Some(token).filter(is_new))
    }

    /// Fetches the first token, then each next one ahead of expiry, for as long as the process runs.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            let pause = match self.token().await {
                Ok(token) => match token.renew_on.duration_since(self.clock.now()) {
                    Ok(until) => until.min(TICK),
                    Err(_) => self.failure().map_or(TICK, |failure| failure.retry_in()),
                },
                Err(unavailable) => match unavailable.error.reason {
                    Reason::Transient | Reason::Waiting => unavailable.retry_in,
                    Reason::Absent | Reason::NeedsAction => {
                        unavailable.retry_in.max(UNATTENDED_PAUSE)
                    }
                },
            };
            // Never a busy loop, whatever the clocks do.
            tokio::time::sleep(pause.max(Duration::from_millis(100))).await;
        }
    }

    /// Whom its tokens are for.
    pub(crate) fn audience(&self) -> Option<&Audience> {
        self.name.audience.as_ref()
    }

    /// The state of this source.
    pub(crate) fn status(&self) -> SourceStatus {
        let now = self.clock.now();
        let token = self.current().token;
        SourceStatus {
            credential: self.name.credential.clone(),
            kind: self.credential.kind(),
            audience: self.name.audience.clone(),
            token: token.filter(|token| token.is_alive(now)),
            last_error: self.failure().map(|failure| failure.error),
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
            .failure()
            .is_some_and(|failure| !failure.pause().is_zero())
            || self.renewing.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let source = self.clone();
        tokio::spawn(async move {
            // The error is kept in `failure` and logged there; the token in use stays in use.
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
                error: broken_off(),
                retry_in: Duration::from_secs(1),
            }),
        }
    }

    /// Asks the credential, unless it has just failed.
    async fn acquire(&self) -> Result<Arc<Token>, Unavailable> {
        let previous = self.failure();
        if let Some(failure) = &previous {
            let pause = failure.pause();
            if !pause.is_zero() {
                return Err(Unavailable {
                    error: failure.error.clone(),
                    retry_in: pause,
                });
            }
        }
        // Should the credential panic, everybody who waits would try it again in turn.
        let on_panic = OnPanic {
            source: self,
            previous: previous.as_ref(),
        };
        let asked = self.ask().await;
        drop(on_panic);
        match asked {
            Ok(token) => {
                self.set_failure(None);
                Ok(token)
            }
            Err(error) => {
                let failure = Failure::after(previous.as_ref(), error);
                // Who waits for a person has said so, and would go on saying so.
                if failure.error.reason != Reason::Waiting {
                    tracing::warn!(
                        credential = &*self.name.credential,
                        kind = self.credential.kind(),
                        audience = self.name.audience.as_ref().map(tracing::field::display),
                        retry_in_s = failure.pause().as_secs_f32(),
                        "no token: {}",
                        failure.error
                    );
                }
                self.set_failure(Some(failure.clone()));
                Err(Unavailable {
                    retry_in: failure.retry_in(),
                    error: failure.error,
                })
            }
        }
    }

    async fn ask(&self) -> Result<Arc<Token>, CredentialError> {
        // Boxed, since the largest kind of credential decides how much room it takes.
        let access = Box::pin(self.credential.token(self.name.audience.as_ref())).await?;
        let now = self.clock.now();
        if access.expires_on <= now {
            return Err(CredentialError {
                message: "the token that was issued has already expired".to_owned(),
                remedy: "Check this machine's clock and time zone.".to_owned(),
                reason: Reason::NeedsAction,
                retry_after: None,
            });
        }
        let mut token = Token::new(&access, now).ok_or_else(|| CredentialError {
            message: "what was issued is no bearer token (RFC 6750, section 2.1)".to_owned(),
            remedy: "Check what the credential prints, stores or is answered.".to_owned(),
            reason: Reason::NeedsAction,
            retry_after: None,
        })?;
        let current = self.current().token;
        if current.is_some_and(|current| current.authorization == token.authorization) {
            token.renew_on = token.renew_on.max(now + SAME_TOKEN_PAUSE);
        } else {
            tracing::info!(
                credential = &*self.name.credential,
                kind = self.credential.kind(),
                audience = self.name.audience.as_ref().map(tracing::field::display),
                lifetime_s = token.remaining(now).as_secs(),
                "token acquired"
            );
        }
        Ok(Arc::new(token))
    }

    fn current(&self) -> Current {
        self.lock_current().clone()
    }

    /// Puts the next generation's token into use, unless another caller of the same fetch has.
    fn advance(&self, generation: u64, token: &Arc<Token>) -> bool {
        let mut current = self.lock_current();
        let is_first = current.generation == generation;
        if is_first {
            *current = Current {
                generation: generation + 1,
                token: Some(token.clone()),
            };
        }
        is_first
    }

    /// Whether a refused token of this generation is to be replaced: all who ask share one attempt,
    /// and a service that refuses every token does not keep the issuer busy.
    fn may_replace(&self, generation: u64) -> bool {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = replaced.is_none_or(|(last, at)| {
            last == generation || now.duration_since(at) >= REPLACEMENT_PAUSE
        });
        if is_due && replaced.is_none_or(|(last, _)| last != generation) {
            *replaced = Some((generation, now));
        }
        is_due
    }

    fn drop_token(&self, generation: u64) {
        let mut current = self.lock_current();
        if current.generation == generation {
            current.token = None;
        }
    }

    fn lock_current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Option<Failure> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_failure(&self, failure: Option<Failure>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}
