//! The stored body of a topic, and its links and names.

use crate::stored::{RecordBody, name, ranked_link};
use hookgraph_domain::record::{Link, Name, RecordKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A topic as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TopicBody {
    /// None for the root of a topic map.
    pub parent_id: Option<String>,
    /// The order among siblings.
    pub rank: i64,
    /// By language.
    pub languages: BTreeMap<String, TopicTexts>,
}

/// The texts of one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TopicTexts {
    pub name: String,
    pub path_identifier: String,
}

/// The relation from a topic to its parent; [`ROOT`] for the root of a topic map.
pub(crate) const PARENT: &str = "parent";
/// The target of [`PARENT`] for the root of a topic map.
pub(crate) const ROOT: &str = "root";
/// The scope of a topic's part of the path: unique among siblings, per language.
pub(crate) const PATH: &str = "topic path";

/// The name that makes a part of a path unique.
pub(crate) fn path_name(language: &str, parent_id: Option<&str>, identifier: &str) -> String {
    format!("{language} {} {identifier}", parent_id.unwrap_or(ROOT))
}

impl TopicBody {
    /// The topic's part of the path in that language, or in another one where it has none in that.
    pub fn path_identifier(&self, language: &str) -> Option<&str> {
        let texts = self.languages.get(language).or_else(|| self.languages.values().next());
        texts.map(|texts| texts.path_identifier.as_str())
    }
}

impl RecordBody for TopicBody {
    const KIND: RecordKind = RecordKind::Topic;

    fn links(&self) -> Vec<Link> {
        vec![ranked_link(PARENT, self.parent_id.as_deref().unwrap_or(ROOT), self.rank)]
    }

    fn names(&self) -> Vec<Name> {
        let parent_id = self.parent_id.as_deref();
        let languages = self.languages.iter();
        languages.map(|(language, texts)| name(PATH, path_name(language, parent_id, &texts.path_identifier))).collect()
    }
}
