//! Access: the ways from a resolver of the management API to its data, each the proof of a permission.
//!
//! [`May`] is made by [`Asked::may`] alone, and has the reads and writes of its permission alone: a resolver that asks for
//! none reaches nothing. What each field needs stands in the schema too, as `@requires`; [`needs`] reads that.

mod commit;
pub(crate) mod needs;
mod reads;

#[cfg(test)]
mod tests;

pub(crate) use commit::Managed;

use crate::context::Asked;
use crate::loaders::Loaders;
use hookgraph_domain::permission::Permission;
use hookgraph_domain::ports::Store;
use hookgraph_pim::NotPermitted;
use std::marker::PhantomData;

/// A permission as a type.
pub(crate) trait Needed {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! needed {
    ($($name:ident,)*) => {$(
        /// The permission of that name as a type.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name;

        impl Needed for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )*};
}

needed! {
    WebhooksRead, WebhooksWrite, DeliveriesRead, DeliveriesWrite, EventsRead, EventsWrite, SecretsWrite, TokensRead,
    TokensWrite, AuditRead,
}

/// The proof that the caller has the permission `P`, and the way to what it allows.
pub(crate) struct May<'a, P> {
    asked: &'a Asked,
    loaders: &'a Loaders,
    permission: PhantomData<fn() -> P>,
}

impl<'a, P: Needed> May<'a, P> {
    /// The proof; made by [`Asked::may`].
    pub fn by(asked: &'a Asked, loaders: &'a Loaders) -> Result<Self, NotPermitted> {
        asked.caller.permit(P::PERMISSION)?;
        Ok(Self { asked, loaders, permission: PhantomData })
    }
}

impl<P> May<'_, P> {
    fn store(&self) -> &dyn Store {
        self.asked.core.services.ports.store.as_ref()
    }
}
