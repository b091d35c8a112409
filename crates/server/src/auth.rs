//! Authentication: from a bearer token to the caller it stands for.

use crate::limits;
use crate::oidc::Issuer;
use crate::shares::Holder;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::constant_time;
use hookgraph_domain::ids::TokenId;
use hookgraph_domain::limits::TOKEN_USED_EVERY_S;
use hookgraph_domain::ports::{Clock, Entropy, StoreError, TenantReader, TokenReader, UnitOfWork};
use hookgraph_domain::tenant::Tenant;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::{self, AccessToken};
use hookgraph_pim::Caller;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Why nobody is let in.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    /// No token was shown.
    #[error("a token is needed: send the header `authorization: Bearer <token>`")]
    Missing,
    /// Something else than one bearer token was shown.
    #[error("the authorization is not of the form `Bearer <token>`")]
    Malformed,
    /// The token is unknown, expired or revoked.
    #[error("the token is not valid: it is unknown, has expired or was revoked")]
    Invalid,
    /// The issuer cannot vouch for anybody right now.
    #[error("{0}")]
    Unavailable(String),
    /// It could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A token that was shown. Of one that this server made only its hash is kept, so that it can be looked up again.
#[derive(Clone)]
pub struct ShownToken {
    secret_sha256: [u8; 32],
    /// The text of what has the form of a JWT: an issuer's are judged by what they say.
    jwt: Option<Arc<SecretString>>,
}

impl PartialEq for ShownToken {
    fn eq(&self, other: &Self) -> bool {
        constant_time::same(&self.secret_sha256, &other.secret_sha256)
    }
}

impl Eq for ShownToken {}

impl std::fmt::Debug for ShownToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShownToken")
    }
}

impl ShownToken {
    /// Reads the value of an `authorization` header.
    ///
    /// # Errors
    /// [`AuthError::Missing`] and [`AuthError::Malformed`].
    pub fn read(authorization: Option<&str>) -> Result<Self, AuthError> {
        let authorization = authorization.map(str::trim).filter(|text| !text.is_empty()).ok_or(AuthError::Missing)?;
        let (scheme, token) = authorization.split_once(' ').ok_or(AuthError::Malformed)?;
        let token = token.trim();
        let is_jwt = Issuer::is_jwt(token);
        let bytes_max = if is_jwt { limits::JWT_BYTES_MAX } else { limits::TOKEN_BYTES_MAX };
        let is_token = !token.is_empty() && token.len() <= bytes_max && !token.contains(' ');
        if !scheme.eq_ignore_ascii_case("bearer") || !is_token {
            return Err(AuthError::Malformed);
        }
        let jwt = is_jwt.then(|| Arc::new(SecretString::from(token.to_owned())));
        Ok(Self { secret_sha256: sha256(token), jwt })
    }
}

/// Who is let in, and until when.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whom the token stands for.
    pub caller: Caller,
    /// From when on it does not; none means as long as it is not revoked.
    pub expires_at: Option<Timestamp>,
    /// Whose share of the server it takes.
    pub holder: Holder,
}

/// Lets callers in.
pub struct Authenticator {
    tokens: Arc<dyn TokenReader>,
    /// Where the last use of a token is written down.
    uses: Arc<dyn UnitOfWork>,
    clock: Arc<dyn Clock>,
    /// How long a session is believed at most.
    recheck: Duration,
    /// Whose JWTs are believed, and where their tenants are looked up.
    issuer: Option<(Issuer, Arc<dyn TenantReader>)>,
    noted: Mutex<NotedUses>,
}

/// When this process last wrote down the use of a token: what it reads of one may be a moment old.
#[derive(Default)]
struct NotedUses {
    at: HashMap<TokenId, Timestamp>,
    swept_at: Timestamp,
}

impl NotedUses {
    /// Whether a use is to be written down; then it is noted. Where no more can be noted it is not: each further
    /// request of the token would be written down too. What is lost is when it was last used.
    fn is_news(&mut self, id: TokenId, now: Timestamp) -> bool {
        let every = chrono::Duration::seconds(i64::from(TOKEN_USED_EVERY_S));
        let noted_at = self.at.get(&id).copied();
        if noted_at.is_some_and(|at| now - at < every) {
            return false;
        }
        if noted_at.is_none() && self.at.len() >= limits::TOKEN_USES_NOTED_MAX {
            // Not oftener: with that many tokens in use each look at all of them is felt.
            if (now - self.swept_at).num_milliseconds().abs() >= limits::TOKEN_USES_SWEEP_MS {
                self.swept_at = now;
                self.at.retain(|_, at| now - *at < every);
            }
            if self.at.len() >= limits::TOKEN_USES_NOTED_MAX {
                return false;
            }
        }
        self.at.insert(id, now);
        true
    }
}

impl Authenticator {
    /// An authenticator over those tokens, whose sessions are looked up again after that time.
    pub fn new(
        tokens: Arc<dyn TokenReader>,
        uses: Arc<dyn UnitOfWork>,
        clock: Arc<dyn Clock>,
        recheck: Duration,
    ) -> Self {
        Self { tokens, uses, clock, recheck, issuer: None, noted: Mutex::default() }
    }

    /// The same, and believing that issuer's JWTs for those tenants.
    #[must_use]
    pub fn believing(self, issuer: Issuer, tenants: Arc<dyn TenantReader>) -> Self {
        Self { issuer: Some((issuer, tenants)), ..self }
    }

