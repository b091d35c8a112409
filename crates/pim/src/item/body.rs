//! The stored body of an item, and its links and names.
//!
//! A draft is made up of the fields that all languages share ([`Shared`]) and the texts of one language ([`Texts`]).
//! Publishing a language freezes both ([`Content`]). The position in the tree, stock and flows have no versions: a
//! change of them holds at once.

use crate::component::{ComponentBody, Relations};
use crate::image::ImageBody;
use crate::stored::{RecordBody, link, name, ranked_link};
use crate::version::{VersionLabel, Versions};
use async_graphql::Enum;
use hookgraph_domain::record::{Link, Name, RecordKind};
use hookgraph_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The types of item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(rename_items = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum ItemType {
    /// A document.
    Document,
    /// A folder.
    Folder,
    /// A product.
    Product,
}

impl ItemType {
    /// The name in events and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            ItemType::Document => "document",
            ItemType::Folder => "folder",
            ItemType::Product => "product",
        }
    }
}

/// An item as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ItemBody {
    #[serde(rename = "type")]
    pub item_type: ItemType,
    /// None at the top of the tree.
    pub parent_id: Option<String>,
    /// The order among siblings.
    pub rank: i64,
    pub shared: Shared,
    /// By variant id.
    pub stock: BTreeMap<String, Vec<StockBody>>,
    /// The stage it is in, by flow id.
    pub flows: BTreeMap<String, FlowPlace>,
    /// By language.
    pub languages: BTreeMap<String, Versions<Texts, Content>>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The fields of a draft that all languages share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shared {
    pub external_reference: Option<String>,
    pub shape_identifier: Option<String>,
    pub topic_ids: Vec<String>,
    pub vat_type_id: Option<String>,
    pub variants: Vec<SharedVariant>,
}

/// The texts of one language.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Texts {
    pub name: Option<String>,
    /// The item's part of the path.
    pub slug: Option<String>,
    pub components: Vec<ComponentBody>,
    /// By variant id.
    pub variants: BTreeMap<String, VariantTexts>,
}

