//! The first tenant and its token: made on an empty database, or given by the configuration.

use crate::auth;
use crate::config::BootstrapConfig;
use anyhow::{Context, bail};
use hookgraph_domain::change::{Change, CommitError, Write};
use hookgraph_domain::constant_time;
use hookgraph_domain::ids::{TenantId, TokenId};
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::ports::{Clock, Entropy, Store};
use hookgraph_domain::signing::SigningSecret;
use hookgraph_domain::tenant::Tenant;
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::token::AccessToken;
use secrecy::{ExposeSecret, SecretString};

/// The identifier of the tenant that an empty database gets where the configuration names none.
const FIRST_TENANT: &str = "first";
/// How often a start decides again that another process's start overtook.
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
        let Some((change, made)) = decide(config, store, clock.now(), entropy).await? else { return Ok(None) };
        match store.commit(change).await {
            Ok(_) => return Ok(Some(made)),
            Err(CommitError::Conflict(_) | CommitError::AlreadyExists(_) | CommitError::NameTaken(_)) => {}
            Err(error) => return Err(error).context("the first tenant could not be written"),
        }
    }
    bail!("the first tenant could not be written: other processes kept changing it")
}

/// What is to be written; none where nothing is missing.
async fn decide(
    config: &BootstrapConfig,
    store: &dyn Store,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> anyhow::Result<Option<(Change, Bootstrapped)>> {
    if config.tenant.is_none() && store.tenant_count().await? > 0 {
        return Ok(None);
    }
    let identifier = config.tenant.as_deref().unwrap_or(FIRST_TENANT);
    let known = store.tenant_by_identifier(identifier).await?;
    let mut change = Change::at(now);
    let (tenant_id, signature_secret) = match &known {
        Some(tenant) => (tenant.id, None),
        None => {
            let (tenant, shown_secret) = new_tenant(config, identifier, now, entropy)?;
            let id = tenant.id;
            change.writes.push(Write::InsertTenant(tenant));
            (id, shown_secret)
        }
    };
    let shown_token = (config.token.is_none() && known.is_none()).then(|| auth::new_token(entropy));
    let missing_token = match &config.token {
        Some(chosen) => (!is_kept(chosen, tenant_id, store).await?).then_some(chosen),
        None => shown_token.as_ref(),
    };
    change.writes.extend(missing_token.map(|token| Write::InsertToken(access_token(token, tenant_id, now, entropy))));
    let made =
        Bootstrapped { tenant_id, tenant_identifier: identifier.to_owned(), token: shown_token, signature_secret };
    Ok((!change.writes.is_empty()).then_some((change, made)))
}

/// The tenant, and its signature secret where that is to be shown.
fn new_tenant(
    config: &BootstrapConfig,
    identifier: &str,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> anyhow::Result<(Tenant, Option<SecretString>)> {
    let made = hookgraph_pim::tenant::new_tenant(identifier, identifier, now, entropy);
    let mut tenant = made.map_err(|refusal| {
        // It is wrong in the configuration: the path within an input says nothing here.
        let message = refusal.problems.into_iter().next().map_or(refusal.message, |problem| problem.message);
        anyhow::anyhow!("bootstrap_tenant: {message}")
    })?;
    let Some(chosen) = &config.signature_secret else {
        let shown = SecretString::from(tenant.keys.secret.current.expose().to_owned());
        return Ok((tenant, Some(shown)));
    };
    tenant.keys.secret.current = SigningSecret::parse(chosen.expose_secret()).context("bootstrap_signature_secret")?;
    Ok((tenant, None))
}

/// Whether the tenant has that token, or had it: what was revoked stays so.
async fn is_kept(token: &SecretString, tenant_id: TenantId, tokens: &dyn Store) -> anyhow::Result<bool> {
    auth::check_chosen_token(token).map_err(|message| anyhow::anyhow!("bootstrap_token: {message}"))?;
    let secret_sha256 = auth::sha256(token.expose_secret());
    match tokens.token_by_sha256(secret_sha256).await? {
        Some(kept) if kept.tenant_id == tenant_id => return Ok(true),
        Some(_) => bail!("bootstrap_token is the token of another tenant"),
        None => {}
    }
    let is_revoked = tokens
        .tokens(Some(tenant_id))
        .await?
        .iter()
        .any(|known| constant_time::same(&known.secret_sha256, &secret_sha256));
    if is_revoked {
        tracing::warn!("bootstrap_token is revoked and stays so: take it out of the configuration");
    }
    Ok(is_revoked)
}

fn access_token(token: &SecretString, tenant_id: TenantId, now: Timestamp, entropy: &dyn Entropy) -> AccessToken {
    AccessToken {
        id: TokenId(entropy.uuid(now)),
        tenant_id,
        name: "admin".to_owned(),
        secret_sha256: auth::sha256(token.expose_secret()),
        permissions: PermissionSet::all(),
        created_at: now,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_domain::ports::TenantReader;
    use hookgraph_testkit::{ManualClock, MemoryStore, SeededEntropy, sample};

    #[tokio::test]
    async fn a_tenant_whose_name_is_none_is_not_made_and_the_error_names_the_key() {
        let (clock, entropy) = (ManualClock::at(sample::now()), SeededEntropy::default());
        for (name, told) in [
            (
                "0198b6a0-5c1e-7f00-8000-000000000401",
                "bootstrap_tenant: \"0198b6a0-5c1e-7f00-8000-000000000401\" is a UUID, as the ids of tenants are",
            ),
            ("Acme", "bootstrap_tenant: a tenant's identifier has 1 to 63 lower-case letters"),
        ] {
            let store = MemoryStore::default();
            let config = BootstrapConfig { tenant: Some(name.to_owned()), ..BootstrapConfig::default() };
            let refused = bootstrap(&config, &store, &clock, &entropy).await.err().map(|error| error.to_string());
            assert!(refused.as_ref().is_some_and(|message| message.starts_with(told)), "{refused:?}");
            assert_eq!(store.tenant_count().await.unwrap(), 0);
        }
    }
}
