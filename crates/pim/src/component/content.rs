//! The contents of components, as the API shows them.

use super::{ContentBody, SectionBody};
use crate::common::KeyValuePair;
use crate::context::PimContext;
use crate::error::IntoGraphql;
use crate::item::{Item, ProductVariant, items_by_ids, variants_by_skus};
use crate::permission::{PermissionName, requires};
use crate::rich_text::RichTextContent;
use crate::scalars::DateTime;
use crate::version::Edition;
use async_graphql::{Context, Object, SimpleObject, Union};

/// What a component holds.
#[derive(Union)]
pub enum ComponentContent {
    /// Yes or no.
    Boolean(BooleanContent),
    /// A moment.
    Datetime(DatetimeContent),
    /// Other items, or variants of products.
    ItemRelations(ItemRelationsContent),
    /// A number with a unit.
    Numeric(NumericContent),
    /// Keys with values, in sections.
    PropertiesTable(PropertiesTableContent),
    /// Formatted text.
    RichText(RichTextContent),
    /// Some of given options.
    Selection(SelectionContent),
    /// A line of text.
    SingleLine(SingleLineContent),
}

impl ComponentContent {
    pub(super) fn of(body: &ContentBody, edition: &Edition) -> Self {
        match body.clone() {
            ContentBody::Boolean { value } => Self::Boolean(BooleanContent { value: Some(value) }),
            ContentBody::Datetime { datetime } => Self::Datetime(DatetimeContent { datetime: datetime.map(DateTime) }),
            ContentBody::ItemRelations { item_ids, skus } => {
                Self::ItemRelations(ItemRelationsContent { item_ids, skus, edition: edition.clone() })
            }
            ContentBody::Numeric { number, unit } => Self::Numeric(NumericContent { number, unit }),
            ContentBody::PropertiesTable { sections } => {
                let sections = sections.into_iter().map(PropertiesTableComponentSection::from).collect();
                Self::PropertiesTable(PropertiesTableContent { sections: Some(sections) })
            }
            ContentBody::RichText { json } => Self::RichText(RichTextContent { json }),
            ContentBody::Selection { keys } => {
                let option = |key: String| KeyValuePair { value: Some(key.clone()), key };
                Self::Selection(SelectionContent { options: keys.into_iter().map(option).collect() })
            }
            ContentBody::SingleLine { text } => Self::SingleLine(SingleLineContent { text }),
        }
    }
}

/// Yes or no.
#[derive(Clone, Debug, SimpleObject)]
pub struct BooleanContent {
    /// Which of them.
    pub value: Option<bool>,
}

/// A moment.
#[derive(Clone, Debug, SimpleObject)]
pub struct DatetimeContent {
    /// Which moment.
    pub datetime: Option<DateTime>,
}

/// A number with a unit.
#[derive(Clone, Debug, SimpleObject)]
pub struct NumericContent {
    /// The number.
    pub number: f64,
    /// The unit.
    pub unit: Option<String>,
}

/// Keys with values, in sections.
#[derive(Clone, Debug, SimpleObject)]
pub struct PropertiesTableContent {
    /// The sections.
    pub sections: Option<Vec<PropertiesTableComponentSection>>,
}

/// A section of a properties table.
#[derive(Clone, Debug, SimpleObject)]
pub struct PropertiesTableComponentSection {
    /// The keys with their values.
    pub properties: Option<Vec<KeyValuePair>>,
    /// The title.
    pub title: Option<String>,
}

impl From<SectionBody> for PropertiesTableComponentSection {
    fn from(body: SectionBody) -> Self {
        Self { properties: Some(body.properties), title: body.title }
    }
}

/// Some of given options.
#[derive(Clone, Debug, SimpleObject)]
pub struct SelectionContent {
    /// Those that are selected. Where no shape says otherwise, an option's value is its key.
    pub options: Vec<KeyValuePair>,
}

/// A line of text.
#[derive(Clone, Debug, SimpleObject)]
pub struct SingleLineContent {
    /// The text.
    pub text: Option<String>,
}

/// Other items, or variants of products.
pub struct ItemRelationsContent {
    item_ids: Vec<String>,
    skus: Vec<String>,
    edition: Edition,
}

/// Other items, or variants of products.
#[Object]
impl ItemRelationsContent {
    /// The items that exist in the version that is read.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn items(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<Item>>> {
        let items = items_by_ids(PimContext::of(ctx)?, &self.item_ids, &self.edition).await;
        items.graphql().map(Some)
    }

    /// The variants that exist in the version that is read.
    #[graphql(directive = requires::apply(PermissionName::ItemsRead))]
    async fn product_variants(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Vec<ProductVariant>>> {
        let variants = variants_by_skus(PimContext::of(ctx)?, &self.skus, &self.edition).await;
        variants.graphql().map(Some)
    }
}
