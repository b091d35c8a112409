//! The issuer's keys: found by discovery, kept for a while, and read again when a token names one that is not there.

use crate::auth::AuthError;
use crate::limits::{OIDC_ANSWER_BYTES_MAX, OIDC_FETCH_MS_MAX, OIDC_KEYS_KEPT_S, OIDC_REFETCH_S_MIN};
use async_trait::async_trait;
use hookgraph_dispatcher::transport::{HttpTransport, TransportOptions};
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::ports::Clock;
use hookgraph_domain::time::Timestamp;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use parking_lot::Mutex;
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use url::{Host, Url};

/// Reads JSON from a URL.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The JSON there.
    ///
    /// # Errors
    /// In plain words.
    async fn json(&self, url: &str) -> Result<Value, String>;
}

/// Over HTTP, through the address filter: no redirects, no proxy, within [`OIDC_FETCH_MS_MAX`] and
/// [`OIDC_ANSWER_BYTES_MAX`]. The operator vouches for the issuer's own host by naming it; what the issuer names beside
/// it is judged as a webhook's address is.
pub struct HttpFetch(HttpTransport);

impl HttpFetch {
    /// A client of its own for that issuer.
    ///
    /// # Errors
    /// When the issuer is no URL, or TLS cannot be set up.
    pub fn new(
        issuer: &str,
        mut rules: AddressRules,
        options: TransportOptions,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        match Url::parse(issuer)?.host() {
            Some(Host::Domain(name)) => rules.allowed_hosts.push(name.parse()?),
            Some(Host::Ipv4(address)) => rules.allowed.push(IpAddr::from(address).into()),
            Some(Host::Ipv6(address)) => rules.allowed.push(IpAddr::from(address).into()),
            None => {}
        }
        let options = TransportOptions { egress_proxy: None, ..options };
        Ok(Self(HttpTransport::with(rules, clock, options)?))
    }
}

#[async_trait]
impl Fetch for HttpFetch {
    async fn json(&self, url: &str) -> Result<Value, String> {
        let wait_max = Duration::from_millis(OIDC_FETCH_MS_MAX);
        let bytes = self.0.fetch(url, wait_max, OIDC_ANSWER_BYTES_MAX).await;
        let bytes = bytes.map_err(|error| format!("{url}: {error}"))?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{url} is no JSON: {error}"))
    }
}

/// The keys of one issuer.
pub(super) struct Keys {
    issuer: String,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    /// Wakes whoever waits for a reading to end.
    read: Notify,
}

#[derive(Default)]
struct Known {
    keys: Vec<Jwk>,
    /// When the reading began that they are of.
    read_at: Option<Timestamp>,
    /// When the last reading ended, whatever came of it.
    tried_at: Option<Timestamp>,
    is_being_read: bool,
}

impl Known {
    fn is_older(&self, seconds: i64, now: Timestamp) -> bool {
        is_over(self.read_at, seconds, now)
    }
}

