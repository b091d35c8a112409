//! Answers of which a part failed. A field that may be null is null where it fails, what stands beside it stays, and an error's path
//! leads to the field that failed: <https://spec.graphql.org/October2021/#sec-Handling-Field-Errors>. The executor nulls the object
//! that a failing resolver is of, whether the field may be null or not, and shortens the path to the list that both are in.
//!
//! What comes after a mutation that failed runs all the same, so the changes under an idempotency key go by their places.

use crate::limits::ERRORS_MAX;
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextResolve, ResolveInfo};
use async_graphql::parser::types::{Field, Selection};
use async_graphql::{PathSegment, QueryPathNode, QueryPathSegment, Response, ServerError, ServerResult, Value};
use async_trait::async_trait;
use hookgraph_pim::PimContext;
use parking_lot::Mutex;
use std::sync::Arc;

/// Makes nullable fields that fail null, and has errors say where they come from.
pub(crate) struct NullWhereFailed;

impl ExtensionFactory for NullWhereFailed {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Failures::default())
    }
}

/// What failed in one request, as long as it is not in its response.
#[derive(Default)]
struct Failures(Mutex<Failed>);

#[derive(Default)]
struct Failed {
    /// The errors of nullable fields.
    errors: Vec<ServerError>,
    /// Every error as it came up, where it did.
    origins: Vec<ServerError>,
}

#[async_trait]
impl Extension for Failures {
    async fn execute(&self, ctx: &ExtensionContext<'_>, name: Option<&str>, next: NextExecute<'_>) -> Response {
        let mut response = next.run(ctx, name).await;
        let mut failed = std::mem::take(&mut *self.0.lock());
        response.errors.append(&mut failed.errors);
        response.errors.truncate(ERRORS_MAX);
        for error in &mut response.errors {
            failed.restore_path(error);
        }
        response
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let is_nullable = !info.return_type.ends_with('!');
        let node = info.path_node;
        note_place(ctx, &info);
        let error = match next.run(ctx, info).await {
            Err(error) => error,
            answer => return answer,
        };
        let mut failed = self.0.lock();
        failed.note(&error, || path(node));
        if !is_nullable {
            return Err(error);
        }
        if failed.errors.len() < ERRORS_MAX {
            failed.errors.push(error);
        }
        Ok(Some(Value::Null))
    }
}

impl Failed {
    /// Notes an error that was not noted beneath that path, unless there are as many as are told.
    fn note(&mut self, error: &ServerError, path: impl FnOnce() -> Vec<PathSegment>) {
        if self.origins.len() >= ERRORS_MAX {
            return;
        }
        let path = path();
        let is_known = self.origins.iter().any(|origin| is_alike(origin, error) && origin.path.starts_with(&path));
        if !is_known {
            self.origins.push(ServerError { path, ..error.clone() });
        }
    }

    fn restore_path(&mut self, error: &mut ServerError) {
        let origin =
            self.origins.iter().position(|origin| is_alike(origin, error) && origin.path.starts_with(&error.path));
        if let Some(place) = origin {
            error.path = self.origins.swap_remove(place).path;
        }
    }
}

/// Whether it may be the same error on its way up, where the path gets lost.
fn is_alike(one: &ServerError, other: &ServerError) -> bool {
    one.message == other.message && one.locations == other.locations
}

/// Tells the request where it is: in a namespace, or in a field of one.
fn note_place(ctx: &ExtensionContext<'_>, info: &ResolveInfo<'_>) {
    let node = info.path_node;
    let Some(parent) = node.parent else {
        if let Some(pim) = ctx.data_opt::<Arc<PimContext>>() {
            pim.enters_namespace(|| names(info.field));
        }
        return;
    };
    if parent.parent.is_none()
        && let (Some(pim), QueryPathSegment::Name(name)) = (ctx.data_opt::<Arc<PimContext>>(), &node.segment)
    {
        pim.enters_field(name);
    }
}

/// The fields of a namespace, which the guard has merged: there are no fragments.
fn names(namespace: &Field) -> Vec<String> {
    let fields = namespace.selection_set.node.items.iter().filter_map(|selection| match &selection.node {
        Selection::Field(field) if field.node.name.node != "__typename" => Some(&field.node),
        _ => None,
    });
    fields.map(|field| field.response_key().node.to_string()).collect()
}

fn path(node: &QueryPathNode<'_>) -> Vec<PathSegment> {
    let mut path: Vec<_> = std::iter::once(node).chain(node.parents()).map(|node| segment(&node.segment)).collect();
    path.reverse();
    path
}

fn segment(segment: &QueryPathSegment<'_>) -> PathSegment {
    match segment {
        QueryPathSegment::Index(index) => PathSegment::Index(*index),
        QueryPathSegment::Name(name) => PathSegment::Field((*name).to_owned()),
    }
}
