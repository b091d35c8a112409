//! Opening the database with the key of its secrets.

use crate::config::Config;
use crate::only_one;
use crate::surroundings::{self, OsEntropy};
use anyhow::{Context, bail};
use hookgraph_domain::ports::{
    Entropy, Failpoints, NoObserver, Observer, SecretVault, Store, TenantReader, TokenReader, VaultError,
};
use hookgraph_storage::vault::KeyFileVault;
use hookgraph_storage::{SqlStore, StoreOptions};
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// The beginning of the first migration's name: where that migration is pending, no server has made the database.
const FIRST_MIGRATION: &str = "0001_";

/// Opens the database of a server, as [`open_with_vault`] does.
///
/// # Errors
/// As [`open_with_vault`].
pub async fn open_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    Ok(Arc::new(open_with_vault(config).await?.0))
}

/// Refuses a key file that does not open the secrets of the database: one that was made anew because it was missing, or
/// by one of two servers that were the first on a new database at the same moment.
///
/// # Errors
/// The key file's name, and the store's failures.
pub async fn check_key(store: &SqlStore, key_file: &Path) -> anyhow::Result<()> {
    let tokens = store.tokens(None).await?;
    // The tenants of the first and of the last token: of two servers that each made a tenant, one sees the other's.
    let mut tenant_ids: Vec<_> = tokens.first().into_iter().chain(tokens.last()).map(|token| token.tenant_id).collect();
    tenant_ids.dedup();
    for tenant_id in tenant_ids {
        store.tenant(tenant_id).await.with_context(|| {
            format!(
                "key_file {} does not open the secrets of this database: put back the one it was made with, or copy \
                 that of the server that made it",
                key_file.display()
            )
        })?;
    }
    Ok(())
}

/// Brings the database up to date, making it where there is none, and names the migrations that were applied.
///
/// # Errors
/// A database or key file that cannot be opened, read or written.
pub async fn migrate(config: &Config) -> anyhow::Result<Vec<String>> {
    let failpoints = surroundings::failpoints().map_err(anyhow::Error::msg)?;
    let store = open(config, Arc::new(OsEntropy::default()), failpoints, Arc::new(NoObserver)).await?;
    store.migrate().await.context("the database cannot be brought up to date")
}

/// Opens the database of a server for a command beside it, brings it up to date, and answers it with the vault of its
/// secrets. Neither the database nor its key file is made: a command in another folder would be answered by an empty
/// database, and leave it behind.
///
/// # Errors
/// A database that is missing, and one that, like its key file, cannot be opened, read or written.
pub async fn open_with_vault(config: &Config) -> anyhow::Result<(SqlStore, Arc<KeyFileVault>)> {
    if hookgraph_storage::sqlite_file(&config.database).is_some_and(|file| !file.try_exists().unwrap_or(true)) {
        bail!(no_database(config));
    }
    if !config.key_file.try_exists().unwrap_or(true) {
        refuse_new_key_for_old_secrets(config).await?;
        bail!("there is no key_file {}: `hookgraph serve` makes it", config.key_file.display());
    }
    let failpoints = surroundings::failpoints().map_err(anyhow::Error::msg)?;
    let vault = KeyFileVault::open(&config.key_file, Arc::new(OsEntropy::default())).context("key_file")?;
    let vault = Arc::new(vault);
    let store = open_on(config, vault.clone(), failpoints, Arc::new(NoObserver)).await?;
    let pending = store.pending_migrations().await.context("database")?;
    if is_new(&pending) {
        bail!(no_database(config));
    }
    store.migrate().await.context("the database cannot be brought up to date")?;
    check_key(&store, &config.key_file).await?;
    Ok((store, vault))
}

/// Whether no server has made the database to which these migrations are still to be applied.
fn is_new(pending: &[String]) -> bool {
    pending.first().is_some_and(|name| name.starts_with(FIRST_MIGRATION))
}

fn no_database(config: &Config) -> String {
    format!("there is no database at {}: `hookgraph serve` makes it", shown_database(&config.database))
}

