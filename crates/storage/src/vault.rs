//! The vault: secrets are sealed with XChaCha20-Poly1305 under a key of 32 random bytes that lies in a file of its own, so
//! that a copy of the database alone opens none of them.
//!
//! Sealed: one byte that names the key, 24 bytes of nonce, then the ciphertext. The label is authenticated with it.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hookgraph_domain::ports::{Entropy, SecretVault, VaultError};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Why there is no vault.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Others than its owner may read or write it.
    #[error("others may read the key file {}: run `chmod 600` on it", .0.display())]
    Exposed(PathBuf),
    /// It does not hold 32 bytes.
    #[error("the key file {} does not hold {KEY_BYTES} bytes", .0.display())]
    Malformed(PathBuf),
    /// It cannot be read or made.
    #[error("the key file {} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A vault whose key is the content of a file.
pub struct KeyFileVault {
    cipher: XChaCha20Poly1305,
    key_id: u8,
    entropy: Arc<dyn Entropy>,
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
        let key = read_key(path)?;
        let key_id = Sha256::digest(key)[0];
        Ok(Self { cipher: XChaCha20Poly1305::new(&Key::from(key)), key_id, entropy })
    }

    /// The vault of that key file; a missing one is made, with a new key, for its owner alone. Of two processes that make
    /// it at once, both get the same key.
    ///
    /// # Errors
    /// [`KeyFileError`], as [`KeyFileVault::open`].
    pub fn open_or_create(path: &Path, entropy: Arc<dyn Entropy>) -> Result<Self, KeyFileError> {
        if !path.exists() {
            let mut key = [0; KEY_BYTES];
            entropy.fill(&mut key);
            let mut suffix = [0; 8];
            entropy.fill(&mut suffix);
            create(path, &key, u64::from_le_bytes(suffix)).map_err(io_error(path))?;
        }
        Self::open(path, entropy)
    }
}

impl SecretVault for KeyFileVault {
    fn seal(&self, label: &str, secret: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        let payload = Payload { msg: secret, aad: label.as_bytes() };
        let ciphertext =
            self.cipher.encrypt(&XNonce::from(nonce), payload).expect("a secret is far below the cipher's 256 GiB");
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + ciphertext.len());
        sealed.push(self.key_id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    fn open(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (key_id, rest) = sealed.split_first().ok_or(VaultError)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(VaultError)?;
        if *key_id != self.key_id {
            return Err(VaultError);
        }
        let payload = Payload { msg: ciphertext, aad: label.as_bytes() };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| VaultError)
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { path, source }
}

fn read_key(path: &Path) -> Result<[u8; KEY_BYTES], KeyFileError> {
    let mut file = File::open(path).map_err(io_error(path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(io_error(path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed(path.to_owned()));
        }
    }
    let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
    Read::by_ref(&mut file).take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
    bytes.try_into().map_err(|_| KeyFileError::Malformed(path.to_owned()))
}

/// The whole file appears at once under its name, or not at all: a crash leaves no half key, a race one winner.
fn create(path: &Path, key: &[u8; KEY_BYTES], suffix: u64) -> io::Result<()> {
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
    let written = file.write_all(key).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| match fs::hard_link(&unfinished, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    fs::remove_file(&unfinished)?;
    linked?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
