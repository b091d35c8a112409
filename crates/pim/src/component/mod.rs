//! Components: the pieces of content of items and variants.
//!
//! A kind of content is one variant of `ContentBody`, one of [`ComponentContent`] and one field of [`ComponentInput`].

mod content;
mod input;

pub(crate) use input::{ComponentInput, component_bodies};

use crate::common::KeyValuePair;
use crate::version::Edition;
use async_graphql::{Enum, Object};
use content::ComponentContent;
use hookgraph_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The kinds of component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(rename_items = "camelCase")]
pub enum ComponentType {
    /// Yes or no.
    Boolean,
    /// One of several components.
    ComponentChoice,
    /// Groups of components.
    ContentChunk,
    /// A moment.
    Datetime,
    /// Files.
    Files,
    /// Grids.
    GridRelations,
    /// Images.
    Images,
    /// Other items, or variants of products.
    ItemRelations,
    /// A place on earth.
    Location,
    /// A number with a unit.
    Numeric,
    /// Titled paragraphs with images.
    ParagraphCollection,
    /// Keys with values, in sections.
    PropertiesTable,
    /// Formatted text.
    RichText,
    /// Some of given options.
    Selection,
    /// A line of text.
    SingleLine,
    /// Videos.
    Videos,
}

/// A component as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ComponentBody {
    pub component_id: String,
    pub content: ContentBody,
}

/// The content of a component as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum ContentBody {
    Boolean { value: bool },
    Datetime { datetime: Option<Timestamp> },
    ItemRelations { item_ids: Vec<String>, skus: Vec<String> },
    Numeric { number: f64, unit: Option<String> },
    PropertiesTable { sections: Vec<SectionBody> },
    RichText { json: Vec<serde_json::Value> },
    Selection { keys: Vec<String> },
    SingleLine { text: Option<String> },
}

/// A section of a properties table as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SectionBody {
    pub title: Option<String>,
    pub properties: Vec<KeyValuePair>,
}

/// The items and SKUs that components name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Relations {
    pub item_ids: BTreeSet<String>,
    pub skus: BTreeSet<String>,
}

impl ComponentBody {
    /// Adds the items and SKUs that the component names.
    pub fn collect_relations(&self, relations: &mut Relations) {
        if let ContentBody::ItemRelations { item_ids, skus } = &self.content {
            relations.item_ids.extend(item_ids.iter().cloned());
            relations.skus.extend(skus.iter().cloned());
        }
    }
}

impl ContentBody {
    fn component_type(&self) -> ComponentType {
        match self {
            ContentBody::Boolean { .. } => ComponentType::Boolean,
            ContentBody::Datetime { .. } => ComponentType::Datetime,
            ContentBody::ItemRelations { .. } => ComponentType::ItemRelations,
            ContentBody::Numeric { .. } => ComponentType::Numeric,
            ContentBody::PropertiesTable { .. } => ComponentType::PropertiesTable,
            ContentBody::RichText { .. } => ComponentType::RichText,
            ContentBody::Selection { .. } => ComponentType::Selection,
            ContentBody::SingleLine { .. } => ComponentType::SingleLine,
        }
    }
}

/// A component of an item or a variant.
pub struct Component {
    body: ComponentBody,
    edition: Edition,
}

/// The components of a version, as the API shows them.
pub(crate) fn components(bodies: &[ComponentBody], edition: &Edition) -> Vec<Component> {
    bodies.iter().map(|body| Component { body: body.clone(), edition: edition.clone() }).collect()
}

/// A component of an item or a variant.
#[Object]
impl Component {
    /// Which component of its item or variant.
    async fn component_id(&self) -> &str {
        &self.body.component_id
    }

    /// What it holds.
    async fn content(&self) -> Option<ComponentContent> {
        Some(ComponentContent::of(&self.body.content, &self.edition))
    }

    /// Its name: its id, where no shape names it.
    async fn name(&self) -> &str {
        &self.body.component_id
    }

    /// What kind of content it holds.
    #[graphql(name = "type")]
    async fn component_type(&self) -> ComponentType {
        self.body.content.component_type()
    }
}
