//! Bearer JWTs of an issuer that the operator trusts: OpenID Connect discovery, its keys, and the claims that let in.
//!
//! Only asymmetric signatures are believed, only those of the configured issuer for the configured audience, and only
//! while the server's own clock says that they hold.

mod keys;

pub use keys::{Fetch, HttpFetch};

use crate::auth::AuthError;
use crate::limits::OIDC_LEEWAY_S;
use anyhow::{Context, ensure};
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::ports::Clock;
use hookgraph_domain::time::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use keys::Keys;
use serde_json::{Map, Value};
use std::sync::Arc;
use url::Url;

/// The signatures that are believed. None of them can be made with what the issuer publishes.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

/// The keys `oidc_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcConfig {
    /// `oidc_issuer`: the URL of the issuer, as its tokens name it.
    pub issuer: String,
    /// `oidc_audience`: whom its tokens must be for.
    pub audience: String,
    /// `oidc_tenant_claim`: the claim with the tenant's identifier or id.
    pub tenant_claim: String,
    /// `oidc_permissions_claim`: the claim with the names of permissions.
    pub permissions_claim: String,
}

impl OidcConfig {
    /// Whether it can be believed at all: over TLS, but for an issuer on this machine, and for a named audience.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self) -> anyhow::Result<()> {
        let url = Url::parse(&self.issuer).context("oidc_issuer is no URL")?;
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        ensure!(url.scheme() == "https" || is_local, "oidc_issuer must be an https URL");
        ensure!(!self.audience.is_empty(), "oidc_issuer needs oidc_audience");
        Ok(())
    }
}

/// What a token vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// The tenant's identifier or id.
    pub tenant: String,
    /// Who it is.
    pub subject: String,
    /// What they may read and change. Names that are no permissions of this server allow nothing.
    pub permissions: PermissionSet,
    /// From when on it does not hold.
    pub expires_at: Timestamp,
}

/// An issuer whose tokens are believed.
pub struct Issuer {
    config: OidcConfig,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
}

impl Issuer {
    /// The issuer of that configuration; its keys are read when the first token is shown.
    pub fn new(config: OidcConfig, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        let keys = Keys::new(config.issuer.clone(), fetch, clock.clone());
        Self { config, keys, clock }
    }

    /// Whether a text has the form of a JWT: those of this server have not.
    pub fn is_jwt(text: &str) -> bool {
        text.starts_with("ey") && text.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// What a token vouches for.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], and [`AuthError::Unavailable`] when the issuer's keys cannot be read.
    pub async fn vouched(&self, text: &str) -> Result<Vouched, AuthError> {
        let header = decode_header(text).map_err(|_| AuthError::Invalid)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(AuthError::Invalid);
        }
        let jwk = self.keys.find(header.kid.as_deref(), header.alg).await?.ok_or(AuthError::Invalid)?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| AuthError::Invalid)?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Times are judged by this server's clock, below.
        validation.validate_exp = false;
        let claims = decode::<Map<String, Value>>(text, &key, &validation).map_err(|error| {
            tracing::debug!(%error, "a token of the issuer is refused");
            AuthError::Invalid
        })?;
        self.judged(&claims.claims)
    }

    fn judged(&self, claims: &Map<String, Value>) -> Result<Vouched, AuthError> {
        let now = self.clock.now();
        let leeway = chrono::Duration::seconds(OIDC_LEEWAY_S);
        let expires_at = time(claims, "exp").ok_or(AuthError::Invalid)? + leeway;
        let is_early = time(claims, "nbf").is_some_and(|from| now + leeway < from);
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (tenant, subject) = (text(&self.config.tenant_claim), text("sub"));
        match (tenant, subject) {
            (Some(tenant), Some(subject)) if now < expires_at && !is_early => Ok(Vouched {
                tenant: tenant.to_owned(),
                subject: subject.to_owned(),
                permissions: permissions(claims.get(&self.config.permissions_claim)),
                expires_at,
            }),
            _ => Err(AuthError::Invalid),
        }
    }
}

fn time(claims: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    chrono::DateTime::from_timestamp(claims.get(name)?.as_i64()?, 0)
}

/// A list of names, or one text of names divided by spaces, as OAuth writes scopes.
fn permissions(claim: Option<&Value>) -> PermissionSet {
    match claim {
        Some(Value::String(names)) => names.split(' ').filter_map(Permission::from_name).collect(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).filter_map(Permission::from_name).collect(),
        _ => PermissionSet::NONE,
    }
}
