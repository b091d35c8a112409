//! Copies of each kind of record: their keys, bodies, links and names.

use crate::customer::CustomerBody;
use crate::flow::FlowBody;
use crate::grid::GridBody;
use crate::item::ItemBody;
use crate::market::MarketBody;
use crate::order::OrderBody;
use crate::pipeline::PipelineBody;
use crate::price_list::PriceListBody;
use crate::stored::RecordBody;
use crate::subscription_contract::SubscriptionContractBody;
use crate::topic::TopicBody;
use hookgraph_domain::record::{Link, Name, RecordKind};
use serde_json::Value;

/// Whether the keys of a kind are ids: a copy gets a new id, but keeps an identifier.
pub(super) const fn has_id(kind: RecordKind) -> bool {
    !matches!(kind, RecordKind::Customer | RecordKind::PriceList | RecordKind::Market)
}

/// A body as text, with its links and names.
pub(super) struct Rebuilt {
    pub body: String,
    pub links: Vec<Link>,
    pub names: Vec<Name>,
}

/// Parses a remapped body as one of its kind, and derives its links and names.
pub(super) fn rebuilt(kind: RecordKind, body: Value) -> Result<Rebuilt, serde_json::Error> {
    match kind {
        RecordKind::Order => of::<OrderBody>(body),
        RecordKind::Pipeline => of::<PipelineBody>(body),
        RecordKind::Customer => of::<CustomerBody>(body),
        RecordKind::PriceList => of::<PriceListBody>(body),
        RecordKind::Market => of::<MarketBody>(body),
        RecordKind::SubscriptionContract => of::<SubscriptionContractBody>(body),
        RecordKind::Item => of::<ItemBody>(body),
        RecordKind::Topic => of::<TopicBody>(body),
        RecordKind::Grid => of::<GridBody>(body),
        RecordKind::Flow => of::<FlowBody>(body),
    }
}

fn of<B: RecordBody>(body: Value) -> Result<Rebuilt, serde_json::Error> {
    let body: B = serde_json::from_value(body)?;
    Ok(Rebuilt { body: serde_json::to_string(&body)?, links: body.links(), names: body.names() })
}
