//! Tokens that were looked up a moment ago: a busy client costs one look-up a second, not one a request. Tokens of
//! which nothing is known are looked up few at a time: strangers who show one after the other leave the database to
//! those who are let in.

use crate::limits::{
    TOKEN_CACHE_MS, TOKEN_LOOK_UP_MS_MAX, TOKEN_LOOK_UP_WAIT_MS_MAX, TOKEN_LOOK_UPS_MAX, TOKEN_LOOK_UPS_WAITING_MAX,
    TOKENS_CACHED_MAX,
};
use async_trait::async_trait;
use hookgraph_domain::ids::{TenantId, TokenId};
use hookgraph_domain::ports::{Clock, StoreError, TokenReader};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::AccessToken;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A reader of tokens that believes a valid one for [`TOKEN_CACHE_MS`]: so long may a token that was revoked still be
/// let in. What is unknown or revoked is never kept, so a new token is let in at once and guesses fill nothing.
///
/// A token that was found before waits for nothing when it is looked up again. Of all others [`TOKEN_LOOK_UPS_MAX`] are
/// looked up at a time, for [`TOKEN_LOOK_UP_MS_MAX`] at most; [`TOKEN_LOOK_UPS_WAITING_MAX`] wait for
/// [`TOKEN_LOOK_UP_WAIT_MS_MAX`] at most. Clones share what is known.
#[derive(Clone)]
pub struct TokenCache {
    tokens: Arc<dyn TokenReader>,
    clock: Arc<dyn Clock>,
    known: Cache<[u8; 32], (Timestamp, AccessToken)>,
    places: Arc<Semaphore>,
    /// Places for those that wait: in a longer line nobody would have their turn in time.
    waiting: Arc<Semaphore>,
}

impl TokenCache {
    /// A cache over that reader.
    pub fn new(tokens: Arc<dyn TokenReader>, clock: Arc<dyn Clock>) -> Self {
        let places = Arc::new(Semaphore::new(TOKEN_LOOK_UPS_MAX));
        let waiting = Arc::new(Semaphore::new(TOKEN_LOOK_UPS_WAITING_MAX));
        Self { tokens, clock, known: Cache::new(TOKENS_CACHED_MAX), places, waiting }
    }

    /// What was read so lately that it still holds. A clock that was set back makes nothing younger.
    fn fresh(&self, secret_sha256: &[u8; 32]) -> Option<AccessToken> {
        let (read_at, token) = self.known.get(secret_sha256)?;
        let now = self.clock.now();
        let age_ms = u64::try_from((now - read_at).num_milliseconds()).ok()?;
        (age_ms < TOKEN_CACHE_MS && now >= read_at).then_some(token)
    }

    /// Waits for a place to look a token up of which nothing is known.
    async fn place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let too_many = || StoreError::Busy("as many unknown tokens are looked up as may be".to_owned());
        let _waiting = self.waiting.try_acquire().map_err(|_| too_many())?;
        let wait_max = Duration::from_millis(TOKEN_LOOK_UP_WAIT_MS_MAX);
        match timeout(wait_max, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(too_many()),
        }
    }

    async fn looked_up(&self, secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
        let read_at = self.clock.now();
        let found = self.tokens.token_by_sha256(secret_sha256).await?;
        match &found {
            Some(token) => self.known.insert(secret_sha256, (read_at, token.clone())),
            None => self.known.invalidate(&secret_sha256),
        }
        Ok(found)
    }
}

#[async_trait]
impl TokenReader for TokenCache {
    async fn token_by_sha256(&self, secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
        if let Some(token) = self.fresh(&secret_sha256) {
            return Ok(Some(token));
        }
        if self.known.contains_key(&secret_sha256) {
            return self.looked_up(secret_sha256).await;
        }
        let place = self.place().await?;
        // Whoever showed the same one may have had their turn meanwhile.
        if let Some(token) = self.fresh(&secret_sha256) {
            return Ok(Some(token));
        }
        let cache = self.clone();
        // It keeps its place until it ends: whoever asks and goes would have more of them under way than may be.
        let look_up = tokio::spawn(async move {
            let _place = place;
            let look_up_max = Duration::from_millis(TOKEN_LOOK_UP_MS_MAX);
            let found = timeout(look_up_max, cache.looked_up(secret_sha256)).await;
            found.unwrap_or_else(|_| Err(StoreError::Busy("the look-up of a token took too long".to_owned())))
        });
        look_up.await.unwrap_or_else(|_| Err(StoreError::Failed("the look-up of a token was broken off".to_owned())))
    }

