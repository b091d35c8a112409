//! Permissions in the API: their names, and the directive by which a field names the permissions that it needs.

use async_graphql::{Enum, TypeDirective};
use hookgraph_domain::permission::Permission;

macro_rules! named {
    ($($variant:ident $name:literal $meaning:tt;)*) => {
        /// What a token, and a payload query, may read and change. Who may write a noun may read it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
        #[graphql(name = "Permission", remote = "Permission")]
        pub enum PermissionName {
            $(#[doc = $meaning] $variant,)*
        }
    };
}
hookgraph_domain::for_each_permission!(named);

/// The permission without which a field is refused. A field without it is open to every token, or shows what the field above
/// it has read.
#[TypeDirective(location = "FieldDefinition", repeatable)]
pub fn requires(permission: PermissionName) {}
