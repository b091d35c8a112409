//! The vault: secrets are sealed with XChaCha20-Poly1305 under keys of 32 random bytes that lie in a file of their own,
//! so that a copy of the database alone opens none of them.
//!
//! Sealed: one byte that names the key, 24 bytes of nonce, then the ciphertext. The label is authenticated with it.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hookgraph_domain::ports::{Entropy, SecretVault, VaultError};
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::limits::KEYS_MAX;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Why there is no vault.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Others than its owner may read or write it.
    #[error("others may read the key file {}: run `chmod 600` on it", .0.display())]
    Exposed(PathBuf),
    /// It does not hold keys of 32 bytes.
    #[error("the key file {} does not hold 1 to {KEYS_MAX} keys of {KEY_BYTES} bytes", .0.display())]
    Malformed(PathBuf),
    /// It holds as many keys as it may.
    #[error("the key file {} holds {KEYS_MAX} keys: run `hookgraph keys prune` first", .0.display())]
    Full(PathBuf),
    /// It cannot be read or made.
    #[error("the key file {} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A vault whose keys are the content of a file: a ring, of which the last key seals and every key opens.
///
/// The file is looked at before each seal, and read again when it has changed or when a key is not known, so that a
/// process that runs follows a rotation.
pub struct KeyFileVault {
    path: PathBuf,
    ring: RwLock<Ring>,
    entropy: Arc<dyn Entropy>,
}

/// The keys of a file as it was at a time.
struct Ring {
    ciphers: Vec<(u8, XChaCha20Poly1305)>,
    read_of: Option<(SystemTime, u64)>,
}

impl std::fmt::Debug for KeyFileVault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyFileVault")
    }
}

impl KeyFileVault {
    /// The vault of that key file, which must exist.
    ///
    /// # Errors
    /// [`KeyFileError`], also when others than its owner may read the file.
    pub fn open(path: &Path, entropy: Arc<dyn Entropy>) -> Result<Self, KeyFileError> {
        let ring = RwLock::new(Ring::read(path)?);
        Ok(Self { path: path.to_owned(), ring, entropy })
    }

    /// The vault of that key file; a missing one is made, with a new key, for its owner alone. Of two processes that
    /// make it at once, both get the same key.
    ///
    /// # Errors
    /// [`KeyFileError`], as [`KeyFileVault::open`].
    pub fn open_or_create(path: &Path, entropy: Arc<dyn Entropy>) -> Result<Self, KeyFileError> {
        if !path.exists() {
            let mut key = [0; KEY_BYTES];
            entropy.fill(&mut key);
            create(path, &key, suffix(entropy.as_ref())).map_err(io_error(path))?;
        }
        Self::open(path, entropy)
    }

    /// Adds a new key to the file, which seals from then on, and answers its id.
    ///
    /// # Errors
    /// [`KeyFileError`]; then the file is as it was.
    pub fn add_key(&self) -> Result<u8, KeyFileError> {
        let mut keys = read_keys(&self.path)?;
        if keys.len() >= KEYS_MAX {
            return Err(KeyFileError::Full(self.path.clone()));
        }
        let mut key = [0; KEY_BYTES];
        loop {
            self.entropy.fill(&mut key);
            // An id is one byte: that of no other key.
            if keys.iter().all(|known| id_of(known) != id_of(&key)) {
                break;
            }
        }
        keys.push(key);
        self.write(&keys)?;
        Ok(id_of(&key))
    }

    /// Takes every key but those out of the file; the one that seals stays. Answers the ids of those that went.
    ///
    /// # Errors
    /// [`KeyFileError`]; then the file is as it was.
    pub fn keep_keys(&self, ids: &[u8]) -> Result<Vec<u8>, KeyFileError> {
        let keys = read_keys(&self.path)?;
        let current = keys.last().map(id_of);
        let (kept, gone): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| ids.contains(&id_of(key)) || Some(id_of(key)) == current);
        if !gone.is_empty() {
            self.write(&kept)?;
        }
        Ok(gone.iter().map(id_of).collect())
    }

    /// The ids of the keys, the one that seals last.
    pub fn key_ids(&self) -> Vec<u8> {
        self.ring.read().ciphers.iter().map(|(id, _)| *id).collect()
    }

    fn write(&self, keys: &[[u8; KEY_BYTES]]) -> Result<(), KeyFileError> {
        replace(&self.path, &keys.concat(), suffix(self.entropy.as_ref())).map_err(io_error(&self.path))?;
        self.read_again()
    }

    fn read_again(&self) -> Result<(), KeyFileError> {
        let ring = Ring::read(&self.path)?;
        *self.ring.write() = ring;
        Ok(())
    }

    /// Follows a file that another process has changed. One that cannot be read leaves the keys as they are known.
    fn follow(&self) {
        let now = stamp(&self.path);
        if now.is_some() && now != self.ring.read().read_of {
            // A file that is no ring is reported by whoever starts on it.
            let _ = self.read_again();
        }
    }

    fn opened(&self, label: &str, key_id: u8, nonce: &[u8; NONCE_BYTES], ciphertext: &[u8]) -> Option<Vec<u8>> {
        let ring = self.ring.read();
        let (_, cipher) = ring.ciphers.iter().find(|(id, _)| *id == key_id)?;
        cipher.decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: label.as_bytes() }).ok()
    }
}

