//! Access: the ways from a resolver of the management API to its data, each of them the proof of a permission.
//!
//! A [`May`] is made by [`ApiContext::may`] alone, and has the reads and writes of its permission alone: a resolver
//! that asks for none reaches nothing. The schema names the permissions of each field too, as `@requires`; [`needs`]
//! reads them.

mod commit;
pub(crate) mod needs;
mod reads;

#[cfg(test)]
mod tests;

pub(crate) use commit::Managed;

use crate::context::ApiContext;
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

/// The proof that the caller has the permission `P`, and the way to the reads and writes that it allows.
pub(crate) struct May<'a, P> {
    api: &'a ApiContext,
    loaders: &'a Loaders,
    permission: PhantomData<fn() -> P>,
}

impl<'a, P: Needed> May<'a, P> {
    /// The proof, if the caller has the permission; [`ApiContext::may`] makes it.
    pub fn by(api: &'a ApiContext, loaders: &'a Loaders) -> Result<Self, NotPermitted> {
        api.caller.permit(P::PERMISSION)?;
        Ok(Self { api, loaders, permission: PhantomData })
    }
}

impl<P> May<'_, P> {
    fn store(&self) -> &dyn Store {
        self.api.core.services.ports.store.as_ref()
    }
}
