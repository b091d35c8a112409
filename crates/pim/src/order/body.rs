//! The stored body of an order, and its links.

use crate::common::KeyValuePair;
use crate::customer::CustomerBody;
use crate::payment::Payment;
use crate::price::Price;
use crate::scalars::NonNegativeInt;
use crate::stored::{RecordBody, link};
use hookgraph_domain::record::{Link, RecordKind};
use serde::{Deserialize, Serialize};

/// The stored body. Its top-level keys are the names in an event's `changedFields`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderBody {
    pub additional_information: Option<String>,
    pub cart: Vec<OrderItemBody>,
    /// The customer as given with the order.
    pub customer: Option<CustomerBody>,
    pub meta: Option<Vec<KeyValuePair>>,
    pub payment: Option<Vec<Payment>>,
    pub pipelines: Vec<Placement>,
    pub total: Option<Price>,
}

/// One line of the cart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderItemBody {
    pub image_url: Option<String>,
    pub meta: Option<Vec<KeyValuePair>>,
    pub name: String,
    pub price: Option<Price>,
    pub product_id: Option<String>,
    pub product_subscription_id: Option<String>,
    pub product_variant_id: Option<String>,
    pub quantity: NonNegativeInt,
    pub sku: Option<String>,
    pub sub_total: Option<Price>,
    pub subscription_contract_id: Option<String>,
}

/// Where an order stands in a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    pub pipeline_id: String,
    pub stage_id: String,
}

/// The relation to the customer's identifier.
pub(crate) const CUSTOMER: &str = "customer";
/// The relation to each pipeline that the order is in.
pub(crate) const PIPELINE: &str = "pipeline";
/// The relation to each stage that the order is in.
pub(crate) const STAGE: &str = "stage";

impl RecordBody for OrderBody {
    const KIND: RecordKind = RecordKind::Order;

    fn links(&self) -> Vec<Link> {
        let customer = self.customer.iter().filter_map(|customer| customer.identifier.as_deref());
        let mut links: Vec<_> = customer.map(|identifier| link(CUSTOMER, identifier)).collect();
        for placement in &self.pipelines {
            links.push(link(PIPELINE, placement.pipeline_id.as_str()));
            links.push(link(STAGE, placement.stage_id.as_str()));
        }
        links
    }
}
