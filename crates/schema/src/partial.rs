//! Answers of which a part failed. A field that may be null is null where it fails, and what stands beside it stays, as the
//! specification says: <https://spec.graphql.org/October2021/#sec-Handling-Field-Errors>. The executor does so by itself for what
//! a resolver's value comes to, but not for a resolver that fails: that error nulls the object that the field is of.

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextResolve, ResolveInfo,
};
use async_graphql::{Response, ServerError, ServerResult, Value};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::sync::Arc;

/// Makes nullable fields that fail null.
pub(crate) struct NullWhereFailed;

impl ExtensionFactory for NullWhereFailed {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Failed::default())
    }
}

/// The errors of one request's nullable fields, as long as they are not in its response.
#[derive(Default)]
struct Failed(Mutex<Vec<ServerError>>);

#[async_trait]
impl Extension for Failed {
    async fn execute(&self, ctx: &ExtensionContext<'_>, name: Option<&str>, next: NextExecute<'_>) -> Response {
        let mut response = next.run(ctx, name).await;
        response.errors.append(&mut self.0.lock());
        response
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let is_nullable = !info.return_type.ends_with('!');
        match next.run(ctx, info).await {
            Err(error) if is_nullable => {
                self.0.lock().push(error);
                Ok(None)
            }
            answer => answer,
        }
    }
}
