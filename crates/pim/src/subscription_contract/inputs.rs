//! Inputs of subscription contract mutations, and the bodies that they make.

use super::body::{
    PlanReference, SubscriptionContractAddress, SubscriptionContractBody, SubscriptionContractItem,
    SubscriptionContractMeteredVariableReference, SubscriptionContractMeteredVariableTierReference,
    SubscriptionContractPhase, SubscriptionContractStatus, SubscriptionPeriodUnit, TierType,
};
use crate::common::{KeyValuePairInput, converted};
use crate::payment::PaymentInput;
use crate::scalars::{DateTime, NonNegativeInt, PositiveInt};
use async_graphql::{ID, InputObject};
use hookgraph_domain::refusal::Refusal;
use uuid::Uuid;

/// A new subscription contract.
#[derive(Clone, Debug, InputObject)]
pub struct CreateSubscriptionContractInput {
    /// Postal addresses.
    pub addresses: Option<Vec<SubscriptionContractAddress>>,
    /// Whose contract.
    pub customer_identifier: String,
    /// What the first period costs, where that differs.
    pub initial: Option<CreateSubscriptionContractPhaseInput>,
    /// What is subscribed to.
    pub item: CreateSubscriptionContractItemInput,
    /// How it is paid.
    pub payment: Option<PaymentInput>,
    /// What every later period costs.
    pub recurring: CreateSubscriptionContractPhaseInput,
    /// How it stands.
    pub status: SubscriptionContractStatus,
    /// The plan that it is made from.
    pub subscription_plan: Option<ContractSubscriptionPlanReferenceInput>,
    /// The owner.
    pub tenant_id: ID,
}

/// What shall change of a subscription contract: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateSubscriptionContractInput {
    /// Postal addresses: they replace those before.
    pub addresses: Option<Vec<SubscriptionContractAddress>>,
    /// What the first period costs.
    pub initial: Option<UpdateSubscriptionContractPhaseInput>,
    /// What is subscribed to.
    pub item: Option<UpdateSubscriptionContractItemInput>,
    /// How it is paid.
    pub payment: Option<PaymentInput>,
    /// What every later period costs.
    pub recurring: Option<UpdateSubscriptionContractPhaseInput>,
    /// How it stands.
    pub status: Option<UpdateSubscriptionContractStatusInput>,
}

/// The plan that a contract is made from.
#[derive(Clone, Debug, InputObject)]
pub struct ContractSubscriptionPlanReferenceInput {
    /// The plan.
    pub identifier: String,
    /// One of its periods.
    pub period_id: Option<ID>,
}

/// What is subscribed to.
#[derive(Clone, Debug, InputObject)]
pub struct CreateSubscriptionContractItemInput {
    /// A picture.
    pub image_url: Option<String>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// What it is called.
    pub name: String,
    /// How many.
    pub quantity: Option<NonNegativeInt>,
    /// The variant's stock keeping unit.
    pub sku: String,
}

/// What shall change of what is subscribed to: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateSubscriptionContractItemInput {
    /// A picture.
    pub image_url: Option<String>,
    /// Further properties: they replace those before.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// What it is called.
    pub name: Option<String>,
    /// How many.
    pub quantity: Option<NonNegativeInt>,
    /// The variant's stock keeping unit.
    pub sku: Option<String>,
}

/// What one phase costs, and how long its period is: one month where nothing is said.
#[derive(Clone, Debug, InputObject)]
pub struct CreateSubscriptionContractPhaseInput {
    /// The currency's code.
    pub currency: String,
    /// What is charged by use.
    pub metered_variables: Option<Vec<CreateSubscriptionContractMeteredVariableReferenceInput>>,
    /// How many units a period has.
    pub period: Option<PositiveInt>,
    /// The price of a period.
    pub price: f64,
    /// The unit of the period.
    pub unit: Option<SubscriptionPeriodUnit>,
}

/// What shall change of a phase: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateSubscriptionContractPhaseInput {
    /// The currency's code.
    pub currency: Option<String>,
    /// What is charged by use: they replace those before.
    pub metered_variables: Option<Vec<CreateSubscriptionContractMeteredVariableReferenceInput>>,
    /// How many units a period has.
    pub period: Option<PositiveInt>,
    /// The price of a period.
    pub price: Option<f64>,
    /// The unit of the period.
    pub unit: Option<SubscriptionPeriodUnit>,
}

/// A variable that is charged by use.
#[derive(Clone, Debug, InputObject)]
pub struct CreateSubscriptionContractMeteredVariableReferenceInput {
    /// The variable.
    pub id: ID,
    /// How its tiers count.
    pub tier_type: TierType,
    /// Its prices by use.
    pub tiers: Vec<CreateSubscriptionContractMeteredVariableTierInput>,
}

/// A price from a threshold on.
#[derive(Clone, Debug, InputObject)]
pub struct CreateSubscriptionContractMeteredVariableTierInput {
    /// The currency's code.
    pub currency: String,
    /// The price of one.
    pub price: f64,
    /// From which use on.
    pub threshold: i32,
}

/// What shall change of how a contract stands: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateSubscriptionContractStatusInput {
    /// Until when it is active.
    pub active_until: Option<DateTime>,
    /// The currency's code.
    pub currency: Option<String>,
    /// The price of the current period.
    pub price: Option<f64>,
    /// When it renews.
    pub renew_at: Option<DateTime>,
}

