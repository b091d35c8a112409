//! Items in one edition, as the API's item types show them.

use super::body::{Content, EXTERNAL_REFERENCE, ItemBody, ItemType, RELATED_ITEM, RELATED_SKU, SKU};
use super::{Document, Folder, Item, Product, ProductVariant};
use crate::context::PimContext;
use crate::loaders::ReadError;
use crate::stored::Stored;
use crate::version::{Edition, VersionLabel};
use futures::future::try_join_all;
use std::collections::BTreeSet;
use std::sync::Arc;

/// An item in one edition.
#[derive(Clone)]
pub(crate) struct ItemView {
    pub stored: Arc<Stored<ItemBody>>,
    pub content: Arc<Content>,
    pub edition: Edition,
}

impl ItemView {
    /// The item in an edition; none where it has no such version.
    pub fn of(stored: Stored<ItemBody>, edition: &Edition) -> Option<Self> {
        let content = stored.body.content(&edition.language, edition.label)?;
        Some(Self { stored: Arc::new(stored), content: Arc::new(content), edition: edition.clone() })
    }

    pub fn item_type(&self) -> ItemType {
        self.stored.body.item_type
    }

    pub fn has_version(&self, label: VersionLabel) -> bool {
        self.stored.body.languages.get(&self.edition.language).is_some_and(|versions| versions.has(label))
    }

    /// The items that relate to this one or to one of its variants, in the same edition.
    pub async fn relating_items(&self, pim: &PimContext) -> Result<Vec<Item>, ReadError> {
        let own_skus: BTreeSet<_> = self.content.shared.variants.iter().map(|variant| variant.sku.clone()).collect();
        let by_id = pim.read::<ItemBody>()?.linked_keys(RELATED_ITEM, &self.stored.key);
        let items = pim.read::<ItemBody>()?;
        let by_sku = try_join_all(own_skus.iter().map(|sku| items.linked_keys(RELATED_SKU, sku)));
        let (by_id, by_sku) = futures::try_join!(by_id, by_sku)?;
        let mut seen = BTreeSet::new();
        let keys = by_id.into_iter().chain(by_sku.into_iter().flatten());
        let keys: Vec<_> = keys.filter(|key| seen.insert(key.clone())).collect();
        let views = views_by_ids(pim, &keys, &self.edition).await?;
        let relates = |view: &ItemView| {
            let relations = view.content.texts.relations();
            relations.item_ids.contains(&self.stored.key) || !relations.skus.is_disjoint(&own_skus)
        };
        Ok(views.into_iter().filter(relates).map(Item::from).collect())
    }
}

impl From<ItemView> for Item {
    fn from(view: ItemView) -> Self {
        match view.item_type() {
            ItemType::Document => Item::Document(Document(view)),
            ItemType::Folder => Item::Folder(Folder(view)),
            ItemType::Product => Item::Product(Product(view)),
        }
    }
}

/// The item of that id, if it exists in the edition.
pub(crate) async fn view_by_id(pim: &PimContext, id: &str, edition: &Edition) -> Result<Option<ItemView>, ReadError> {
    let stored = pim.read::<ItemBody>()?.one(id).await?;
    Ok(stored.and_then(|stored| ItemView::of(stored, edition)))
}

/// The items of those ids that exist in the edition, in the order of the ids.
pub(crate) async fn views_by_ids(
    pim: &PimContext,
    ids: &[String],
    edition: &Edition,
) -> Result<Vec<ItemView>, ReadError> {
    let stored = pim.read::<ItemBody>()?.many(ids).await?;
    Ok(stored.into_iter().filter_map(|stored| ItemView::of(stored, edition)).collect())
}

/// The items of [`views_by_ids`], as types of the API.
pub(crate) async fn items_by_ids(pim: &PimContext, ids: &[String], edition: &Edition) -> Result<Vec<Item>, ReadError> {
    Ok(views_by_ids(pim, ids, edition).await?.into_iter().map(Item::from).collect())
}

/// The items with those ids in another system.
pub(crate) async fn items_by_external_references(
    pim: &PimContext,
    references: &[String],
    edition: &Edition,
) -> Result<Vec<Item>, ReadError> {
    let items = pim.read::<ItemBody>()?;
    let keys = references.iter().map(|reference| items.linked_keys(EXTERNAL_REFERENCE, reference));
    let keys: Vec<_> = try_join_all(keys).await?.into_iter().flatten().collect();
    let views = views_by_ids(pim, &keys, edition).await?;
    let bears = |view: &ItemView| {
        let reference = view.content.shared.external_reference.as_ref();
        reference.is_some_and(|reference| references.contains(reference))
    };
    Ok(views.into_iter().filter(bears).map(Item::from).collect())
}

/// The variants of those stock keeping units that exist in the edition, in the order of the units.
pub(crate) async fn variants_by_skus(
    pim: &PimContext,
    skus: &[String],
    edition: &Edition,
) -> Result<Vec<ProductVariant>, ReadError> {
    let items = pim.read::<ItemBody>()?;
    let products = try_join_all(skus.iter().map(|sku| items.named(SKU, sku))).await?;
    let variants = skus.iter().zip(products).filter_map(|(sku, stored)| {
        let view = ItemView::of(stored?, edition)?;
        ProductVariant::find(&view, |variant| variant.sku == *sku)
    });
    Ok(variants.collect())
}

/// The ids of the product and the variant that bear the stock keeping unit.
pub(crate) async fn ids_by_sku(pim: &PimContext, sku: &str) -> Result<Option<(String, String)>, ReadError> {
    let Some(product) = pim.read::<ItemBody>()?.named(SKU, sku).await? else { return Ok(None) };
    let variant = product.body.all_variants().find(|variant| variant.sku == sku);
    Ok(variant.map(|variant| (product.key.clone(), variant.id.clone())))
}
