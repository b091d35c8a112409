//! Answers of which a part failed. A nullable field that fails is null, the fields beside it stay, and the path of its
//! error leads to it: <https://spec.graphql.org/October2021/#sec-Handling-Field-Errors>. The executor itself nulls the
//! object of a failing resolver, whether the field is nullable or not, and shortens the path to the list that holds
//! both.
//!
//! The mutations after one that failed run all the same, so the changes under an idempotency key are numbered by field.

use crate::limits::ERRORS_MAX;
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextResolve, ResolveInfo};
use async_graphql::parser::types::{Field, Selection};
use async_graphql::{PathSegment, QueryPathNode, QueryPathSegment, Response, ServerError, ServerResult, Value};
use async_trait::async_trait;
use hookgraph_pim::PimContext;
use parking_lot::Mutex;
use std::sync::Arc;

/// Makes nullable fields that fail null, and gives errors the path of their field.
pub(crate) struct NullWhereFailed;

impl ExtensionFactory for NullWhereFailed {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Failures::default())
    }
}

/// The errors of one request until they are in its response.
#[derive(Default)]
struct Failures(Mutex<Failed>);

#[derive(Default)]
struct Failed {
    /// The errors of nullable fields.
    errors: Vec<ServerError>,
    /// Every error as it came up, with the path of its field.
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
    /// Notes an error with its path, unless it was noted beneath that path before, or [`ERRORS_MAX`] are noted.
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

/// Whether both may be one error on its way up, on which its path gets lost.
fn is_alike(one: &ServerError, other: &ServerError) -> bool {
    one.message == other.message && one.locations == other.locations
}

/// Notes the request's progress: it enters a namespace, or a field of one.
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

/// The response keys of a namespace's fields. The guard has merged them, so there are no fragments.
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
