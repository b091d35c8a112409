//! One server for each SQLite file: its queue is one process's, and two with different settings would each send with
//! theirs.

use anyhow::{Context, bail};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Takes the place of the server of that database, for as long as what it returns is kept; none where several may
/// serve.
///
/// # Errors
/// When another server has it.
pub fn of_database(database: &str) -> anyhow::Result<Option<File>> {
    let Some(path) = lock_path(database) else { return Ok(None) };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("database: {} cannot be made", folder.display()))?;
    }
    let file = File::create(&path).with_context(|| format!("database: {} cannot be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => bail!(
            "database: another server serves {database}: one SQLite file is for one server, PostgreSQL is for more"
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("database: {} cannot be locked", path.display()))
        }
    }
}

/// Beside the database, never the database itself: closing a second handle of that file would drop SQLite's own locks.
fn lock_path(database: &str) -> Option<PathBuf> {
    let path = place_of(&hookgraph_storage::sqlite_file(database)?);
    let mut name = path.file_name()?.to_owned();
    name.push(".serving");
    Some(path.with_file_name(name))
}

/// One file has one place, whatever links lead to it, also where it is not there yet.
pub fn place_of(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        if let Ok(place) = path.canonicalize() {
            return place;
        }
        let Ok(target) = path.read_link() else { break };
        // From where the link stands; an absolute target stands by itself.
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// Links to a file that is not there yet that are followed, one after the other: as many as Linux does.
const LINKS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::of_database;

    #[test]
    fn a_second_server_on_one_file_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}/hookgraph.db?mode=rwc", folder.path().display());
        let first = of_database(&database).unwrap();
        assert!(first.is_some());
        assert!(of_database(&database).unwrap_err().to_string().contains("another server serves"));
        drop(first);
        assert!(of_database(&database).unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_leads_to_the_same_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("hookgraph.db"), "").unwrap();
        std::os::unix::fs::symlink(file("hookgraph.db"), file("link.db")).unwrap();
        let _first = of_database(&format!("sqlite://{}", file("hookgraph.db").display())).unwrap();
        assert!(of_database(&format!("sqlite://{}", file("link.db").display())).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_file_that_is_not_there_yet_leads_to_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("later.db", file("link.db")).unwrap();
        std::os::unix::fs::symlink(file("link.db"), file("second.db")).unwrap();
        std::os::unix::fs::symlink("round.db", file("round.db")).unwrap();
        let _first = of_database(&format!("sqlite://{}", file("second.db").display())).unwrap();
        assert!(of_database(&format!("sqlite://{}", file("later.db").display())).is_err());
        assert!(of_database(&format!("sqlite://{}", file("round.db").display())).unwrap().is_some());
    }

    #[test]
    fn several_may_serve_one_postgresql_and_each_its_own_memory() {
        assert!(of_database("postgres://user@127.0.0.1/name").unwrap().is_none());
        assert!(of_database("sqlite::memory:").unwrap().is_none());
    }
}