/// A whole version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Content {
    pub texts: Texts,
    pub shared: Shared,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SharedVariant {
    pub id: String,
    pub sku: String,
    pub is_default: bool,
    pub external_reference: Option<String>,
    pub prices: Vec<PriceBody>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PriceBody {
    pub identifier: String,
    pub price: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VariantTexts {
    pub name: Option<String>,
    pub attributes: Option<Vec<AttributeBody>>,
    pub components: Vec<ComponentBody>,
    pub images: Option<Vec<ImageBody>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttributeBody {
    pub attribute: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StockBody {
    pub identifier: String,
    pub meta: Option<Vec<crate::common::KeyValuePair>>,
    pub stock: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlowPlace {
    pub stage_id: String,
    /// The order among the items of the stage.
    pub rank: i64,
}

/// The relation from an item to its parent; [`ROOT`] at the top.
pub(crate) const PARENT: &str = "parent";
/// The target of [`PARENT`] at the top of the tree.
pub(crate) const ROOT: &str = "root";
/// The relation from an item to its topics.
pub(crate) const TOPIC: &str = "topic";
/// The relation from an item to the items that its components name.
pub(crate) const RELATED_ITEM: &str = "relatedItem";
/// The relation from an item to the SKUs that its components name.
pub(crate) const RELATED_SKU: &str = "relatedSku";
/// The relation from an item to its id in another system.
pub(crate) const EXTERNAL_REFERENCE: &str = "externalReference";
/// The relation from a product to its variants' ids in another system.
pub(crate) const VARIANT_EXTERNAL_REFERENCE: &str = "variantExternalReference";
/// The relation from an item to the flow stages that it is in.
pub(crate) const FLOW_STAGE: &str = "flowStage";
/// The scope of stock keeping units: each belongs to one product.
pub(crate) const SKU: &str = "sku";
/// The scope of an item's part of the path: unique among siblings, per language.
pub(crate) const PATH: &str = "path";

/// The name that makes a part of a path unique.
pub(crate) fn path_name(language: &str, parent_id: Option<&str>, slug: &str) -> String {
    format!("{language} {} {slug}", parent_id.unwrap_or(ROOT))
}

impl ItemBody {
    /// The whole content of a version; none where the language has no such version. The current version of a language
    /// without any has the shared fields and no texts.
    pub fn content(&self, language: &str, label: VersionLabel) -> Option<Content> {
        use crate::version::Picked;
        let with_texts = |texts: &Texts| Content { texts: texts.clone(), shared: self.shared.clone() };
        match self.languages.get(language).and_then(|versions| versions.pick(label)) {
            Some(Picked::Draft(draft)) => Some(with_texts(&draft.content)),
            Some(Picked::Published(published)) => Some(published.content.clone()),
            None if label == VersionLabel::Current => Some(with_texts(&Texts::default())),
            None => None,
        }
    }

    /// The item's part of the path in `language`; where the item has none there, its part in another language.
    pub fn slug(&self, language: &str, label: VersionLabel) -> Option<&str> {
        self.slugs(language, label)
            .next()
            .or_else(|| self.languages.keys().find_map(|other| self.slugs(other, label).next()))
    }

    fn slugs<'a>(&'a self, language: &str, label: VersionLabel) -> impl Iterator<Item = &'a str> + use<'a> {
        let versions = self.languages.get(language);
        let draft = versions.and_then(|versions| versions.draft.as_ref()).map(|draft| &draft.content);
        let published = versions.and_then(|versions| versions.published.as_ref()).map(|version| &version.content.texts);
        let ordered = if label == VersionLabel::Published { [published, draft] } else { [draft, published] };
        ordered.into_iter().flatten().filter_map(|texts| texts.slug.as_deref())
    }

    /// The texts of every version, each with its language.
    fn all_texts(&self) -> impl Iterator<Item = (&str, &Texts)> {
        self.languages.iter().flat_map(|(language, versions)| {
            let draft = versions.draft.iter().map(|draft| &draft.content);
            let published = versions.published.iter().map(|published| &published.content.texts);
            draft.chain(published).map(move |texts| (language.as_str(), texts))
        })
    }

    pub fn all_variants(&self) -> impl Iterator<Item = &SharedVariant> {
        let published = self.languages.values().filter_map(|versions| versions.published.as_ref());
        self.shared.variants.iter().chain(published.flat_map(|version| version.content.shared.variants.iter()))
    }
}

impl Texts {
    /// The items and SKUs that its components and those of its variants relate to.
    pub fn relations(&self) -> Relations {
        let mut relations = Relations::default();
        let of_variants = self.variants.values().flat_map(|variant| &variant.components);
        for component in self.components.iter().chain(of_variants) {
            component.collect_relations(&mut relations);
        }
        relations
    }
}

impl RecordBody for ItemBody {
    const KIND: RecordKind = RecordKind::Item;

    fn links(&self) -> Vec<Link> {
        let mut links = BTreeSet::new();
        links.insert(ranked_link(PARENT, self.parent_id.as_deref().unwrap_or(ROOT), self.rank));
        links.extend(self.shared.topic_ids.iter().map(|id| link(TOPIC, id)));
        links.extend(self.shared.external_reference.iter().map(|reference| link(EXTERNAL_REFERENCE, reference)));
        for variant in self.all_variants() {
            let references = variant.external_reference.iter();
            links.extend(references.map(|reference| link(VARIANT_EXTERNAL_REFERENCE, reference)));
        }
        for (_, texts) in self.all_texts() {
            let relations = texts.relations();
            links.extend(relations.item_ids.into_iter().map(|id| link(RELATED_ITEM, id)));
            links.extend(relations.skus.into_iter().map(|sku| link(RELATED_SKU, sku)));
        }
        links.extend(self.flows.values().map(|place| ranked_link(FLOW_STAGE, &place.stage_id, place.rank)));
        links.into_iter().collect()
    }

    fn names(&self) -> Vec<Name> {
        let skus = self.all_variants().map(|variant| name(SKU, &variant.sku));
        let parent_id = self.parent_id.as_deref();
        let slugs = self.all_texts().filter_map(|(language, texts)| Some((language, texts.slug.as_deref()?)));
        let paths = slugs.map(|(language, slug)| name(PATH, path_name(language, parent_id, slug)));
        skus.chain(paths).collect::<BTreeSet<_>>().into_iter().collect()
    }
}
