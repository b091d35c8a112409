//! New ids of copied rows. Each is a hash of the task's id and the old id, so that every batch, and the same batch
//! after a crash, derives the same ids without a table of them.

use hookgraph_domain::ids::CopyTaskId;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use uuid::{Builder, Uuid, Variant, Version};

/// The new id for an old one. A time-ordered id (v7) keeps its time, so that copies sort as their originals do.
pub(super) fn new_id(task_id: CopyTaskId, old: Uuid) -> Uuid {
    let digest = Sha256::new().chain_update(task_id.0.as_bytes()).chain_update(old.as_bytes()).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    let mut version = Version::Custom;
    if old.get_version() == Some(Version::SortRand) {
        bytes[..6].copy_from_slice(&old.as_bytes()[..6]);
        version = Version::SortRand;
    }
    Builder::from_bytes(bytes).with_variant(Variant::RFC4122).with_version(version).into_uuid()
}

/// The id that a text spells in the form that this server writes: hyphenated and lower case.
pub(super) fn as_id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok().filter(|_| text.len() == 36)?;
    (id.to_string() == text).then_some(id)
}

/// Adds every text of a body that could be a record's id to `found`.
pub(super) fn gather_ids(body: &Value, found: &mut HashSet<String>) {
    match body {
        Value::String(text) if as_id(text).is_some() => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| gather_ids(item, found)),
        Value::Object(map) => {
            found.extend(map.keys().filter(|key| as_id(key).is_some()).cloned());
            map.values().for_each(|value| gather_ids(value, found));
        }
        _ => {}
    }
}

/// The new id where the text is one of the `known` ids, else the text itself.
pub(super) fn remapped(task_id: CopyTaskId, known: &HashSet<String>, text: &str) -> String {
    match as_id(text) {
        Some(id) if known.contains(text) => new_id(task_id, id).to_string(),
        _ => text.to_owned(),
    }
}

/// The body with every text and key that is one of the `known` ids replaced by its new id.
pub(super) fn remapped_body(task_id: CopyTaskId, known: &HashSet<String>, body: Value) -> Value {
    match body {
        Value::String(text) => Value::String(remapped(task_id, known, &text)),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| remapped_body(task_id, known, item)).collect())
        }
        Value::Object(map) => {
            let pairs = map.into_iter();
            let pairs =
                pairs.map(|(key, value)| (remapped(task_id, known, &key), remapped_body(task_id, known, value)));
            Value::Object(pairs.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TASK: CopyTaskId = CopyTaskId(Uuid::from_u128(7));
    const OLD: &str = "0198b6a0-5c1e-7f00-8000-000000000401";
    const FOREIGN: &str = "0198b6a0-5c1e-7f00-8000-000000000999";

    #[test]
    fn the_same_task_and_id_make_the_same_new_id() {
        let old = as_id(OLD).unwrap();
        assert_eq!(new_id(TASK, old), new_id(TASK, old));
        assert_ne!(new_id(TASK, old), new_id(CopyTaskId(Uuid::from_u128(8)), old));
        assert_ne!(new_id(TASK, old), old);
    }

    #[test]
    fn a_time_ordered_id_keeps_its_time() {
        let old = as_id(OLD).unwrap();
        let new = new_id(TASK, old);
        assert_eq!(new.as_bytes()[..6], old.as_bytes()[..6]);
        assert_eq!(new.get_version(), Some(Version::SortRand));
        assert_eq!(new_id(TASK, Uuid::from_u128(1)).get_version(), Some(Version::Custom));
    }

    #[test]
    fn known_ids_are_replaced_everywhere_and_other_texts_never() {
        let known = HashSet::from([OLD.to_owned()]);
        let new = new_id(TASK, as_id(OLD).unwrap()).to_string();
        let body = json!({ "a": [OLD, FOREIGN, format!("see {OLD}")], OLD: { "b": OLD, "c": 1 } });
        let expected = json!({ "a": [new, FOREIGN, format!("see {OLD}")], new.clone(): { "b": new, "c": 1 } });
        assert_eq!(remapped_body(TASK, &known, body), expected);
    }

    #[test]
    fn only_ids_as_they_are_written_here_are_gathered() {
        let mut found = HashSet::new();
        gather_ids(&json!({ "a": [OLD, OLD.to_uppercase(), OLD.replace('-', ""), 3], FOREIGN: null }), &mut found);
        assert_eq!(found, HashSet::from([OLD.to_owned(), FOREIGN.to_owned()]));
    }
}