    async fn tokens(&self, tenant_id: Option<TenantId>) -> Result<Vec<AccessToken>, StoreError> {
        self.tokens.tokens(tenant_id).await
    }

    async fn token(&self, id: TokenId) -> Result<Option<AccessToken>, StoreError> {
        self.tokens.token(id).await
    }
}

#[cfg(test)]
mod tests {
    use super::TokenCache;
    use crate::limits::{
        TOKEN_CACHE_MS, TOKEN_LOOK_UP_MS_MAX, TOKEN_LOOK_UP_WAIT_MS_MAX, TOKEN_LOOK_UPS_MAX, TOKEN_LOOK_UPS_WAITING_MAX,
    };
    use async_trait::async_trait;
    use futures::FutureExt;
    use futures::future::join_all;
    use hookgraph_domain::ids::{TenantId, TokenId};
    use hookgraph_domain::permission::PermissionSet;
    use hookgraph_domain::ports::{StoreError, TokenReader};
    use hookgraph_domain::token::AccessToken;
    use hookgraph_testkit::{ManualClock, sample};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;
    use tokio::sync::watch;
    use tokio::task::yield_now;
    use tokio::time::Instant;

    const SHA256: [u8; 32] = [7; 32];

    /// A reader of one token that can be revoked, and a count of all look-ups.
    #[derive(Default)]
    struct OneToken {
        is_revoked: AtomicBool,
        /// Whether look-ups hang.
        hangs: watch::Sender<bool>,
        look_ups: AtomicUsize,
    }

