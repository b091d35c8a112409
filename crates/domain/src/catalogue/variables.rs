//! Which type a payload query may give to a variable that its event declares.

use super::{Variable, VariableType};

/// Whether a document's variable can take what the event supplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It can: the same type or a looser one; `ID` and `String` are interchangeable.
    Fits,
    /// It is another type.
    OtherType,
    /// The document asks for a value always, the event does not always have one.
    MayBeNull,
}

/// Judges a document's variable that is no list: `type_name` is its type without the `!`, `is_non_null` whether it has one.
pub fn fit(variable: &Variable, type_name: &str, is_non_null: bool) -> Fit {
    let is_text = |name: &str| name == VariableType::Id.as_str() || name == VariableType::String.as_str();
    let declared = variable.variable_type.as_str();
    if declared != type_name && !(is_text(declared) && is_text(type_name)) {
        Fit::OtherType
    } else if is_non_null && !variable.is_required {
        Fit::MayBeNull
    } else {
        Fit::Fits
    }
}

#[cfg(test)]
mod tests {
    use super::{Fit, fit};
    use crate::catalogue::find;

    #[test]
    fn the_same_and_a_looser_type_fit_and_id_and_string_are_interchangeable() {
        let item = find("items", "create").unwrap();
        for (name, type_name, is_non_null, expected) in [
            ("id", "ID", true, Fit::Fits),
            ("id", "ID", false, Fit::Fits),
            ("id", "String", true, Fit::Fits),
            ("language", "ID", true, Fit::Fits),
            ("language", "Int", true, Fit::OtherType),
            ("type", "ItemType", true, Fit::Fits),
            ("type", "String", false, Fit::OtherType),
            ("id", "ItemType", false, Fit::OtherType),
            ("userId", "ID", true, Fit::MayBeNull),
            ("userId", "String", false, Fit::Fits),
        ] {
            assert_eq!(fit(item.variable(name).unwrap(), type_name, is_non_null), expected, "{name}: {type_name}");
        }
    }
}
