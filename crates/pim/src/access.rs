//! Access: nothing is read or written without a value that proves the permission for it.
//!
//! A [`Readable`] is the only way from a resolver to the loaders, and a [`Permitted`] the only way past a draft's typed
//! writes. Both are made from the caller's permissions; only the decisions of a draft read without
//! ([`Readable::deciding`]).

use crate::loaders::{Loaders, ReadError};
use crate::stored::{RecordBody, Stored};
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::record::RecordKind;
use hookgraph_domain::refusal::Refusal;
use std::marker::PhantomData;

/// The proof that the caller has a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permitted(Permission);

/// The caller lacks a permission. It has no `Display`, so that no resolver turns it into an error without its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPermitted(pub(crate) Permission);

impl Permitted {
    /// The proof, if the set allows it.
    ///
    /// # Errors
    /// [`NotPermitted`], which names the permission.
    pub fn by(held: PermissionSet, permission: Permission) -> Result<Self, NotPermitted> {
        if held.allows(permission) { Ok(Self(permission)) } else { Err(NotPermitted(permission)) }
    }

    /// The permission that is proven.
    pub fn permission(self) -> Permission {
        self.0
    }
}

impl From<NotPermitted> for Refusal {
    fn from(NotPermitted(permission): NotPermitted) -> Self {
        Refusal::forbidden(permission)
    }
}

impl From<NotPermitted> for ReadError {
    fn from(NotPermitted(permission): NotPermitted) -> Self {
        ReadError::Forbidden(permission)
    }
}

/// The permission to read records of a kind.
pub(crate) const fn to_read(kind: RecordKind) -> Permission {
    match kind {
        RecordKind::Item => Permission::ItemsRead,
        RecordKind::Topic => Permission::TopicsRead,
        RecordKind::Grid => Permission::GridsRead,
        RecordKind::Order => Permission::OrdersRead,
        RecordKind::Pipeline => Permission::PipelinesRead,
        RecordKind::Flow => Permission::FlowsRead,
        RecordKind::Customer => Permission::CustomersRead,
        RecordKind::PriceList => Permission::PriceListsRead,
        RecordKind::Market => Permission::MarketsRead,
        RecordKind::SubscriptionContract => Permission::SubscriptionContractsRead,
    }
}

/// The permission to change records of a kind.
pub(crate) const fn to_write(kind: RecordKind) -> Permission {
    match kind {
        RecordKind::Item => Permission::ItemsWrite,
        RecordKind::Topic => Permission::TopicsWrite,
        RecordKind::Grid => Permission::GridsWrite,
        RecordKind::Order => Permission::OrdersWrite,
        RecordKind::Pipeline => Permission::PipelinesWrite,
        RecordKind::Flow => Permission::FlowsWrite,
        RecordKind::Customer => Permission::CustomersWrite,
        RecordKind::PriceList => Permission::PriceListsWrite,
        RecordKind::Market => Permission::MarketsWrite,
        RecordKind::SubscriptionContract => Permission::SubscriptionContractsWrite,
    }
}

/// The proof that records of `B`'s kind may be read, and the way to read them.
pub(crate) struct Readable<'a, B> {
    loaders: &'a Loaders,
    body: PhantomData<fn() -> B>,
}

impl<B> Clone for Readable<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Readable<'_, B> {}

impl<'a, B: RecordBody> Readable<'a, B> {
    /// The handle, if the set allows it.
    pub fn by(held: PermissionSet, loaders: &'a Loaders) -> Result<Self, NotPermitted> {
        Permitted::by(held, to_read(B::KIND)).map(|_| Self { loaders, body: PhantomData })
    }

    /// A handle for the decisions of a draft: records that it reads are shown to nobody.
    pub fn deciding(loaders: &'a Loaders) -> Self {
        Self { loaders, body: PhantomData }
    }

    /// The record of that key, with its body read.
    pub async fn one(self, key: &str) -> Result<Option<Stored<B>>, ReadError> {
        self.loaders.one(key).await
    }

    /// The record of that key, which must be there.
    pub async fn existing(self, key: &str) -> Result<Stored<B>, Refusal> {
        self.one(key).await?.ok_or_else(|| Refusal::not_found(B::KIND.as_str(), key))
    }

    /// The records that exist of those keys, in the order of the keys.
    pub async fn many(self, keys: &[String]) -> Result<Vec<Stored<B>>, ReadError> {
        self.loaders.many(keys).await
    }

    /// The record that bears that name.
    pub async fn named(self, scope: &'static str, value: &str) -> Result<Option<Stored<B>>, ReadError> {
        self.loaders.named(scope, value).await
    }

    /// The keys of the records that link to the target, by rank; at most [`crate::limits::LIST_MAX`].
    pub async fn linked_keys(self, relation: &'static str, target: &str) -> Result<Vec<String>, ReadError> {
        self.loaders.linked_keys::<B>(relation, target).await
    }

    /// The records that link to the target, by rank; at most [`crate::limits::LIST_MAX`].
    pub async fn linked(self, relation: &'static str, target: &str) -> Result<Vec<Stored<B>>, ReadError> {
        self.loaders.linked(relation, target).await
    }
}