    #[async_trait]
    impl TokenReader for OneToken {
        async fn token_by_sha256(&self, secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
            self.look_ups.fetch_add(1, Ordering::SeqCst);
            self.hangs.subscribe().wait_for(|hangs| !hangs).await.unwrap();
            let is_known = secret_sha256 == SHA256 && !self.is_revoked.load(Ordering::SeqCst);
            Ok(is_known.then(|| AccessToken {
                id: TokenId(uuid::Uuid::nil()),
                tenant_id: TenantId(uuid::Uuid::nil()),
                name: "one".into(),
                secret_sha256,
                permissions: PermissionSet::all(),
                created_at: sample::now(),
                expires_at: None,
                last_used_at: None,
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

    fn cached() -> (Arc<OneToken>, ManualClock, TokenCache) {
        let (tokens, clock) = (Arc::new(OneToken::default()), ManualClock::at(sample::now()));
        let cache = TokenCache::new(tokens.clone(), Arc::new(clock.clone()));
        (tokens, clock, cache)
    }

    #[tokio::test]
    async fn a_known_token_is_looked_up_once_within_the_time_it_is_believed() {
        let (tokens, clock, cache) = cached();
        for _ in 0..3 {
            assert!(cache.token_by_sha256(SHA256).await.unwrap().is_some());
            clock.advance_ms(TOKEN_CACHE_MS / 3);
        }
        assert_eq!(tokens.look_ups.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_revoked_token_is_refused_once_that_time_is_over() {
        let (tokens, clock, cache) = cached();
        assert!(cache.token_by_sha256(SHA256).await.unwrap().is_some());
        tokens.is_revoked.store(true, Ordering::SeqCst);
        clock.advance_ms(TOKEN_CACHE_MS);
        assert!(cache.token_by_sha256(SHA256).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_prolongs_nothing() {
        let (tokens, clock, cache) = cached();
        assert!(cache.token_by_sha256(SHA256).await.unwrap().is_some());
        tokens.is_revoked.store(true, Ordering::SeqCst);
        clock.set(sample::now() - chrono::Duration::milliseconds(1));
        assert!(cache.token_by_sha256(SHA256).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_unknown_token_is_looked_up_every_time() {
        let (tokens, _, cache) = cached();
        for _ in 0..2 {
            assert!(cache.token_by_sha256([8; 32]).await.unwrap().is_none());
        }
        assert_eq!(tokens.look_ups.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_token_waits_for_its_turn_for_a_moment_and_a_known_one_not_at_all() {
        let (tokens, clock, cache) = cached();
        assert!(cache.token_by_sha256(SHA256).await.unwrap().is_some());
        let places = u32::try_from(TOKEN_LOOK_UPS_MAX).unwrap();
        let taken = cache.places.clone().acquire_many_owned(places).await.unwrap();
        let begun = Instant::now();
        assert!(matches!(cache.token_by_sha256([8; 32]).await, Err(StoreError::Busy(_))));
        assert!(begun.elapsed() >= Duration::from_millis(TOKEN_LOOK_UP_WAIT_MS_MAX));
        for look_ups in [1, 2] {
            let known = cache.token_by_sha256(SHA256).now_or_never();
            assert!(known.is_some_and(|known| known.unwrap().is_some()), "at once, believed or not");
            assert_eq!(tokens.look_ups.load(Ordering::SeqCst), look_ups);
            clock.advance_ms(TOKEN_CACHE_MS);
        }
        drop(taken);
        assert!(cache.token_by_sha256([8; 32]).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn no_more_unknown_tokens_wait_than_may_and_the_others_are_refused_at_once() {
        let (_, _, cache) = cached();
        let places = u32::try_from(TOKEN_LOOK_UPS_MAX).unwrap();
        let taken = cache.places.clone().acquire_many_owned(places).await.unwrap();
        let mut waiting: Vec<_> = (0..TOKEN_LOOK_UPS_WAITING_MAX).map(|_| cache.token_by_sha256([8; 32])).collect();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        let refused = cache.token_by_sha256(SHA256).now_or_never();
        assert!(matches!(refused, Some(Err(StoreError::Busy(_)))), "{refused:?}");
        drop(waiting);
        drop(taken);
        assert!(cache.token_by_sha256(SHA256).await.unwrap().is_some(), "who goes waits no more");
    }

    #[tokio::test(start_paused = true)]
    async fn look_ups_that_hang_give_their_places_back() {
        let (tokens, _, cache) = cached();
        tokens.hangs.send_replace(true);
        let begun = Instant::now();
        let hanging = (100..).take(TOKEN_LOOK_UPS_MAX).map(|guess| cache.token_by_sha256([guess; 32]));
        let told = join_all(hanging).await;
        assert!(told.iter().all(|found| matches!(found, Err(StoreError::Busy(_)))), "{told:?}");
        let (took, look_up_max) = (begun.elapsed(), Duration::from_millis(TOKEN_LOOK_UP_MS_MAX));
        assert!(took >= look_up_max && took < 2 * look_up_max, "{took:?}");
        tokens.hangs.send_replace(false);
        let begun = Instant::now();
        assert!(cache.token_by_sha256(SHA256).await.unwrap().is_some());
        assert!(begun.elapsed() < Duration::from_millis(TOKEN_LOOK_UP_WAIT_MS_MAX), "a place was free");
    }

    #[tokio::test]
    async fn look_ups_that_nobody_waits_for_any_more_keep_their_places() {
        let (tokens, _, cache) = cached();
        tokens.hangs.send_replace(true);
        for guess in 0..10 {
            assert!(cache.token_by_sha256([100 + guess; 32]).now_or_never().is_none());
            yield_now().await;
        }
        assert_eq!(tokens.look_ups.load(Ordering::SeqCst), TOKEN_LOOK_UPS_MAX);
        tokens.hangs.send_replace(false);
        assert!(cache.token_by_sha256(SHA256).await.unwrap().is_some());
        assert_eq!(tokens.look_ups.load(Ordering::SeqCst), TOKEN_LOOK_UPS_MAX + 1);
    }

    #[tokio::test]
    async fn a_new_token_that_many_show_at_once_is_not_looked_up_for_each_of_them() {
        let (tokens, _, cache) = cached();
        let found = join_all((0..100).map(|_| cache.token_by_sha256(SHA256))).await;
        assert!(found.into_iter().all(|found| found.unwrap().is_some()));
        assert!(tokens.look_ups.load(Ordering::SeqCst) <= TOKEN_LOOK_UPS_MAX);
    }
}
