//! Hints for names that a schema does not know, read off the messages of the validator and of the coercion.

use super::problems::nearest_name;
use apollo_compiler::Schema;
use apollo_compiler::schema::ExtendedType;

/// The longest list of an enum's values that a hint tells whole; of a longer list it tells the nearest value.
const VALUES_TOLD_MAX: usize = 12;

/// The beginning of the validator's own hint, at the end of a message.
const VALIDATORS_HINT: &str = " Did you mean \"";

/// The message of a wrong document with one hint at most, the validator's own or ours; without any unless `suggests`.
pub(super) fn hinted(schema: &Schema, mut message: String, suggests: bool) -> String {
    let validators = message.rfind(VALIDATORS_HINT).filter(|_| message.ends_with("\"?"));
    match (validators, suggests) {
        (Some(begin), false) => message.truncate(begin),
        (None, true) => {
            let hint = for_document(schema, &message);
            message.push_str(&hint.unwrap_or_default());
        }
        (Some(_), true) | (None, false) => {}
    }
    message
}

/// The hint for the message of a wrong document, if the schema has a name like the unknown one.
fn for_document(schema: &Schema, message: &str) -> Option<String> {
    let mut quoted = message.split('"').skip(1).step_by(2);
    let (asked, place) = (quoted.next()?, quoted.next()?);
    match place.split_once('.') {
        Some((type_name, field)) => for_argument(schema, asked, type_name, field),
        None => for_member(schema, asked, place),
    }
}

/// The hint for a name that is no field or value of the type, if the type has one like it.
pub(super) fn for_member(schema: &Schema, asked: &str, type_name: &str) -> Option<String> {
    let known: Vec<&str> = match schema.types.get(type_name)? {
        ExtendedType::Object(object) => object.fields.keys().map(|name| name.as_str()).collect(),
        ExtendedType::Interface(interface) => interface.fields.keys().map(|name| name.as_str()).collect(),
        ExtendedType::InputObject(input) => input.fields.keys().map(|name| name.as_str()).collect(),
        ExtendedType::Enum(wanted) => {
            let values: Vec<&str> = wanted.values.keys().map(|name| name.as_str()).collect();
            if values.len() <= VALUES_TOLD_MAX {
                return one_of(values);
            }
            values
        }
        ExtendedType::Scalar(_) | ExtendedType::Union(_) => return None,
    };
    did_you_mean(asked, known)
}

fn for_argument(schema: &Schema, asked: &str, type_name: &str, field: &str) -> Option<String> {
    let fields = match schema.types.get(type_name)? {
        ExtendedType::Object(object) => &object.fields,
        ExtendedType::Interface(interface) => &interface.fields,
        _ => return None,
    };
    did_you_mean(asked, fields.get(field)?.arguments.iter().map(|argument| argument.name.as_str()).collect())
}

fn did_you_mean(asked: &str, known: Vec<&str>) -> Option<String> {
    nearest_name(asked, known.into_iter()).map(|nearest| format!(" Did you mean \"{nearest}\"?"))
}

fn one_of(values: Vec<&str>) -> Option<String> {
    (!values.is_empty()).then(|| format!(" It is one of {}.", values.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{for_document, for_member, hinted};
    use apollo_compiler::Schema;

    #[test]
    fn what_is_like_an_unknown_name_is_told() {
        let sdl = "type Query { order(identifier: ID): Order } type Order { total: Int }
            enum Method { GET POST } input Customer { identifier: ID, method: Method }";
        let schema = Schema::parse_and_validate(sdl, "schema.graphql").unwrap();
        for (message, hint) in [
            (r#"Cannot query field "totel" on type "Order"."#, Some(r#" Did you mean "total"?"#)),
            (r#"Cannot query field "zzz" on type "Order"."#, None),
            (r#"Field "identifer" is not defined by type "Customer"."#, Some(r#" Did you mean "identifier"?"#)),
            (r#"Unknown argument "identifer" on field "Query.order"."#, Some(r#" Did you mean "identifier"?"#)),
            (r#"Value "HEAD" does not exist in "Method" enum."#, Some(" It is one of GET, POST.")),
            (r#"Variable "$n" is never used."#, None),
        ] {
            assert_eq!(for_document(&schema, message).as_deref(), hint, "{message}");
        }
        for (name, type_name, hint) in [
            ("HEAD", "Method", Some(" It is one of GET, POST.")),
            ("x", "Int", None),
            ("identifer", "Customer", Some(r#" Did you mean "identifier"?"#)),
            (&format!("identifier{}", "r".repeat(90)), "Customer", Some(r#" Did you mean "identifier"?"#)),
            (&format!("identifier{}", "r".repeat(91)), "Customer", None),
        ] {
            assert_eq!(for_member(&schema, name, type_name).as_deref(), hint, "{name}");
        }
        for (message, told, untold) in [
            (
                r#"Cannot query field "totel" on type "Order"."#,
                r#"Cannot query field "totel" on type "Order". Did you mean "total"?"#,
                r#"Cannot query field "totel" on type "Order"."#,
            ),
            (
                r#"Field "order" of type "Query" must have a selection of subfields. Did you mean "order { ... }"?"#,
                r#"Field "order" of type "Query" must have a selection of subfields. Did you mean "order { ... }"?"#,
                r#"Field "order" of type "Query" must have a selection of subfields."#,
            ),
        ] {
            assert_eq!(hinted(&schema, message.to_owned(), true), told);
            assert_eq!(hinted(&schema, message.to_owned(), false), untold);
        }
    }
}