    /// Whom the token stands for. It is found by its hash, so that the time this takes says nothing of the tokens kept.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], [`AuthError::Unavailable`] and [`AuthError::Store`].
    pub async fn session(&self, shown: &ShownToken) -> Result<Session, AuthError> {
        if let (Some((issuer, tenants)), Some(jwt)) = (&self.issuer, &shown.jwt) {
            return vouched_session(issuer, tenants.as_ref(), jwt.expose_secret()).await;
        }
        let now = self.clock.now();
        let token = self.tokens.token_by_sha256(shown.secret_sha256).await?;
        let token = token.filter(|token| token.is_valid(now)).ok_or(AuthError::Invalid)?;
        self.note_use(&token, now).await;
        let AccessToken { id, tenant_id, permissions, expires_at, .. } = token;
        let caller = Caller { tenant_id, user_id: Some(id.to_string()), permissions };
        Ok(Session { caller, expires_at, holder: Holder(id.0.as_u128()) })
    }

    /// How long a session may be believed before it is looked up again: until it expires, and no longer than
    /// `token_recheck_ms`.
    pub fn believed(&self, session: &Session) -> Duration {
        self.valid_for(session).min(self.recheck)
    }

    /// How long the session's token is still valid; without end where it does not expire.
    pub fn valid_for(&self, session: &Session) -> Duration {
        let left = session.expires_at.map(|expires_at| (expires_at - self.clock.now()).to_std().unwrap_or_default());
        left.unwrap_or(Duration::MAX)
    }

    /// Writes a use down, at most once a minute. That it fails keeps nobody out.
    async fn note_use(&self, token: &AccessToken, now: Timestamp) {
        if !token.is_use_news(now) || !self.noted.lock().is_news(token.id, now) {
            return;
        }
        let mut change = Change::at(now);
        change.writes.push(Write::MarkTokenUsed(token.id));
        if let Err(error) = self.uses.commit(change).await {
            tracing::warn!(%error, token_id = %token.id, "the use of a token could not be written down");
        }
    }
}

/// The session of a JWT. A tenant that is not here answers as a token that is not valid.
async fn vouched_session(issuer: &Issuer, tenants: &dyn TenantReader, jwt: &str) -> Result<Session, AuthError> {
    let vouched = issuer.vouched(jwt).await?;
    let tenant_id = tenant_named(tenants, &vouched.tenant).await?.ok_or(AuthError::Invalid)?.id;
    let user_id = format!("oidc:{}", vouched.subject);
    // Whoever shows a new JWT every minute is the same holder, and another one in another tenant.
    let sha256 = token::sha256(&format!("{}:{user_id}", tenant_id));
    let holder = Holder(sha256.iter().take(16).fold(0, |holder, byte| holder << 8 | u128::from(*byte)));
    let caller = Caller { tenant_id, user_id: Some(user_id), permissions: vouched.permissions };
    Ok(Session { caller, expires_at: Some(vouched.expires_at), holder })
}

/// The tenant of that id or identifier. Its id comes first: whatever another tenant is called, it is never taken for
/// this one.
pub(crate) async fn tenant_named(tenants: &dyn TenantReader, text: &str) -> Result<Option<Tenant>, StoreError> {
    if let Ok(id) = text.parse()
        && let Some(tenant) = tenants.tenant(id).await?
    {
        return Ok(Some(tenant));
    }
    tenants.tenant_by_identifier(text).await
}

/// The hash that a token is kept by.
pub fn sha256(text: &str) -> [u8; 32] {
    token::sha256(text)
}

/// A new token's text. Shown once, by whoever makes it.
pub fn new_token(entropy: &dyn Entropy) -> SecretString {
    SecretString::from(token::new_text(entropy))
}

/// Whether a token that an operator chose is long and plain enough.
///
/// # Errors
/// What is wrong with it, without repeating it.
pub fn check_chosen_token(token: &SecretString) -> Result<(), String> {
    let text = token.expose_secret();
    let range = limits::TOKEN_BYTES_MIN..=limits::TOKEN_BYTES_MAX;
    if !range.contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "a token is {} to {} printable ASCII characters without spaces",
            range.start(),
            range.end()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::NotedUses;
    use crate::limits::{TOKEN_USES_NOTED_MAX, TOKEN_USES_SWEEP_MS};
    use hookgraph_domain::ids::TokenId;
    use hookgraph_domain::limits::TOKEN_USED_EVERY_S;
    use hookgraph_domain::time::Timestamp;
    use hookgraph_testkit::sample;
    use uuid::Uuid;

    fn id(number: usize) -> TokenId {
        TokenId(Uuid::from_u128(number as u128))
    }

    fn after_ms(ms: i64) -> Timestamp {
        sample::now() + chrono::Duration::milliseconds(ms)
    }

    #[test]
    fn no_more_uses_are_noted_than_may_be_and_none_is_written_down_with_each_request() {
        let mut noted = NotedUses::default();
        for number in 0..TOKEN_USES_NOTED_MAX {
            assert!(noted.is_news(id(number), after_ms(0)));
        }
        let (minute_ms, other) = (i64::from(TOKEN_USED_EVERY_S) * 1_000, id(TOKEN_USES_NOTED_MAX));
        assert!(!noted.is_news(id(0), after_ms(minute_ms - 1)), "it is noted");
        assert!(!noted.is_news(other, after_ms(minute_ms - 1)), "all of them were used within the minute");
        assert!(!noted.is_news(other, after_ms(minute_ms)), "they were looked at a moment ago");
        assert!(noted.is_news(id(0), after_ms(minute_ms)), "it has its place");
        assert_eq!(noted.at.len(), TOKEN_USES_NOTED_MAX);
        assert!(noted.is_news(other, after_ms(minute_ms - 1 + TOKEN_USES_SWEEP_MS)));
        assert!(!noted.is_news(other, after_ms(minute_ms + TOKEN_USES_SWEEP_MS)));
        assert_eq!(noted.at.len(), 2, "the two that were used of late");
    }
}
