//! Sessions that outlive a request: those of WebSocket connections and of event streams. Their tokens are looked up
//! again meanwhile.

use crate::auth::{AuthError, Authenticator, Session, ShownToken};
use crate::limits::UNCHECKED_SESSION_S_MAX;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A session that lasts until its token has expired or was revoked.
pub struct LastingSession {
    /// The session as its token was looked up last.
    pub session: Session,
    /// When the token is to be looked up again.
    pub recheck_at: Instant,
    shown: ShownToken,
    /// Since when the token could not be looked up again.
    unchecked_since: Option<Instant>,
}

impl LastingSession {
    /// The session of a token that was looked up just now.
    pub fn new(auth: &Authenticator, shown: ShownToken, session: Session) -> Self {
        let recheck_at = Instant::now() + auth.believed(&session);
        Self { session, recheck_at, shown, unchecked_since: None }
    }

    /// Looks the token up again and takes what is found.
    ///
    /// # Errors
    /// Why the session ends.
    pub async fn recheck(&mut self, auth: &Authenticator) -> Result<(), AuthError> {
        let found = self.look_up(auth).run(auth).await;
        self.looked_up(auth, found)
    }

    /// Another look-up of the token, to be run without the session.
    pub fn look_up(&self, auth: &Authenticator) -> LookUp {
        LookUp { shown: self.shown.clone(), valid_for: auth.valid_for(&self.session) }
    }

