//! The stored body of a market, and its links.

use crate::stored::{RecordBody, link};
use hookgraph_domain::record::{Link, RecordKind};
use serde::{Deserialize, Serialize};

/// The stored body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MarketBody {
    pub customer_identifiers: Option<Vec<String>>,
    pub name: String,
}

/// The relation to the identifier of each customer in it.
pub(crate) const CUSTOMER: &str = "customer";

impl RecordBody for MarketBody {
    const KIND: RecordKind = RecordKind::Market;

    fn links(&self) -> Vec<Link> {
        self.customer_identifiers.iter().flatten().map(|identifier| link(CUSTOMER, identifier.as_str())).collect()
    }
}
