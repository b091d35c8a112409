//! The issuer's keys: found by discovery, kept for a while, and read again when a token names one that is not there.

use crate::auth::AuthError;
use crate::limits::{OIDC_ANSWER_BYTES_MAX, OIDC_FETCH_MS_MAX, OIDC_KEYS_KEPT_S, OIDC_REFETCH_S_MIN};
use async_trait::async_trait;
use hookgraph_dispatcher::transport::{HttpTransport, TransportOptions};
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::ports::Clock;
use hookgraph_domain::time::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
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
/// [`OIDC_ANSWER_BYTES_MAX`]. The operator vouches for the issuer's own host by naming it; what the issuer names beside it is
/// judged as a webhook's address is.
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
}

#[derive(Default)]
struct Known {
    keys: Vec<Jwk>,
    read_at: Option<Timestamp>,
    tried_at: Option<Timestamp>,
}

impl Keys {
    pub fn new(issuer: String, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { issuer, fetch, clock, known: Mutex::new(Known::default()) }
    }

    /// The key of that id; without one, the only key. An unknown id has the keys read again, though not more often than
    /// every [`OIDC_REFETCH_S_MIN`] seconds: a stranger's tokens cost the issuer nothing.
    pub async fn find(&self, kid: Option<&str>) -> Result<Option<Jwk>, AuthError> {
        let now = self.clock.now();
        let mut known = self.known.lock().await;
        let is_older = |at: Option<Timestamp>, seconds| at.is_none_or(|at| (now - at).num_seconds() >= seconds);
        let is_wanting = is_older(known.read_at, OIDC_KEYS_KEPT_S) || chosen(&known.keys, kid).is_none();
        if is_wanting && is_older(known.tried_at, OIDC_REFETCH_S_MIN) {
            known.tried_at = Some(now);
            match self.read().await {
                Ok(keys) => {
                    known.keys = keys;
                    known.read_at = Some(now);
                }
                Err(error) => tracing::warn!(error, issuer = self.issuer, "the issuer's keys could not be read"),
            }
        }
        // Keys that could not be read again hold a while longer, and not for ever: the issuer may have withdrawn them.
        if is_older(known.read_at, 2 * OIDC_KEYS_KEPT_S) {
            return Err(AuthError::Unavailable("the issuer's keys cannot be read: try again".to_owned()));
        }
        Ok(chosen(&known.keys, kid).cloned())
    }

    async fn read(&self) -> Result<Vec<Jwk>, String> {
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

fn chosen<'a>(keys: &'a [Jwk], kid: Option<&str>) -> Option<&'a Jwk> {
    match (kid, keys) {
        (None, [only]) => Some(only),
        (None, _) => None,
        (Some(kid), keys) => keys.iter().find(|key| key.common.key_id.as_deref() == Some(kid)),
    }
}
