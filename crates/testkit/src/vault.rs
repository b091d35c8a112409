//! A vault into which a test can look, and whose sealed bytes still differ from the secret.

use hookgraph_domain::ports::{SecretVault, VaultError};

/// Turns every bit and keeps the label beside it: sealing hides nothing, but a secret that moved to another row does
/// not open.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainVault;

impl SecretVault for PlainVault {
    fn seal(&self, label: &str, secret: &[u8]) -> Vec<u8> {
        let mut sealed = label.as_bytes().to_vec();
        sealed.push(0);
        sealed.extend(secret.iter().map(|byte| !byte));
        sealed
    }

    fn open(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let rest = sealed.strip_prefix(label.as_bytes()).ok_or(VaultError)?;
        let secret = rest.strip_prefix(&[0]).ok_or(VaultError)?;
        Ok(secret.iter().map(|byte| !byte).collect())
    }
}
