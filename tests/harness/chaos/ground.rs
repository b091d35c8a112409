//! The ground on which the processes run: a database for one case, and the means to trouble it.

use super::proxy::Proxy;
use crate::Installation;
use anyhow::{Context, ensure};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;

/// The size of the disk that is filled, in MiB.
const SMALL_DISK_MIB: u32 = 48;

/// A durable PostgreSQL for one case.
pub struct Instance {
    directory: TempDir,
    /// The administrator's URL.
    pub url: String,
}

async fn script(arguments: &[&str]) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres.sh");
    let output = Command::new(path).args(arguments).output().await?;
    ensure!(output.status.success(), "postgres.sh {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A connection of an administrator.
///
/// # Errors
/// Where the database does not answer.
pub async fn connect(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    Ok(sea_orm::Database::connect(options).await?)
}

impl Instance {
    /// Starts a PostgreSQL.
    ///
    /// # Errors
    /// Where PostgreSQL is missing or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
        let data = directory.path().join("postgres");
        let url = script(&["start", data.to_str().context("a path")?, "--durable"]).await?;
        Ok(Self { directory, url })
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("postgres")
    }

    /// Whether PostgreSQL has told of a full disk.
    ///
    /// # Errors
    /// Where its log cannot be read.
    pub fn has_told_of_a_full_disk(&self) -> std::io::Result<bool> {
        Ok(std::fs::read_to_string(self.data().join("server.log"))?.contains("No space left on device"))
    }

    /// Ends PostgreSQL without a word, and starts it again on the same port.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn restart(&self) -> anyhow::Result<()> {
        script(&["restart", self.data().to_str().context("a path")?]).await.map(|_| ())
    }

    /// Makes a database, in a tablespace where one is named, and answers its URL.
    ///
    /// # Errors
    /// Where PostgreSQL refuses.
    pub async fn database(&self, tablespace: Option<&Path>) -> anyhow::Result<String> {
        let admin = connect(&self.url).await?;
        let mut place = String::new();
        if let Some(path) = tablespace {
            admin.execute_unprepared(&format!("CREATE TABLESPACE small LOCATION '{}'", path.display())).await?;
            place = " TABLESPACE small".to_owned();
        }
        admin.execute_unprepared(&format!("CREATE DATABASE chaos{place}")).await?;
        let (server, _) = self.url.rsplit_once('/').context("a URL")?;
        Ok(format!("{server}/chaos"))
    }

    /// Ends every connection to the case's database.
    ///
    /// # Errors
    /// Where PostgreSQL refuses.
    pub async fn kill_backends(&self, admin: &DatabaseConnection) -> anyhow::Result<()> {
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'chaos'";
        admin.execute_unprepared(cut).await?;
        Ok(())
    }

    /// A small disk for one database; none where this user may not mount one.
    ///
    /// # Errors
    /// Where it cannot be handed to the server's user.
    pub async fn small_disk(&self) -> anyhow::Result<Option<SmallDisk>> {
        let path = self.data().join("small");
        std::fs::create_dir(&path)?;
        let size = format!("size={SMALL_DISK_MIB}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output().await;
        if !mounted.is_ok_and(|output| output.status.success()) {
            return Ok(None);
        }
        let disk = SmallDisk { path };
        std::fs::create_dir(disk.tablespace())?;
        let owner = format!("--reference={}", self.data().join("data").display());
        let handed = Command::new("chown").arg(owner).arg(disk.tablespace()).status().await?;
        ensure!(handed.success(), "the disk cannot be handed to the server's user");
        Ok(Some(disk))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres.sh");
        // A failure to stop fails no test: the test has ended.
        let _ = std::process::Command::new(path).arg("stop").arg(self.data()).status();
    }
}

/// A disk that can be filled.
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// The folder of the database's files.
    pub fn tablespace(&self) -> PathBuf {
        self.path.join("space")
    }

    /// Fills the disk.
    ///
    /// # Errors
    /// Any but the one that is wanted.
    pub fn fill(&self) -> anyhow::Result<()> {
        use std::io::Write;
        let mut ballast = std::fs::File::create(self.path.join("ballast"))?;
        loop {
            match ballast.write_all(&[0; 64 * 1024]) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes room on the disk again.
    ///
    /// # Errors
    /// Where the ballast cannot be removed.
    pub fn empty(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.path.join("ballast"))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount waits for no one: the server may still have its files open.
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

/// The parts on which a case runs.
pub struct Ground {
    /// The installation of the processes.
    pub installation: Option<Installation>,
    /// The network to the database, where it can be cut.
    pub proxy: Option<Proxy>,
    /// The disk of the database, where it can be filled: it is unmounted before the instance's directory goes.
    pub disk: Option<SmallDisk>,
    /// The instance, where the database is PostgreSQL's.
    pub instance: Option<Instance>,
}

impl Ground {
    /// A ground on SQLite in a file.
    ///
    /// # Errors
    /// Where there is no room for a directory.
    pub fn sqlite() -> anyhow::Result<Self> {
        Ok(Self { installation: Some(Installation::on_sqlite()?), instance: None, proxy: None, disk: None })
    }

    /// A ground on a PostgreSQL of its own.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn postgres() -> anyhow::Result<Self> {
        let instance = Instance::start().await?;
        let url = instance.database(None).await?;
        let installation = Some(Installation::on_postgres(url)?);
        Ok(Self { installation, instance: Some(instance), proxy: None, disk: None })
    }

    /// A ground on a PostgreSQL behind a network that can be cut.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn behind_proxy() -> anyhow::Result<Self> {
        let instance = Instance::start().await?;
        let (url, proxy) = Proxy::of_database(&instance.database(None).await?).await?;
        let installation = Some(Installation::on_postgres(url)?);
        Ok(Self { installation, instance: Some(instance), proxy: Some(proxy), disk: None })
    }

    /// A ground on a PostgreSQL with a small disk; none where this user may not make one.
    ///
    /// # Errors
    /// Where it does not start.
    pub async fn on_small_disk() -> anyhow::Result<Option<Self>> {
        let instance = Instance::start().await?;
        let Some(disk) = instance.small_disk().await? else { return Ok(None) };
        let url = instance.database(Some(&disk.tablespace())).await?;
        let installation = Some(Installation::on_postgres(url)?);
        Ok(Some(Self { installation, instance: Some(instance), proxy: None, disk: Some(disk) }))
    }

    /// A connection of an administrator to the instance.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn admin(&self) -> anyhow::Result<DatabaseConnection> {
        connect(&self.instance()?.url).await
    }

    /// The URL of the case's database, past any proxy.
    ///
    /// # Errors
    /// Where the case has none.
    pub fn database_url(&self) -> anyhow::Result<String> {
        let (server, _) = self.instance()?.url.rsplit_once('/').context("a URL")?;
        Ok(format!("{server}/chaos"))
    }

    /// The PostgreSQL of the case.
    ///
    /// # Errors
    /// Where the case has none.
    pub fn instance(&self) -> anyhow::Result<&Instance> {
        self.instance.as_ref().context("an instance")
    }
}
