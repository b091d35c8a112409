//! Tenants, and the task of copying one.

use crate::delivery::Signer;
use crate::ids::{CopyTaskId, TenantId};
use crate::signing::SigningKeys;
use crate::time::Timestamp;

/// The owner of records, webhooks, events and deliveries.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its identifier, unique on this server: lower-case letters, digits and dashes.
    pub identifier: String,
    /// The language of events whose mutation names none, e.g. `en`.
    pub default_language: String,
    /// The JSON text of the rest (name, languages, VAT types …): `pim`'s.
    pub body: String,
    /// What its requests are signed with, but for webhooks that have keys of their own.
    pub keys: SigningKeys,
    /// 1 when created, one more with every write.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Tenant {
    /// In whose name requests are signed.
    pub fn signer(self) -> Signer {
        Signer { tenant_id: self.id, tenant_identifier: self.identifier, keys: self.keys }
    }
}

/// Where a tenant copy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CopyState {
    /// Records are being copied.
    Running,
    /// All is copied.
    Finished,
    /// It ended without the whole: `error` says why.
    Failed,
}

impl CopyState {
    /// The name in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            CopyState::Running => "RUNNING",
            CopyState::Finished => "FINISHED",
            CopyState::Failed => "FAILED",
        }
    }

    /// The state of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Running, Self::Finished, Self::Failed].into_iter().find(|state| state.as_str() == name)
    }
}

/// A tenant copy: a durable row that a loop advances in batches, so that a crash costs the last batch at most.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyTask {
    /// Its id.
    pub id: CopyTaskId,
    /// The tenant that is copied.
    pub source_tenant_id: TenantId,
    /// The identifier of the copy.
    pub target_identifier: String,
    /// The copy, once it exists.
    pub target_tenant_id: Option<TenantId>,
    /// Where it stands.
    pub state: CopyState,
    /// The JSON text of what was asked for and how far it got: `pim`'s.
    pub body: String,
    /// Why it failed.
    pub error: Option<String>,
    /// Who asked.
    pub user_id: Option<String>,
    /// 1 when created, one more with every write.
    pub version: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
}
