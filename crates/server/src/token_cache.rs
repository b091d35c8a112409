//! Tokens that were looked up a moment ago: a busy client costs one look-up a second, not one a request.

use crate::limits::{TOKEN_CACHE_MS, TOKENS_CACHED_MAX};
use async_trait::async_trait;
use hookgraph_domain::ids::{TenantId, TokenId};
use hookgraph_domain::ports::{Clock, StoreError, TokenReader};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::AccessToken;
use moka::sync::Cache;
use std::sync::Arc;

/// A reader of tokens that believes a valid one for [`TOKEN_CACHE_MS`]: so long may a token that was revoked still be let
/// in. What is unknown or revoked is never kept, so a new token is let in at once and guesses fill nothing.
pub struct TokenCache {
    tokens: Arc<dyn TokenReader>,
    clock: Arc<dyn Clock>,
    known: Cache<[u8; 32], (Timestamp, AccessToken)>,
}

impl TokenCache {
    /// A cache over that reader.
    pub fn new(tokens: Arc<dyn TokenReader>, clock: Arc<dyn Clock>) -> Self {
        Self { tokens, clock, known: Cache::new(TOKENS_CACHED_MAX) }
    }

    /// What was read so lately that it still holds. A clock that was set back makes nothing younger.
    fn fresh(&self, secret_sha256: &[u8; 32], now: Timestamp) -> Option<AccessToken> {
        let (read_at, token) = self.known.get(secret_sha256)?;
        let age_ms = u64::try_from((now - read_at).num_milliseconds()).ok()?;
        (age_ms < TOKEN_CACHE_MS && now >= read_at).then_some(token)
    }
}

#[async_trait]
impl TokenReader for TokenCache {
    async fn token_by_sha256(&self, secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
        let now = self.clock.now();
        if let Some(token) = self.fresh(&secret_sha256, now) {
            return Ok(Some(token));
        }
        let found = self.tokens.token_by_sha256(secret_sha256).await?;
        match &found {
            Some(token) => self.known.insert(secret_sha256, (now, token.clone())),
            None => self.known.invalidate(&secret_sha256),
        }
        Ok(found)
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
    use crate::limits::TOKEN_CACHE_MS;
    use async_trait::async_trait;
    use hookgraph_domain::ids::{TenantId, TokenId};
    use hookgraph_domain::ports::{StoreError, TokenReader};
    use hookgraph_domain::token::AccessToken;
    use hookgraph_testkit::{ManualClock, sample};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    const SHA256: [u8; 32] = [7; 32];

    /// One token that can be revoked, and how often it was looked up.
    #[derive(Default)]
    struct OneToken {
        is_revoked: AtomicBool,
        look_ups: AtomicUsize,
    }

    #[async_trait]
    impl TokenReader for OneToken {
        async fn token_by_sha256(&self, secret_sha256: [u8; 32]) -> Result<Option<AccessToken>, StoreError> {
            self.look_ups.fetch_add(1, Ordering::SeqCst);
            let is_known = secret_sha256 == SHA256 && !self.is_revoked.load(Ordering::SeqCst);
            Ok(is_known.then(|| AccessToken {
                id: TokenId(uuid::Uuid::nil()),
                tenant_id: TenantId(uuid::Uuid::nil()),
                name: "one".into(),
                secret_sha256,
                created_at: sample::now(),
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
}