impl Ring {
    fn read(path: &Path) -> Result<Self, KeyFileError> {
        // Before the keys: a change in between is seen as one.
        let read_of = stamp(path);
        let keys = read_keys(path)?;
        let ciphers = keys.iter().map(|key| (id_of(key), XChaCha20Poly1305::new(&Key::from(*key))));
        Ok(Self { ciphers: ciphers.collect(), read_of })
    }
}

impl SecretVault for KeyFileVault {
    fn seal(&self, label: &str, secret: &[u8]) -> Vec<u8> {
        self.follow();
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        let payload = Payload { msg: secret, aad: label.as_bytes() };
        let ring = self.ring.read();
        let (key_id, cipher) = ring.ciphers.last().expect("a ring is never read without a key");
        let ciphertext =
            cipher.encrypt(&XNonce::from(nonce), payload).expect("a secret is far below the cipher's 256 GiB");
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + ciphertext.len());
        sealed.push(*key_id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    fn open(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (key_id, rest) = sealed.split_first().ok_or(VaultError)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError)?;
        if !self.ring.read().ciphers.iter().any(|(id, _)| id == key_id) {
            self.follow();
        }
        self.opened(label, *key_id, nonce, ciphertext).ok_or(VaultError)
    }
}

/// The key's id: the first byte of its SHA-256.
fn id_of(key: &[u8; KEY_BYTES]) -> u8 {
    Sha256::digest(key)[0]
}

fn suffix(entropy: &dyn Entropy) -> u64 {
    let mut suffix = [0; 8];
    entropy.fill(&mut suffix);
    u64::from_le_bytes(suffix)
}

/// By what a change of the file is seen.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { path, source }
}

fn read_keys(path: &Path) -> Result<Vec<[u8; KEY_BYTES]>, KeyFileError> {
    let mut file = File::open(path).map_err(io_error(path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(io_error(path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed(path.to_owned()));
        }
    }
    let mut bytes = Vec::with_capacity(KEY_BYTES * KEYS_MAX + 1);
    let bytes_max = (KEY_BYTES * KEYS_MAX) as u64;
    Read::by_ref(&mut file).take(bytes_max + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
    let (keys, rest) = bytes.as_chunks::<KEY_BYTES>();
    if keys.is_empty() || keys.len() > KEYS_MAX || !rest.is_empty() {
        return Err(KeyFileError::Malformed(path.to_owned()));
    }
    Ok(keys.to_vec())
}

/// The whole file appears at once under its name, or not at all: a crash leaves no half key, a race one winner.
fn create(path: &Path, key: &[u8; KEY_BYTES], suffix: u64) -> io::Result<()> {
    let (unfinished, written) = write_beside(path, key, suffix)?;
    let linked = written.and_then(|()| match fs::hard_link(&unfinished, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    fs::remove_file(&unfinished)?;
    linked?;
    sync_directory(path)
}

/// The file has the old keys or the new ones, whenever a crash comes.
fn replace(path: &Path, keys: &[u8], suffix: u64) -> io::Result<()> {
    let (unfinished, written) = write_beside(path, keys, suffix)?;
    if let Err(error) = written.and_then(|()| fs::rename(&unfinished, path)) {
        fs::remove_file(&unfinished)?;
        return Err(error);
    }
    sync_directory(path)
}

/// Writes a file beside that one, for its owner alone.
fn write_beside(path: &Path, bytes: &[u8], suffix: u64) -> io::Result<(PathBuf, io::Result<()>)> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{suffix:016x}"));
    let unfinished = PathBuf::from(unfinished);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&unfinished)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    Ok((unfinished, written))
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
