//! The stored body of a subscription contract, and its links.

use crate::address::AddressType;
use crate::common::KeyValuePair;
use crate::payment::Payment;
use crate::scalars::{DateTime, EmailAddress, NonNegativeInt};
use crate::stored::{RecordBody, link};
use async_graphql::{Enum, ID, InputObject, SimpleObject};
use chrono::{Datelike, Days, Months};
use hookgraph_domain::record::{Link, RecordKind};
use hookgraph_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The stored body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionContractBody {
    pub addresses: Option<Vec<SubscriptionContractAddress>>,
    pub customer_identifier: String,
    pub initial: Option<SubscriptionContractPhase>,
    pub item: SubscriptionContractItem,
    pub payment: Option<Payment>,
    pub recurring: SubscriptionContractPhase,
    pub status: SubscriptionContractStatus,
    pub subscription_plan: Option<PlanReference>,
}

/// The plan that a contract was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReference {
    pub identifier: String,
    pub period_id: Option<String>,
}

/// A postal address of a subscription contract.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject, InputObject, Serialize, Deserialize)]
#[graphql(input_name = "CreateSubscriptionContractAddressInput")]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionContractAddress {
    /// City.
    pub city: Option<String>,
    /// Country.
    pub country: Option<String>,
    /// Email address.
    pub email: Option<EmailAddress>,
    /// First name.
    pub first_name: Option<String>,
    /// Its id within its contract.
    #[graphql(skip_input)]
    pub id: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Middle name.
    pub middle_name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// State or province.
    pub state: Option<String>,
    /// Street.
    pub street: Option<String>,
    /// Street, second line.
    pub street2: Option<String>,
    /// Street number.
    pub street_number: Option<String>,
    /// What it is for.
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub address_type: AddressType,
}

/// What is subscribed to.
#[derive(Clone, Debug, PartialEq, SimpleObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionContractItem {
    /// A picture.
    pub image_url: Option<String>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePair>>,
    /// What it is called.
    pub name: String,
    /// How many.
    pub quantity: Option<NonNegativeInt>,
    /// The variant's stock keeping unit.
    pub sku: String,
}

/// What one phase costs, and how long its period is.
#[derive(Clone, Debug, PartialEq, SimpleObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionContractPhase {
    /// The currency's code.
    pub currency: String,
    /// What is charged by use.
    pub metered_variables: Option<Vec<SubscriptionContractMeteredVariableReference>>,
    /// How many units a period has.
    pub period: i32,
    /// The price of a period.
    pub price: f64,
    /// The unit of the period.
    pub unit: SubscriptionPeriodUnit,
}

/// A variable that is charged by use.
#[derive(Clone, Debug, PartialEq, SimpleObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionContractMeteredVariableReference {
    /// The variable.
    pub id: ID,
    /// How its tiers count.
    pub tier_type: Option<TierType>,
    /// Its prices by use.
    pub tiers: Vec<SubscriptionContractMeteredVariableTierReference>,
}

/// A price from a threshold on.
#[derive(Clone, Debug, PartialEq, SimpleObject, Serialize, Deserialize)]
pub struct SubscriptionContractMeteredVariableTierReference {
    /// The currency's code.
    pub currency: String,
    /// The price of one.
    pub price: Option<f64>,
    /// From which use on.
    pub threshold: i32,
}

/// How tiers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(rename_items = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum TierType {
    /// Each part of the use at its own tier's price.
    Graduated,
    /// All of the use at the price of the tier that it reaches.
    Volume,
}

/// The units of periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(rename_items = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionPeriodUnit {
    /// Days.
    Day,
    /// Calendar months: from the 31st to the last day of a shorter one.
    Month,
    /// Weeks.
    Week,
    /// Calendar years.
    Year,
}

/// How a contract stands.
#[derive(Clone, Debug, PartialEq, SimpleObject, InputObject, Serialize, Deserialize)]
#[graphql(input_name = "CreateSubscriptionContractStatusInput")]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionContractStatus {
    /// Until when it is active.
    pub active_until: Option<DateTime>,
    /// The currency's code.
    pub currency: String,
    /// The price of the current period.
    pub price: f64,
    /// When it renews; none once it is cancelled.
    pub renew_at: Option<DateTime>,
}

impl SubscriptionContractStatus {
    /// The status after a cancellation: the contract renews no more, and stays active until it would have renewed or
    /// ends at once (`ends`). A second cancellation changes nothing.
    pub fn cancelled(&self, now: Timestamp, ends: EndOfContract) -> Self {
        let until = match ends {
            EndOfContract::WithPeriod => self.active_until.or(self.renew_at),
            EndOfContract::AtOnce => Some(self.active_until.map_or(DateTime(now), |until| until.min(DateTime(now)))),
        };
        Self { active_until: until, renew_at: None, ..self.clone() }
    }