impl Keys {
    pub fn new(issuer: String, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { issuer, fetch, clock, known: Mutex::default(), read: Notify::new() })
    }

    /// The key of that id for such signatures; without an id, the only one for them. An unknown id has the keys read
    /// again, though not before [`OIDC_REFETCH_S_MIN`] seconds after the last time: a stranger's tokens cost the issuer
    /// nothing. One reading goes on at a time, for which those alone wait for whom no key is known that holds, whoever
    /// began it.
    pub async fn find(self: &Arc<Self>, kid: Option<&str>, algorithm: Algorithm) -> Result<Option<Jwk>, AuthError> {
        // Made before the look at what is known: an end of a reading is not missed.
        let read = self.read.notified();
        if self.needs_reading(kid, algorithm) {
            read.await;
        }
        let known = self.known.lock();
        // Keys that could not be read again hold a while longer, and not for ever: the issuer may have withdrawn them.
        if known.is_older(2 * OIDC_KEYS_KEPT_S, self.clock.now()) {
            return Err(AuthError::Unavailable("the issuer's keys cannot be read: try again".to_owned()));
        }
        Ok(chosen(&known.keys, kid, algorithm).cloned())
    }

    /// Whether a reading is to be waited for: one under way, or one that begins herewith.
    fn needs_reading(self: &Arc<Self>, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let mut known = self.known.lock();
        // Not before: a reading that ends meanwhile would have been tried in the future.
        let now = self.clock.now();
        let is_unknown = chosen(&known.keys, kid, algorithm).is_none();
        let must_wait = is_unknown || known.is_older(2 * OIDC_KEYS_KEPT_S, now);
        if known.is_being_read {
            return must_wait;
        }
        let is_wanting = is_unknown || known.is_older(OIDC_KEYS_KEPT_S, now);
        let begins = is_wanting && is_over(known.tried_at, OIDC_REFETCH_S_MIN, now);
        if begins {
            known.is_being_read = true;
            drop(known);
            // It outlives the request that began it: a stranger who goes early would have it begin again and again.
            tokio::spawn(KeyFetch(Arc::clone(self)).run(now));
        }
        begins && must_wait
    }

    async fn fetched(&self) -> Result<Vec<Jwk>, String> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovered = self.fetch.json(&url).await?;
        if discovered["issuer"].as_str() != Some(&self.issuer) {
            return Err(format!("{url} describes another issuer"));
        }
        let jwks_url = discovered["jwks_uri"].as_str().ok_or_else(|| format!("{url} names no jwks_uri"))?;
        // Keys that came in the clear could be anybody's.
        if url.starts_with("https:") && !jwks_url.starts_with("https:") {
            return Err(format!("{url} names a jwks_uri without TLS"));
        }
        let set = self.fetch.json(jwks_url).await?;
        // One key of a kind that is not known must not hide the others.
        let keys = set["keys"].as_array().into_iter().flatten();
        let keys = keys.filter_map(|key| serde_json::from_value(key.clone()).ok()).collect();
        Ok(JwkSet { keys }.keys)
    }
}

/// One reading of the keys, which ends as this value is dropped: also where it panics or is aborted.
struct KeyFetch(Arc<Keys>);

impl KeyFetch {
    async fn run(self, begun_at: Timestamp) {
        let Self(keys) = &self;
        match keys.fetched().await {
            Ok(fetched) => {
                let mut known = keys.known.lock();
                known.keys = fetched;
                known.read_at = Some(begun_at);
            }
            Err(error) => tracing::warn!(error, issuer = keys.issuer, "the issuer's keys could not be read"),
        }
    }
}

impl Drop for KeyFetch {
    fn drop(&mut self) {
        let Self(keys) = self;
        let tried_at = keys.clock.now();
        let mut known = keys.known.lock();
        known.tried_at = Some(tried_at);
        known.is_being_read = false;
        drop(known);
        keys.read.notify_waiters();
    }
}

/// Whether it was never, or so long ago. So is what has yet to come: a clock that was set back makes nothing younger.
fn is_over(at: Option<Timestamp>, seconds: i64, now: Timestamp) -> bool {
    at.is_none_or(|at| now < at || (now - at).num_seconds() >= seconds)
}

fn chosen<'a>(keys: &'a [Jwk], kid: Option<&str>, algorithm: Algorithm) -> Option<&'a Jwk> {
    let mut fitting = keys.iter().filter(|key| is_for(key, algorithm));
    match kid {
        Some(kid) => fitting.find(|key| key.common.key_id.as_deref() == Some(kid)),
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}

/// Whether the issuer publishes the key to verify such signatures (RFC 7517, sections 4.2 and 4.4), and not to encrypt
/// for it.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature))
        && key.common.key_algorithm.is_none_or(|of_key| of_key == KeyAlgorithm::from(algorithm))
}
