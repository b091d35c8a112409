//! Opening the database with the key of its secrets.

use crate::config::Config;
use crate::surroundings::{self, OsEntropy};
use anyhow::Context;
use hookgraph_domain::ports::{
    Entropy, Failpoints, NoObserver, Observer, SecretVault, Store, TenantReader, TokenReader, VaultError,
};
use hookgraph_storage::vault::KeyFileVault;
use hookgraph_storage::{SqlStore, StoreOptions};
use std::path::Path;
use std::sync::Arc;

/// Opens the database and brings it up to date.
///
/// # Errors
/// What cannot be opened, read or written.
pub async fn open_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let store = open_unobserved(config).await?;
    store.migrate().await.context("the database cannot be brought up to date")?;
    check_key(&store, &config.key_file).await?;
    Ok(Arc::new(store))
}

/// Refuses a key file that does not open what the database holds, such as one that was made anew because it was missing, or by one
/// of two servers that were the first on a new database at the same moment.
///
/// # Errors
/// The key file's name, and the store's failures.
pub async fn check_key(store: &SqlStore, key_file: &Path) -> anyhow::Result<()> {
    let tokens = store.tokens(None).await?;
    // The first and the last that was made: of two servers that each made a tenant, one sees the other's.
    let mut tenant_ids: Vec<_> = tokens.first().into_iter().chain(tokens.last()).map(|token| token.tenant_id).collect();
    tenant_ids.dedup();
    for tenant_id in tenant_ids {
        store.tenant(tenant_id).await.with_context(|| {
            format!(
                "key_file {} does not open the secrets of this database: put back the one it was made with, or copy that of the \
                 server that made it",
                key_file.display()
            )
        })?;
    }
    Ok(())
}

/// Brings the database up to date and names what that took.
///
/// # Errors
/// What cannot be opened, read or written.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let store = open_unobserved(config).await?;
    store.migrate().await.context("the database cannot be brought up to date")
}

/// Opens the database, brings it up to date, and answers it with what seals its secrets.
///
/// # Errors
/// What cannot be opened, read or written.
pub async fn open_with_vault(config: &Config) -> anyhow::Result<(SqlStore, Arc<KeyFileVault>)> {
    let entropy = Arc::new(OsEntropy::default());
    let failpoints = surroundings::failpoints().map_err(anyhow::Error::msg)?;
    let vault = open_vault(config, entropy).await?;
    let store = open_on(config, vault.clone(), failpoints, Arc::new(NoObserver)).await?;
    store.migrate().await.context("the database cannot be brought up to date")?;
    check_key(&store, &config.key_file).await?;
    Ok((store, vault))
}

async fn open_unobserved(config: &Config) -> anyhow::Result<SqlStore> {
    let failpoints = surroundings::failpoints().map_err(anyhow::Error::msg)?;
    open(config, Arc::new(OsEntropy::default()), failpoints, Arc::new(NoObserver)).await
}

async fn open_vault(config: &Config, entropy: Arc<dyn Entropy>) -> anyhow::Result<Arc<KeyFileVault>> {
    if !config.key_file.exists() {
        refuse_new_key_for_old_secrets(config).await?;
    }
    make_parent(&config.key_file).context("key_file: its folder cannot be made")?;
    Ok(Arc::new(KeyFileVault::open_or_create(&config.key_file, entropy).context("key_file")?))
}

/// Opens the database as it is, with its key.
///
/// # Errors
/// What cannot be opened, read or written.
pub async fn open(
    config: &Config,
    entropy: Arc<dyn Entropy>,
    failpoints: Arc<dyn Failpoints>,
    observer: Arc<dyn Observer>,
) -> anyhow::Result<SqlStore> {
    let vault = open_vault(config, entropy).await?;
    open_on(config, vault, failpoints, observer).await
}

async fn open_on(
    config: &Config,
    vault: Arc<KeyFileVault>,
    failpoints: Arc<dyn Failpoints>,
    observer: Arc<dyn Observer>,
) -> anyhow::Result<SqlStore> {
    let mut options = StoreOptions::new(database_url(&config.database)?, vault);
    options.failpoints = failpoints;
    options.observer = observer;
    options.postgres_connections_max = config.database_connections_max;
    options.sqlite_bytes_max = config.database_bytes_max;
    SqlStore::open(options).await.context("database: it cannot be opened")
}

/// A key that is made anew opens nothing of what a database holds already: then the right one is missing.
async fn refuse_new_key_for_old_secrets(config: &Config) -> anyhow::Result<()> {
    let options = StoreOptions::new(database_url(&config.database)?, Arc::new(NoKey));
    let store = SqlStore::open(options).await.context("database: it cannot be opened")?;
    let is_new = !store.pending_migrations().await.context("database")?.is_empty();
    let holds_secrets = !is_new && store.tenant_count().await.context("database")? > 0;
    store.close().await.context("database")?;
    if holds_secrets {
        anyhow::bail!(
            "key_file {} is missing, and this database holds secrets that it opens: put back the one it was made with",
            config.key_file.display()
        );
    }
    Ok(())
}

/// Opens nothing.
struct NoKey;

impl SecretVault for NoKey {
    fn seal(&self, _label: &str, _secret: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn open(&self, _label: &str, _sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        Err(VaultError)
    }
}

/// The URL as the storage takes it: an SQLite file, and its folder, are made when they are missing.
fn database_url(configured: &str) -> anyhow::Result<String> {
    let Some(file) = hookgraph_storage::sqlite_file(configured) else { return Ok(configured.to_owned()) };
    make_parent(&file).context("database: its folder cannot be made")?;
    Ok(if configured.contains('?') { configured.to_owned() } else { format!("{configured}?mode=rwc") })
}

fn make_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => std::fs::create_dir_all(parent),
        _ => Ok(()),
    }
}
