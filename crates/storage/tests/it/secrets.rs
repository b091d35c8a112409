//! Secrets: sealed in every column, under a key file that nobody else may read.

use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::ports::{SecretVault, StoreError, TenantReader, UnitOfWork, VaultError, WebhookReader};
use hookgraph_domain::signing::OwnKeys;
use hookgraph_domain::tls::{TlsIdentity, TlsSettings};
use hookgraph_domain::webhook::Header;
use hookgraph_storage::vault::{KeyFileError, KeyFileVault};
use hookgraph_storage::{SqlStore, StoreOptions};
use hookgraph_testkit::{SeededEntropy, sample};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

fn tls() -> TlsSettings {
    let identity = TlsIdentity { certificate: "a certificate".to_owned(), key: "the client's key".to_owned() };
    TlsSettings { identity: Some(identity), ca_certificates: None }
}

fn vault(path: &Path, seed: u64) -> Result<KeyFileVault, KeyFileError> {
    KeyFileVault::open_or_create(path, Arc::new(SeededEntropy::new(seed)))
}

async fn store(directory: &Path, vault: KeyFileVault) -> SqlStore {
    let url = format!("sqlite://{}?mode=rwc", directory.join("hookgraph.db").display());
    let options = StoreOptions::new(url, Arc::new(vault));
    let store = SqlStore::open(options).await.unwrap();
    store.migrate().await.unwrap();
    store
}

#[tokio::test]
async fn no_file_of_the_database_holds_a_secret_in_the_clear() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path(), vault(&directory.path().join("key"), 1).unwrap()).await;
    let tenant_id = TenantId(Uuid::from_u128(1));
    let tenant = sample::tenant(tenant_id, "acme");
    let mut webhook = sample::webhook(WebhookId(Uuid::from_u128(2)), tenant_id);
    let (name, value) = ("authorization".to_owned(), "Bearer tops3cret".to_owned());
    webhook.headers = vec![Header { name, value, is_secret: false }];
    webhook.name = "findable".to_owned();
    webhook.own_keys = Some(OwnKeys { keys: sample::keys(9), until: None });
    webhook.tls = Some(Arc::new(tls()));
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(tenant.clone()));
    change.writes.push(Write::PutWebhook { webhook, expected: Expected::Absent });
    store.commit(change).await.unwrap();
    store.close().await.unwrap();

    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("hookgraph.db") {
            bytes.extend(std::fs::read(entry.path()).unwrap());
        }
    }
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("findable"), "the test looks where the rows are");
    assert!(!holds("tops3cret"));
    assert!(!holds(tenant.keys.secret.current.expose()));
    assert!(!holds(&tenant.keys.secret.current.expose()["whsec_".len()..]));
    assert!(!holds(&sample::keys(9).secret.current.expose()["whsec_".len()..]));
    assert!(!holds("the client's key"));
}

#[tokio::test]
async fn a_database_under_another_key_is_corrupt_and_not_guessed_at() {
    let directory = tempfile::tempdir().unwrap();
    let tenant_id = TenantId(Uuid::from_u128(1));
    let first = store(directory.path(), vault(&directory.path().join("key"), 1).unwrap()).await;
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(tenant_id, "acme")));
    first.commit(change).await.unwrap();
    first.close().await.unwrap();
    let second = store(directory.path(), vault(&directory.path().join("other"), 2).unwrap()).await;
    assert!(matches!(second.tenant(tenant_id).await, Err(StoreError::Corrupt(_))));
}

#[test]
fn a_key_file_is_made_once_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let sealed = vault(&path, 1).unwrap().seal("a", b"secret");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(vault(&path, 2).unwrap().open("a", &sealed).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing unfinished is left");
}

#[test]
fn what_was_moved_changed_or_cut_does_not_open() {
    let directory = tempfile::tempdir().unwrap();
    let vault = vault(&directory.path().join("key"), 1).unwrap();
    let sealed = vault.seal("tenant/1", b"secret");
    assert_eq!(vault.open("tenant/2", &sealed), Err(VaultError));
    assert_eq!(vault.open("tenant/1", &sealed[..20]), Err(VaultError));
    assert_eq!(vault.open("tenant/1", &[]), Err(VaultError));
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(vault.open("tenant/1", &changed), Err(VaultError), "byte {place}");
    }
    assert_ne!(vault.seal("tenant/1", b"secret"), sealed, "every seal has a nonce of its own");
}

#[test]
fn a_key_file_that_others_may_read_or_of_another_length_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    vault(&path, 1).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(vault(&path, 1), Err(KeyFileError::Exposed(_))));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, [0; 31]).unwrap();
    assert!(matches!(vault(&path, 1), Err(KeyFileError::Malformed(_))));
}

#[tokio::test]
async fn after_a_rotation_everything_is_sealed_by_the_new_key_and_the_old_one_can_go() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let running = store(directory.path(), vault(&path, 1).unwrap()).await;
    let (first, second) = (TenantId(Uuid::from_u128(1)), TenantId(Uuid::from_u128(2)));
    let mut webhook = sample::webhook(WebhookId(Uuid::from_u128(3)), first);
    webhook.own_keys = Some(OwnKeys { keys: sample::keys(9), until: None });
    webhook.tls = Some(Arc::new(tls()));
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(first, "acme")));
    change.writes.push(Write::PutWebhook { webhook: webhook.clone(), expected: Expected::Absent });
    running.commit(change).await.unwrap();

    let rotating = vault(&path, 2).unwrap();
    let old_id = rotating.key_ids()[0];
    let new_id = rotating.add_key().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // The process that runs follows: what it seals now is sealed by the new key.
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(second, "other")));
    running.commit(change).await.unwrap();
    assert_eq!(running.sealed_by().await.unwrap(), [(old_id, 4), (new_id, 1)].into());

    let other = store(directory.path(), vault(&path, 3).unwrap()).await;
    assert_eq!(other.reseal().await.unwrap(), 4);
    assert_eq!(other.reseal().await.unwrap(), 0, "a further run finds nothing to do");
    assert_eq!(running.sealed_by().await.unwrap(), [(new_id, 5)].into());
    assert_eq!(rotating.keep_keys(&[new_id]).unwrap(), [old_id]);
    let fresh = store(directory.path(), vault(&path, 4).unwrap()).await;
    for store in [running, other, fresh] {
        assert_eq!(store.webhooks(first, &[webhook.id]).await.unwrap(), [webhook.clone()]);
        for id in [first, second] {
            assert_eq!(store.tenant(id).await.unwrap().unwrap().keys, sample::tenant(id, "x").keys);
        }
    }
}

#[test]
fn a_key_file_holds_a_bounded_number_of_keys_and_never_loses_the_one_that_seals() {
    let directory = tempfile::tempdir().unwrap();
    let ring = vault(&directory.path().join("key"), 1).unwrap();
    let sealed = ring.seal("a", b"secret");
    for _ in 1..hookgraph_storage::limits::KEYS_MAX {
        ring.add_key().unwrap();
    }
    assert!(matches!(ring.add_key(), Err(KeyFileError::Full(_))));
    assert_eq!(ring.open("a", &sealed).unwrap(), b"secret");
    let current = *ring.key_ids().last().unwrap();
    ring.keep_keys(&[]).unwrap();
    assert_eq!(ring.key_ids(), [current]);
    assert_eq!(ring.open("a", &sealed), Err(VaultError));
}
