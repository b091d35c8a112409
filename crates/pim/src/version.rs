//! Versions of records that are edited first and published later: each language has a draft and a published version.

use crate::limits::LANGUAGE_CHARS_MAX;
use crate::scalars::DateTime;
use async_graphql::{Enum, ID, SimpleObject};
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Which version is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[graphql(rename_items = "lowercase")]
pub enum VersionLabel {
    /// The latest: the draft, else what is published.
    #[default]
    Current,
    /// What is being edited.
    Draft,
    /// What was published last.
    Published,
}

/// Which version was read.
#[derive(Clone, Debug, SimpleObject)]
pub struct VersionedRecordInfo {
    /// When it was made.
    pub created_at: DateTime,
    /// Its id: a new one with every change.
    pub id: Option<ID>,
    /// `draft`, or `published` when nothing was changed since the publishing.
    pub label: VersionLabel,
}

/// The language and version in which a record is read; the records that it relates to are read in the same.
#[derive(Clone, Debug)]
pub(crate) struct Edition {
    pub language: String,
    pub label: VersionLabel,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version<T> {
    pub id: String,
    pub created_at: Timestamp,
    pub content: T,
}

/// The versions of one language. A published version (`P`) may hold more than a draft (`D`): the drafts of all
/// languages share parts, which publishing copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Versions<D, P = D> {
    pub draft: Option<Version<D>>,
    pub published: Option<Version<P>>,
}

/// The version that a label picks.
pub(crate) enum Picked<'a, D, P> {
    Draft(&'a Version<D>),
    Published(&'a Version<P>),
}

impl<D, P> Default for Versions<D, P> {
    fn default() -> Self {
        Self { draft: None, published: None }
    }
}

impl<D, P> Versions<D, P> {
    /// The version of that label, if there is one.
    pub fn pick(&self, label: VersionLabel) -> Option<Picked<'_, D, P>> {
        let draft = self.draft.as_ref().map(Picked::Draft);
        let published = self.published.as_ref().map(Picked::Published);
        match label {
            VersionLabel::Draft => draft,
            VersionLabel::Published => published,
            VersionLabel::Current => draft.or(published),
        }
    }

    /// Whether there is a version of that label.
    pub fn has(&self, label: VersionLabel) -> bool {
        self.pick(label).is_some()
    }

    /// The description of the version of that label for the API.
    pub fn info(&self, label: VersionLabel) -> Option<VersionedRecordInfo> {
        let published_id = self.published.as_ref().map(|published| published.id.as_str());
        let (id, created_at, label) = match self.pick(label)? {
            Picked::Draft(draft) if label == VersionLabel::Draft || published_id != Some(draft.id.as_str()) => {
                (&draft.id, draft.created_at, VersionLabel::Draft)
            }
            Picked::Draft(draft) => (&draft.id, draft.created_at, VersionLabel::Published),
            Picked::Published(published) => (&published.id, published.created_at, VersionLabel::Published),
        };
        Some(VersionedRecordInfo { created_at: DateTime(created_at), id: Some(ID(id.clone())), label })
    }
}

/// Refuses a text that is no language code.
pub(crate) fn check_language(language: &str) -> Result<(), Refusal> {
    let fits = (1..=LANGUAGE_CHARS_MAX).contains(&language.len())
        && language.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if fits {
        return Ok(());
    }
    let message = format!("{language:?} is no language code like en or en-GB of at most {LANGUAGE_CHARS_MAX} letters");
    Err(Refusal::invalid_at("language", "LANGUAGE", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str) -> Version<()> {
        Version { id: id.into(), created_at: Timestamp::UNIX_EPOCH, content: () }
    }

    #[test]
    fn current_is_the_draft_or_else_what_is_published() {
        let mut versions: Versions<()> = Versions { draft: Some(version("2")), published: Some(version("1")) };
        let label = |versions: &Versions<()>, asked| versions.info(asked).map(|info| (info.id.unwrap().0, info.label));
        assert_eq!(label(&versions, VersionLabel::Current), Some(("2".into(), VersionLabel::Draft)));
        assert_eq!(label(&versions, VersionLabel::Published), Some(("1".into(), VersionLabel::Published)));
        versions.draft = None;
        assert_eq!(label(&versions, VersionLabel::Current), Some(("1".into(), VersionLabel::Published)));
        assert!(!versions.has(VersionLabel::Draft));
    }

    #[test]
    fn a_draft_that_was_published_as_it_is_is_labelled_published() {
        let versions: Versions<()> = Versions { draft: Some(version("1")), published: Some(version("1")) };
        assert_eq!(versions.info(VersionLabel::Current).unwrap().label, VersionLabel::Published);
        assert_eq!(versions.info(VersionLabel::Draft).unwrap().label, VersionLabel::Draft);
    }

    #[test]
    fn a_language_is_a_short_code() {
        for good in ["en", "nb-NO", "zh_Hans"] {
            assert!(check_language(good).is_ok(), "{good}");
        }
        for bad in ["", "en us", "é", &"x".repeat(40)] {
            assert!(check_language(bad).is_err(), "{bad}");
        }
    }
}
