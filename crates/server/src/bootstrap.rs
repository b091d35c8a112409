//! The first tenant and its token: made on an empty database, or given by the configuration.

use crate::auth;
use crate::config::BootstrapConfig;
use anyhow::{Context, bail};
use hookgraph_domain::change::{Change, CommitError, Write};
use hookgraph_domain::ids::{TenantId, TokenId};
use hookgraph_domain::ports::{Clock, Entropy, Store};
use hookgraph_domain::signing::SigningSecret;
use hookgraph_domain::tenant::Tenant;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::AccessToken;
use secrecy::{ExposeSecret, SecretString};

/// The tenant that an empty database gets where none is named.
pub const FIRST_TENANT: &str = "first";
/// How often a start is decided again that another process's start overtook.
const TRIES_MAX: u32 = 5;

/// What was made, with the secrets that are shown this once.
pub struct Bootstrapped {
    /// The tenant's id.
    pub tenant_id: TenantId,
    /// The tenant's identifier.
    pub tenant_identifier: String,
    /// The token's text; none where the configuration gave it.
    pub token: Option<SecretString>,
    /// The tenant's signature secret; none where the tenant was there, or the configuration gave it.
    pub signature_secret: Option<SecretString>,
}

/// Makes what is missing. Nothing, on a database that has tenants, where the configuration names none.
///
/// Any number of processes may do this at the same time on one database.
///
/// # Errors
/// A configuration that cannot be met, or a database that cannot be written.
pub async fn bootstrap(
    config: &BootstrapConfig,
    store: &dyn Store,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> anyhow::Result<Option<Bootstrapped>> {
    if config.tenant.is_none() && (config.token.is_some() || config.signature_secret.is_some()) {
        bail!("bootstrap_token and bootstrap_signature_secret need bootstrap_tenant");
    }
    for _ in 0..TRIES_MAX {
        let (change, made) = decide(config, store, clock.now(), entropy).await?;
        if change.writes.is_empty() {
            return Ok(None);
        }
        match store.commit(change).await {
            Ok(_) => return Ok(Some(made)),
            Err(CommitError::Conflict(_) | CommitError::AlreadyExists(_) | CommitError::NameTaken(_)) => {}
            Err(error) => return Err(error).context("the first tenant could not be written"),
        }
    }
    bail!("the first tenant could not be written: other processes kept changing it")
}

async fn decide(
    config: &BootstrapConfig,
    store: &dyn Store,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> anyhow::Result<(Change, Bootstrapped)> {
    let mut change = Change::at(now);
    let identifier = config.tenant.clone().unwrap_or_else(|| FIRST_TENANT.to_owned());
    let known = store.tenant_by_identifier(&identifier).await?;
    let mut made = Bootstrapped {
        tenant_id: known.as_ref().map_or_else(|| TenantId(entropy.uuid(now)), |tenant| tenant.id),
        tenant_identifier: identifier,
        token: None,
        signature_secret: None,
    };
    if config.tenant.is_none() && store.tenant_count().await? > 0 {
        return Ok((change, made));
    }
    let is_new_tenant = known.is_none();
    if is_new_tenant {
        let signing_secret = signing_secret(config, entropy)?;
        if config.signature_secret.is_none() {
            made.signature_secret = Some(SecretString::from(signing_secret.expose().to_owned()));
        }
        change.writes.push(Write::InsertTenant(tenant(&made, signing_secret, now)));
    }
    let token = match &config.token {
        Some(chosen) => {
            auth::check_chosen_token(chosen).map_err(|message| anyhow::anyhow!("bootstrap_token: {message}"))?;
            let kept = store.token_by_sha256(auth::sha256(chosen.expose_secret())).await?;
            match kept {
                Some(kept) if kept.tenant_id == made.tenant_id => None,
                Some(_) => bail!("bootstrap_token is the token of another tenant"),
                None => Some(chosen.clone()),
            }
        }
        None if is_new_tenant => {
            let token = auth::new_token(entropy);
            made.token = Some(token.clone());
            Some(token)
        }
        None => None,
    };
    change.writes.extend(token.map(|token| Write::InsertToken(access_token(&token, &made, now, entropy))));
    Ok((change, made))
}

fn signing_secret(config: &BootstrapConfig, entropy: &dyn Entropy) -> anyhow::Result<SigningSecret> {
    match &config.signature_secret {
        Some(chosen) => SigningSecret::parse(chosen.expose_secret()).context("bootstrap_signature_secret"),
        None => {
            let mut bytes = [0; 32];
            entropy.fill(&mut bytes);
            Ok(SigningSecret::from_bytes(&bytes))
        }
    }
}

fn tenant(made: &Bootstrapped, signing_secret: SigningSecret, now: Timestamp) -> Tenant {
    Tenant {
        id: made.tenant_id,
        identifier: made.tenant_identifier.clone(),
        default_language: "en".to_owned(),
        body: "{}".to_owned(),
        signing_secret,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn access_token(token: &SecretString, made: &Bootstrapped, now: Timestamp, entropy: &dyn Entropy) -> AccessToken {
    AccessToken {
        id: TokenId(entropy.uuid(now)),
        tenant_id: made.tenant_id,
        name: "admin".to_owned(),
        secret_sha256: auth::sha256(token.expose_secret()),
        created_at: now,
        revoked_at: None,
    }
}
