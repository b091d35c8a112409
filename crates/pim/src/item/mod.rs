//! Items: products, documents and folders, one kind of record. Each language has a draft and a published version.

mod body;
mod cascade;
mod edit;
mod inputs;
mod moving;
mod mutations;
mod place;
mod publish;
mod queries;
mod tree;
mod types;
mod variant;
mod variant_edit;
mod variant_inputs;
mod variant_mutations;
mod view;

pub(crate) use body::{FLOW_STAGE, FlowPlace, ItemBody, TOPIC};
pub(crate) use edit::{check_text, save};
pub(crate) use moving::ItemMutations;
pub(crate) use mutations::{DocumentMutations, FolderMutations, ProductMutations};
pub(crate) use place::appended_rank;
pub(crate) use queries::{DocumentQueries, FolderQueries, ItemQueries, ProductQueries};
pub(crate) use tree::{TreeNode, child_nodes};
pub(crate) use types::{Document, Folder, Item, Product};
pub(crate) use variant::ProductVariant;
pub(crate) use view::{ItemView, ids_by_sku, items_by_ids, variants_by_skus, view_by_id};

use crate::context::PimContext;
use crate::loaders::ReadError;
use crate::version::Edition;

/// The items of a topic.
pub(crate) async fn topic_items(pim: &PimContext, topic_id: &str, edition: &Edition) -> Result<Vec<Item>, ReadError> {
    let keys = pim.read::<ItemBody>()?.linked_keys(TOPIC, topic_id).await?;
    items_by_ids(pim, &keys, edition).await
}