    /// The status after a renewal, at the price of the phase. The next renewal is one period after the due one, or
    /// after now where none was due, and the contract is active at least until then. None beyond the year 9999.
    pub fn renewed(&self, now: Timestamp, phase: &SubscriptionContractPhase) -> Option<Self> {
        let renew_at = DateTime(phase.after(self.renew_at.map_or(now, Timestamp::from))?);
        let active_until = self.active_until.map(|until| until.max(renew_at));
        let (currency, price) = (phase.currency.clone(), phase.price);
        Some(Self { active_until, currency, price, renew_at: Some(renew_at) })
    }
}

/// When a cancelled contract ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfContract {
    /// With the period that is paid for.
    WithPeriod,
    /// At once.
    AtOnce,
}

impl SubscriptionContractPhase {
    /// The time one period later; none where RFC 3339 cannot write it.
    fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let count = u32::try_from(self.period).ok()?;
        let later = match self.unit {
            SubscriptionPeriodUnit::Day => at.checked_add_days(Days::new(count.into())),
            SubscriptionPeriodUnit::Week => at.checked_add_days(Days::new(u64::from(count) * 7)),
            SubscriptionPeriodUnit::Month => at.checked_add_months(Months::new(count)),
            SubscriptionPeriodUnit::Year => at.checked_add_months(Months::new(count.checked_mul(12)?)),
        };
        later.filter(|later| later.year() <= DateTime::YEAR_MAX)
    }
}

/// The relation to the customer's identifier.
pub(crate) const CUSTOMER: &str = "customer";

impl RecordBody for SubscriptionContractBody {
    const KIND: RecordKind = RecordKind::SubscriptionContract;

    fn links(&self) -> Vec<Link> {
        vec![link(CUSTOMER, self.customer_identifier.as_str())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn moment(text: &str) -> DateTime {
        DateTime(at(text))
    }

    fn phase(period: i32, unit: SubscriptionPeriodUnit) -> SubscriptionContractPhase {
        SubscriptionContractPhase { currency: "EUR".into(), metered_variables: None, period, price: 9.5, unit }
    }

    fn status(renew_at: Option<&str>, active_until: Option<&str>) -> SubscriptionContractStatus {
        SubscriptionContractStatus {
            active_until: active_until.map(moment),
            currency: "EUR".into(),
            price: 5.0,
            renew_at: renew_at.map(moment),
        }
    }

    #[test]
    fn renewing_moves_the_renewal_by_one_period() {
        let now = at("2026-01-15T00:00:00Z");
        for (period, unit, expected) in [
            (3, SubscriptionPeriodUnit::Day, "2026-02-03T10:00:00Z"),
            (2, SubscriptionPeriodUnit::Week, "2026-02-14T10:00:00Z"),
            (1, SubscriptionPeriodUnit::Month, "2026-02-28T10:00:00Z"),
            (1, SubscriptionPeriodUnit::Year, "2027-01-31T10:00:00Z"),
        ] {
            let renewed = status(Some("2026-01-31T10:00:00Z"), None).renewed(now, &phase(period, unit)).unwrap();
            assert_eq!(renewed.renew_at, Some(moment(expected)));
            assert_eq!((renewed.price, renewed.active_until), (9.5, None));
        }
    }

    #[test]
    fn renewing_keeps_the_contract_active_until_the_next_renewal() {
        let old = status(Some("2026-01-31T10:00:00Z"), Some("2026-01-31T10:00:00Z"));
        let renewed = old.renewed(at("2026-01-15T00:00:00Z"), &phase(1, SubscriptionPeriodUnit::Week)).unwrap();
        assert_eq!(renewed.active_until, renewed.renew_at);
    }

    #[test]
    fn a_renewal_beyond_the_calendar_is_none() {
        let far = phase(i32::MAX, SubscriptionPeriodUnit::Year);
        assert_eq!(status(None, None).renewed(at("2026-01-15T00:00:00Z"), &far), None);
    }

    #[test]
    fn a_cancelled_contract_is_active_until_it_would_have_renewed() {
        let now = at("2026-01-15T00:00:00Z");
        let cancelled = status(Some("2026-01-31T10:00:00Z"), None).cancelled(now, EndOfContract::WithPeriod);
        assert_eq!((cancelled.renew_at, cancelled.active_until), (None, Some(moment("2026-01-31T10:00:00Z"))));
        assert_eq!(cancelled.cancelled(now, EndOfContract::WithPeriod), cancelled);
    }

    #[test]
    fn a_deactivated_contract_ends_at_once_and_does_not_end_again() {
        let now = at("2026-01-15T00:00:00Z");
        let ended = status(Some("2026-01-31T10:00:00Z"), None).cancelled(now, EndOfContract::AtOnce);
        assert_eq!(ended.active_until, Some(DateTime(now)));
        assert_eq!(ended.cancelled(at("2026-01-16T00:00:00Z"), EndOfContract::AtOnce), ended);
    }
}
