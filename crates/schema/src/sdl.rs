//! The SDL of a schema: sorted and indented with spaces, so that every run writes the same text.

use async_graphql::registry::SDLExportOptions;
use async_graphql::{ObjectType, Schema, SubscriptionType};

/// The SDL of a schema as it is committed, printed and served.
pub(crate) fn of<Q, M, S>(schema: &Schema<Q, M, S>) -> String
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by()
        .use_space_ident()
        .indent_width(2);
    let sdl = schema.sdl_with_options(options);
    let lines: Vec<&str> = sdl.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim())
}
