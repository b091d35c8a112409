//! Inputs of order mutations, and the bodies that they make.

use super::body::{OrderBody, OrderItemBody, Placement};
use crate::address::AddressInput;
use crate::common::{KeyValuePairInput, converted};
use crate::customer::CustomerBody;
use crate::payment::{PaymentInput, payments};
use crate::price::Price;
use crate::scalars::{Date, DateTime, NonNegativeInt};
use async_graphql::{ID, InputObject};
use hookgraph_domain::refusal::Refusal;

/// A new order.
#[derive(Clone, Debug, InputObject)]
pub struct CreateOrderInput {
    /// Anything else that is to be said.
    pub additional_information: Option<String>,
    /// What is ordered.
    pub cart: Vec<OrderItemInput>,
    /// When it was placed, where that was before now.
    pub created_at: Option<DateTime>,
    /// Who ordered it.
    pub customer: Option<CustomerInput>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// How it is paid.
    pub payment: Option<Vec<PaymentInput>>,
    /// The pipeline stages that it starts in. In every other pipeline it starts in the stage that new orders are placed
    /// in, where there is one.
    pub pipelines: Option<Vec<OrderPipelineInput>>,
    /// The owner.
    pub tenant_id: ID,
    /// What it costs.
    pub total: Option<Price>,
}

/// A stage to place an order in.
#[derive(Clone, Debug, InputObject)]
pub struct OrderPipelineInput {
    /// The pipeline.
    pub pipeline_id: ID,
    /// One of its stages.
    pub stage_id: ID,
}

/// What shall change of an order: what is not given stays.
#[derive(Clone, Debug, InputObject)]
pub struct UpdateOrderInput {
    /// Anything else that is to be said.
    pub additional_information: Option<String>,
    /// What is ordered: it replaces the cart before.
    pub cart: Option<Vec<OrderItemInput>>,
    /// Who ordered it: fields that are not given stay.
    pub customer: Option<CustomerInput>,
    /// Further properties: they replace those before.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// How it is paid: they replace those before.
    pub payment: Option<Vec<PaymentInput>>,
    /// What it costs.
    pub total: Option<Price>,
}

/// Who ordered. The order keeps this as it is given; a customer record of that identifier supplies what is not given.
#[derive(Clone, Debug, InputObject)]
pub struct CustomerInput {
    /// Postal addresses.
    pub addresses: Option<Vec<AddressInput>>,
    /// Day of birth; of the time only the day in UTC is kept.
    pub birth_date: Option<DateTime>,
    /// Company.
    pub company_name: Option<String>,
    /// Email address.
    pub email: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// What identifies the customer within the tenant.
    pub identifier: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// Middle name.
    pub middle_name: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Tax number.
    pub tax_number: Option<String>,
}

/// One line of a cart.
#[derive(Clone, Debug, InputObject)]
pub struct OrderItemInput {
    /// A picture.
    pub image_url: Option<String>,
    /// Further properties.
    pub meta: Option<Vec<KeyValuePairInput>>,
    /// What it is called.
    pub name: String,
    /// The price of one.
    pub price: Option<Price>,
    /// The product.
    pub product_id: Option<ID>,
    /// The product's subscription.
    pub product_subscription_id: Option<ID>,
    /// The product's variant.
    pub product_variant_id: Option<ID>,
    /// How many.
    pub quantity: NonNegativeInt,
    /// The variant's stock keeping unit.
    pub sku: Option<String>,
    /// The price of all.
    pub sub_total: Option<Price>,
    /// The subscription contract that it is for.
    pub subscription_contract_id: Option<ID>,
}

impl From<OrderItemInput> for OrderItemBody {
    fn from(input: OrderItemInput) -> Self {
        Self {
            image_url: input.image_url,
            meta: converted(input.meta),
            name: input.name,
            price: input.price,
            product_id: input.product_id.map(|id| id.0),
            product_subscription_id: input.product_subscription_id.map(|id| id.0),
            product_variant_id: input.product_variant_id.map(|id| id.0),
            quantity: input.quantity,
            sku: input.sku,
            sub_total: input.sub_total,
            subscription_contract_id: input.subscription_contract_id.map(|id| id.0),
        }
    }
}

/// The old customer of an order with the given fields replaced.
fn updated_customer(old: Option<CustomerBody>, input: CustomerInput) -> CustomerBody {
    let old = old.unwrap_or_default();
    CustomerBody {
        addresses: converted(input.addresses).or(old.addresses),
        birth_date: input.birth_date.map(|at| Date(at.0.date_naive())).or(old.birth_date),
        company_name: input.company_name.or(old.company_name),
        email: input.email.or(old.email),
        external_references: old.external_references,
        first_name: input.first_name.or(old.first_name),
        identifier: input.identifier.or(old.identifier),
        last_name: input.last_name.or(old.last_name),
        meta: converted(input.meta).or(old.meta),
        middle_name: input.middle_name.or(old.middle_name),
        phone: input.phone.or(old.phone),
        tax_number: input.tax_number.or(old.tax_number),
    }
}

/// The body of a new order.
pub(super) fn new_body(input: CreateOrderInput, pipelines: Vec<Placement>) -> Result<OrderBody, Refusal> {
    Ok(OrderBody {
        additional_information: input.additional_information,
        cart: input.cart.into_iter().map(OrderItemBody::from).collect(),
        customer: input.customer.map(|customer| updated_customer(None, customer)),
        meta: converted(input.meta),
        payment: input.payment.map(|inputs| payments(inputs, "input.payment")).transpose()?,
        pipelines,
        total: input.total,
    })
}

/// The old body with the given fields replaced.
pub(super) fn updated_body(old: &OrderBody, input: UpdateOrderInput) -> Result<OrderBody, Refusal> {
    let old = old.clone();
    Ok(OrderBody {
        additional_information: input.additional_information.or(old.additional_information),
        cart: converted(input.cart).unwrap_or(old.cart),
        customer: match input.customer {
            Some(customer) => Some(updated_customer(old.customer, customer)),
            None => old.customer,
        },
        meta: converted(input.meta).or(old.meta),
        payment: input.payment.map(|inputs| payments(inputs, "input.payment")).transpose()?.or(old.payment),
        pipelines: old.pipelines,
        total: input.total.or(old.total),
    })
}