impl From<CreateSubscriptionContractMeteredVariableReferenceInput> for SubscriptionContractMeteredVariableReference {
    fn from(input: CreateSubscriptionContractMeteredVariableReferenceInput) -> Self {
        let tiers = input.tiers.into_iter().map(|tier| SubscriptionContractMeteredVariableTierReference {
            currency: tier.currency,
            price: Some(tier.price),
            threshold: tier.threshold,
        });
        Self { id: input.id, tier_type: Some(input.tier_type), tiers: tiers.collect() }
    }
}

impl From<CreateSubscriptionContractPhaseInput> for SubscriptionContractPhase {
    fn from(input: CreateSubscriptionContractPhaseInput) -> Self {
        Self {
            currency: input.currency,
            metered_variables: converted(input.metered_variables),
            period: input.period.map_or(1, |period| period.0),
            price: input.price,
            unit: input.unit.unwrap_or(SubscriptionPeriodUnit::Month),
        }
    }
}

fn updated_phase(
    old: SubscriptionContractPhase,
    input: UpdateSubscriptionContractPhaseInput,
) -> SubscriptionContractPhase {
    SubscriptionContractPhase {
        currency: input.currency.unwrap_or(old.currency),
        metered_variables: converted(input.metered_variables).or(old.metered_variables),
        period: input.period.map_or(old.period, |period| period.0),
        price: input.price.unwrap_or(old.price),
        unit: input.unit.unwrap_or(old.unit),
    }
}

/// A phase that the contract did not have: fields that are not given are those of the recurring phase.
fn first_phase(
    recurring: &SubscriptionContractPhase,
    input: UpdateSubscriptionContractPhaseInput,
) -> SubscriptionContractPhase {
    updated_phase(SubscriptionContractPhase { metered_variables: None, ..recurring.clone() }, input)
}

/// The body of a new contract.
pub(super) fn new_body(
    input: CreateSubscriptionContractInput,
    new_id: impl FnMut() -> Uuid,
) -> Result<SubscriptionContractBody, Refusal> {
    Ok(SubscriptionContractBody {
        addresses: input.addresses.map(|addresses| with_ids(None, addresses, new_id)),
        customer_identifier: input.customer_identifier,
        initial: input.initial.map(SubscriptionContractPhase::from),
        item: SubscriptionContractItem {
            image_url: input.item.image_url,
            meta: converted(input.item.meta),
            name: input.item.name,
            quantity: input.item.quantity,
            sku: input.item.sku,
        },
        payment: input.payment.map(|payment| payment.payment("input.payment")).transpose()?,
        recurring: input.recurring.into(),
        status: input.status,
        subscription_plan: input
            .subscription_plan
            .map(|plan| PlanReference { identifier: plan.identifier, period_id: plan.period_id.map(|id| id.0) }),
    })
}

/// The old body with the given fields replaced.
pub(super) fn updated_body(
    old: &SubscriptionContractBody,
    input: UpdateSubscriptionContractInput,
    new_id: impl FnMut() -> Uuid,
) -> Result<SubscriptionContractBody, Refusal> {
    let mut body = old.clone();
    if let Some(addresses) = input.addresses {
        body.addresses = Some(with_ids(body.addresses.take(), addresses, new_id));
    }
    if let Some(recurring) = input.recurring {
        body.recurring = updated_phase(body.recurring, recurring);
    }
    if let Some(initial) = input.initial {
        body.initial = Some(match body.initial {
            Some(old) => updated_phase(old, initial),
            None => first_phase(&body.recurring, initial),
        });
    }
    if let Some(item) = input.item {
        let old = body.item;
        body.item = SubscriptionContractItem {
            image_url: item.image_url.or(old.image_url),
            meta: converted(item.meta).or(old.meta),
            name: item.name.unwrap_or(old.name),
            quantity: item.quantity.or(old.quantity),
            sku: item.sku.unwrap_or(old.sku),
        };
    }
    if let Some(payment) = input.payment {
        body.payment = Some(payment.payment("input.payment")?);
    }
    if let Some(status) = input.status {
        let old = body.status;
        body.status = SubscriptionContractStatus {
            active_until: status.active_until.or(old.active_until),
            currency: status.currency.unwrap_or(old.currency),
            price: status.price.unwrap_or(old.price),
            renew_at: status.renew_at.or(old.renew_at),
        };
    }
    Ok(body)
}

/// The given addresses with ids. An address that equals the old one at its index keeps that one's id, so that giving
/// the same addresses again changes nothing.
fn with_ids(
    old: Option<Vec<SubscriptionContractAddress>>,
    given: Vec<SubscriptionContractAddress>,
    mut new_id: impl FnMut() -> Uuid,
) -> Vec<SubscriptionContractAddress> {
    let mut old = old.unwrap_or_default().into_iter();
    let placed = given.into_iter().map(|address| match old.next() {
        Some(old) if (SubscriptionContractAddress { id: old.id.clone(), ..address.clone() }) == old => old,
        _ => SubscriptionContractAddress { id: Some(new_id().to_string()), ..address },
    });
    placed.collect()
}