/// The address of the database, without the password that the URL of PostgreSQL may hold.
fn shown_database(configured: &str) -> String {
    if configured.starts_with("sqlite:") {
        return configured.to_owned();
    }
    let Ok(mut url) = url::Url::parse(configured) else { return "the address that is configured".to_owned() };
    let _ = url.set_password(None);
    url.set_query(None);
    url.into()
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
/// A database or key file that cannot be opened, read or written.
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

/// Refuses to make a key anew for a database that holds secrets: a new key opens none of them, so the right one is
/// missing.
async fn refuse_new_key_for_old_secrets(config: &Config) -> anyhow::Result<()> {
    let options = StoreOptions::new(database_url(&config.database)?, Arc::new(NoKey));
    let store = SqlStore::open(options).await.context("database: it cannot be opened")?;
    let pending = store.pending_migrations().await.context("database")?;
    let holds_secrets = !is_new(&pending) && store.tenant_count().await.context("database")? > 0;
    store.close().await.context("database")?;
    if holds_secrets {
        anyhow::bail!(
            "key_file {} is missing, and this database holds secrets that it opens: put back the one it was made with",
            config.key_file.display()
        );
    }
    Ok(())
}

/// A vault that opens nothing.
struct NoKey;

impl SecretVault for NoKey {
    fn seal(&self, _label: &str, _secret: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn open(&self, _label: &str, _sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        Err(VaultError)
    }
}

/// The URL as the storage takes it. An SQLite file and its folder are made where they are missing.
fn database_url(configured: &str) -> anyhow::Result<String> {
    let Some(file) = hookgraph_storage::sqlite_file(configured) else { return Ok(configured.to_owned()) };
    make_parent(&file).context("database: its folder cannot be made")?;
    let url = if configured.contains('?') { configured.to_owned() } else { format!("{configured}?mode=rwc") };
    if url.contains("mode=rwc") {
        make_private(&file).with_context(|| format!("database: {} cannot be made", file.display()))?;
    }
    Ok(url)
}

/// Makes the file of a database that is not there yet, for its owner alone, because payloads are in it as they are.
/// SQLite gives the files beside it the same mode. An existing file is not even opened: closing it would drop SQLite's
/// own locks.
fn make_private(file: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    // The file is made where a link leads, because `create_new` follows no link.
    match options.open(only_one::place_of(file)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn make_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => std::fs::create_dir_all(parent),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_new, migrate, open_store, open_with_vault, shown_database};
    use crate::config::{Config, Layers};
    use hookgraph_testkit::postgres::with_postgres;
    use std::path::Path;

    fn config(folder: &Path, database: &str) -> Config {
        let mut layers = Layers::defaults().unwrap();
        let key_file = folder.join("of/hookgraph.key").display().to_string();
        for (name, text) in [("database", database), ("key_file", &key_file)] {
            layers.lay_flag("test", name, text).unwrap();
        }
        Config::from_layers(&layers)
    }

    fn sqlite(folder: &Path, file: &str) -> Config {
        config(folder, &format!("sqlite://{}", folder.join(file).display()))
    }

    #[tokio::test]
    async fn a_command_makes_neither_a_database_nor_a_key_file() {
        let folder = tempfile::tempdir().unwrap();
        let config = sqlite(folder.path(), "data/hookgraph.db");
        let error = open_with_vault(&config).await.unwrap_err();
        assert!(error.to_string().starts_with("there is no database at sqlite://"), "{error:#}");
        assert!(error.to_string().ends_with("/data/hookgraph.db: `hookgraph serve` makes it"), "{error:#}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        migrate(&config).await.unwrap();
        open_store(&config).await.unwrap();
        std::fs::remove_file(&config.key_file).unwrap();
        let error = open_with_vault(&config).await.unwrap_err();
        assert!(error.to_string().starts_with("there is no key_file "), "{error:#}");
        assert!(!config.key_file.exists());
    }

    /// Opens twice, because the first opening makes no database either.
    async fn assert_no_database(config: &Config) {
        for _ in 0..2 {
            let error = open_with_vault(config).await.unwrap_err();
            assert!(error.to_string().starts_with("there is no database at "), "{error:#}");
        }
    }

    #[tokio::test]
    async fn what_no_server_has_filled_is_no_database() {
        let folder = tempfile::tempdir().unwrap();
        // The migration makes the key file.
        migrate(&sqlite(folder.path(), "hookgraph.db")).await.unwrap();
        std::fs::write(folder.path().join("empty.db"), "").unwrap();
        assert_no_database(&sqlite(folder.path(), "empty.db")).await;
        with_postgres(|url| async move { assert_no_database(&config(folder.path(), &url)).await }).await;
    }

    #[test]
    fn a_database_is_new_while_its_first_migration_is_pending_and_not_while_a_later_one_is() {
        let names = ["0001_baseline", "0002_more", "0003_most"].map(String::from);
        for (applied, expected) in [(0, true), (1, false), (2, false), (3, false)] {
            assert_eq!(is_new(&names[applied..]), expected, "{applied} are applied");
        }
    }

    #[test]
    fn a_database_is_named_without_its_password() {
        let shown = shown_database("postgres://me:hidden@db:5433/hookgraph?password=hidden");
        assert_eq!(shown, "postgres://me@db:5433/hookgraph");
        assert_eq!(shown_database("sqlite://data/A%20b.db?mode=rwc"), "sqlite://data/A%20b.db?mode=rwc");
        assert!(!shown_database("postgres://me:hidden@db:port/hookgraph").contains("hidden"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_database_is_made_for_its_owner_alone_and_left_as_it_is_where_it_is_there() {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let mode = |name: &str| std::fs::metadata(file(name)).unwrap().permissions().mode() & 0o777;
        std::os::unix::fs::symlink("behind.db", file("link.db")).unwrap();
        for (name, made) in [("hookgraph.db", "hookgraph.db"), ("link.db", "behind.db")] {
            let config = sqlite(folder.path(), name);
            migrate(&config).await.unwrap();
            let store = open_store(&config).await.unwrap();
            store.tenant_count().await.unwrap();
            assert_eq!((mode(made), mode(&format!("{made}-wal"))), (0o600, 0o600), "{name}");
        }
        std::fs::set_permissions(file("hookgraph.db"), Permissions::from_mode(0o640)).unwrap();
        migrate(&sqlite(folder.path(), "hookgraph.db")).await.unwrap();
        assert_eq!(mode("hookgraph.db"), 0o640);
    }
}