    /// Takes what the look-up found. Where it failed the session goes on, for [`UNCHECKED_SESSION_S_MAX`] at most and
    /// no longer than the token was valid when it was looked up last.
    ///
    /// # Errors
    /// Why the session ends.
    pub fn looked_up(&mut self, auth: &Authenticator, found: Result<Session, AuthError>) -> Result<(), AuthError> {
        let mut unchecked_left = Duration::MAX;
        match found {
            Ok(session) => {
                self.session = session;
                self.unchecked_since = None;
            }
            Err(error @ (AuthError::Store(_) | AuthError::Unavailable(_))) => {
                tracing::warn!(%error, "a token could not be looked up again");
                let since = *self.unchecked_since.get_or_insert_with(Instant::now);
                unchecked_left = Duration::from_secs(UNCHECKED_SESSION_S_MAX).saturating_sub(since.elapsed());
                if unchecked_left.is_zero() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        self.recheck_at = Instant::now() + auth.believed(&self.session).min(unchecked_left);
        Ok(())
    }
}

/// A look-up of a token whose session lasts.
pub struct LookUp {
    shown: ShownToken,
    valid_for: Duration,
}

impl LookUp {
    /// Looks the token up. The look-up ends when the token expires. It may hold a connection to the database, and on
    /// SQLite the only writer: whoever begins it polls it to its end or drops it.
    ///
    /// # Errors
    /// What [`Authenticator::session`] answers.
    pub async fn run(self, auth: &Authenticator) -> Result<Session, AuthError> {
        // The database is not asked: a failing look-up would hide that the token has expired.
        if self.valid_for.is_zero() {
            return Err(AuthError::Invalid);
        }
        timeout(self.valid_for, auth.session(&self.shown)).await.unwrap_or(Err(AuthError::Invalid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use hookgraph_domain::ids::{TenantId, TokenId};
    use hookgraph_domain::permission::PermissionSet;
    use hookgraph_domain::ports::{StoreError, TokenReader};
    use hookgraph_domain::time::{Timestamp, plus_ms};
    use hookgraph_domain::token::AccessToken;
    use hookgraph_testkit::{ManualClock, MemoryStore, sample};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use tokio::time::sleep_until;

    const RECHECK: Duration = Duration::from_secs(30);

    /// A reader of one token, which may fail or hang, and a count of the look-ups.
    #[derive(Default)]
    struct OneToken {
        expires_at: Option<Timestamp>,
        is_failing: AtomicBool,
        is_hanging: AtomicBool,
        look_ups: AtomicUsize,
    }

    #[async_trait]
    impl TokenReader for OneToken {
        async fn token_by_sha256(&self, secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
            self.look_ups.fetch_add(1, Ordering::SeqCst);
            if self.is_hanging.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.is_failing.load(Ordering::SeqCst) {
                return Err(StoreError::Busy("planned by the test".to_owned()));
            }
            Ok(Some(AccessToken {
                id: TokenId(uuid::Uuid::nil()),
                tenant_id: TenantId(uuid::Uuid::nil()),
                name: "one".into(),
                secret_sha256,
                permissions: PermissionSet::all(),
                created_at: sample::now(),
                expires_at: self.expires_at,
                last_used_at: Some(sample::now()),
                revoked_at: None,
            }))
        }

        async fn tokens(&self, _: Option<TenantId>) -> Result<Vec<AccessToken>, StoreError> {
            Ok(Vec::new())
        }

        async fn token(&self, _: TokenId) -> Result<Option<AccessToken>, StoreError> {
            Ok(None)
        }
    }

    struct World {
        tokens: Arc<OneToken>,
        clock: ManualClock,
        auth: Authenticator,
        lasting: LastingSession,
    }

    async fn world(expires_at: Option<Timestamp>) -> World {
        let tokens = Arc::new(OneToken { expires_at, ..OneToken::default() });
        let clock = ManualClock::at(sample::now());
        let uses = Arc::new(MemoryStore::default());
        let auth = Authenticator::new(tokens.clone(), uses, Arc::new(clock.clone()), RECHECK);
        let shown = ShownToken::read(Some("Bearer hgt_one")).unwrap();
        let session = auth.session(&shown).await.unwrap();
        let lasting = LastingSession::new(&auth, shown, session);
        World { tokens, clock, auth, lasting }
    }

    impl World {
        /// Looks the token up again when it is time to.
        async fn recheck(&mut self) -> Result<(), AuthError> {
            sleep_until(self.lasting.recheck_at).await;
            self.lasting.recheck(&self.auth).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_whose_token_cannot_be_looked_up_goes_on_up_to_the_limit() {
        let mut world = world(None).await;
        for _ in 0..2 {
            world.tokens.is_failing.store(true, Ordering::SeqCst);
            assert!(world.recheck().await.is_ok());
            let failing_since = Instant::now();
            let ended = loop {
                if let Err(ended) = world.recheck().await {
                    break ended;
                }
            };
            assert!(matches!(ended, AuthError::Store(_)), "{ended}");
            let went_on = failing_since.elapsed();
            let max = Duration::from_secs(UNCHECKED_SESSION_S_MAX);
            assert!(went_on >= max && went_on < max + Duration::from_secs(1), "{went_on:?}");
            // A token that is found again counts anew.
            world.tokens.is_failing.store(false, Ordering::SeqCst);
            assert!(world.lasting.recheck(&world.auth).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_its_token_expires_whether_it_can_be_looked_up_or_not() {
        for is_failing in [false, true] {
            let mut world = world(Some(plus_ms(sample::now(), 1_000))).await;
            world.tokens.is_failing.store(is_failing, Ordering::SeqCst);
            assert_eq!(world.lasting.recheck_at, Instant::now() + Duration::from_secs(1), "it expires before");
            world.clock.advance_ms(999);
            assert!(world.lasting.recheck(&world.auth).await.is_ok());
            assert_eq!(world.lasting.recheck_at, Instant::now() + Duration::from_millis(1));
            world.clock.advance_ms(1);
            let look_ups = world.tokens.look_ups.load(Ordering::SeqCst);
            assert!(matches!(world.lasting.recheck(&world.auth).await, Err(AuthError::Invalid)));
            assert_eq!(world.tokens.look_ups.load(Ordering::SeqCst), look_ups, "nothing is asked any more");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_that_hangs_keeps_no_session_beyond_its_token() {
        let mut world = world(Some(plus_ms(sample::now(), 60_000))).await;
        world.tokens.is_hanging.store(true, Ordering::SeqCst);
        sleep_until(world.lasting.recheck_at).await;
        world.clock.advance_ms(59_000);
        let begun = Instant::now();
        assert!(matches!(world.lasting.recheck(&world.auth).await, Err(AuthError::Invalid)));
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(2), "{took:?}");
        assert_eq!(world.tokens.look_ups.load(Ordering::SeqCst), 2, "it was asked for");
    }
}
