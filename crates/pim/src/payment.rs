//! Payments of orders and subscription contracts: one shape per provider.

use async_graphql::{ComplexObject, Enum, InputObject, Interface, SimpleObject, Union};
use hookgraph_domain::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// By whom a payment was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(rename_items = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum PaymentProvider {
    /// Cash.
    Cash,
    /// Any other.
    Custom,
    /// Klarna.
    Klarna,
    /// PayPal.
    Paypal,
    /// Stripe.
    Stripe,
}

/// A payment.
#[derive(Clone, Debug, PartialEq, Union, Serialize, Deserialize)]
#[serde(tag = "provider", rename_all = "lowercase")]
pub enum Payment {
    /// In cash.
    Cash(CashPayment),
    /// In any other way.
    Custom(CustomPayment),
    /// Through Klarna.
    Klarna(KlarnaPayment),
    /// Through PayPal.
    Paypal(PaypalPayment),
    /// Through Stripe.
    Stripe(StripePayment),
}

/// What all payments have.
#[derive(Clone, Debug, Interface)]
#[graphql(field(name = "provider", ty = "PaymentProvider", desc = "By whom it was taken."))]
pub enum PaymentType {
    /// In cash.
    Cash(CashPayment),
    /// In any other way.
    Custom(CustomPayment),
    /// Through Klarna.
    Klarna(KlarnaPayment),
    /// Through PayPal.
    Paypal(PaypalPayment),
    /// Through Stripe.
    Stripe(StripePayment),
}

/// A payment in cash.
#[derive(Clone, Debug, PartialEq, SimpleObject, InputObject, Serialize, Deserialize)]
#[graphql(complex, input_name = "CashPaymentInput")]
pub struct CashPayment {
    /// What is known of it.
    pub cash: Option<String>,
}

/// A payment that none of the other types fits.
#[derive(Clone, Debug, PartialEq, SimpleObject, InputObject, Serialize, Deserialize)]
#[graphql(complex, input_name = "CustomPaymentInput")]
pub struct CustomPayment {
    /// What is known of it.
    pub properties: Option<Vec<CustomProperties>>,
}

/// One property of a custom payment.
#[derive(Clone, Debug, PartialEq, SimpleObject, InputObject, Serialize, Deserialize)]
#[graphql(input_name = "CustomPropertiesInput")]
pub struct CustomProperties {
    /// Which.
    pub property: String,
    /// Its value.
    pub value: Option<String>,
}

/// Declares a payment through a provider and its input, which name the provider's own id differently.
macro_rules! provided_payment {
    ($doc:literal, $payment:ident, $input:ident, $given_id:ident, [$($field_doc:literal $field:ident),* $(,)?]) => {
        #[doc = $doc]
        #[derive(Clone, Debug, PartialEq, SimpleObject, Serialize, Deserialize)]
        #[graphql(complex)]
        #[serde(rename_all = "camelCase")]
        pub struct $payment {
            /// Its id there.
            pub id: Option<String>,
            $(#[doc = $field_doc] pub $field: Option<String>,)*
        }

        #[doc = $doc]
        #[derive(Clone, Debug, InputObject)]
        pub struct $input {
            /// Its id there.
            pub $given_id: Option<String>,
            $(#[doc = $field_doc] pub $field: Option<String>,)*
        }

        impl From<$input> for $payment {
            fn from(input: $input) -> Self {
                Self { id: input.$given_id, $($field: input.$field,)* }
            }
        }
    };
}

provided_payment!("A payment through Klarna.", KlarnaPayment, KlarnaPaymentInput, klarna, [
    "The merchant's first reference." merchant_reference1,
    "The merchant's second reference." merchant_reference2,
    "What else is known." metadata,
    "The order's id there." order_id,
    "The token to charge again." recurring_token,
    "How it stands there." status,
]);
provided_payment!("A payment through PayPal.", PaypalPayment, PaypalPaymentInput, paypal, [
    "The invoice's id there." invoice_id,
    "What else is known." metadata,
    "The order's id there." order_id,
    "The subscription's id there." subscription_id,
]);
provided_payment!("A payment through Stripe.", StripePayment, StripePaymentInput, stripe, [
    "The customer's id there." customer_id,
    "What else is known." metadata,
    "The order's id there." order_id,
    "The payment intent's id there." payment_intent_id,
    "The payment method, e.g. `card`." payment_method,
    "The payment method's id there." payment_method_id,
    "The subscription's id there." subscription_id,
]);

macro_rules! provider_of {
    ($($payment:ident $provider:ident),*) => {$(
        #[ComplexObject]
        impl $payment {
            /// By whom it was taken.
            async fn provider(&self) -> PaymentProvider {
                PaymentProvider::$provider
            }
        }
    )*};
}
provider_of!(CashPayment Cash, CustomPayment Custom, KlarnaPayment Klarna, PaypalPayment Paypal, StripePayment Stripe);

/// A payment: its provider, and what that provider tells of it.
#[derive(Clone, Debug, InputObject)]
pub struct PaymentInput {
    /// With provider `cash`.
    pub cash: Option<CashPayment>,
    /// With provider `custom`.
    pub custom: Option<CustomPayment>,
    /// With provider `klarna`.
    pub klarna: Option<KlarnaPaymentInput>,
    /// With provider `paypal`.
    pub paypal: Option<PaypalPaymentInput>,
    /// By whom it was taken.
    pub provider: PaymentProvider,
    /// With provider `stripe`.
    pub stripe: Option<StripePaymentInput>,
}

impl PaymentInput {
    /// The payment. Details of another provider than the named one are refused; `path` is the input's place.
    pub(crate) fn payment(self, path: &str) -> Result<Payment, Refusal> {
        let Self { cash, custom, klarna, paypal, provider, stripe } = self;
        let given = [
            ("cash", PaymentProvider::Cash, cash.is_some()),
            ("custom", PaymentProvider::Custom, custom.is_some()),
            ("klarna", PaymentProvider::Klarna, klarna.is_some()),
            ("paypal", PaymentProvider::Paypal, paypal.is_some()),
            ("stripe", PaymentProvider::Stripe, stripe.is_some()),
        ];
        if let Some((name, ..)) = given.iter().find(|(_, of, is_given)| *is_given && *of != provider) {
            let message = format!("details of {name} do not go with another provider");
            return Err(Refusal::invalid_at(format!("{path}.{name}"), "PAYMENT_PROVIDER", message));
        }
        let missing = |name: &str| {
            let message = format!("provider {name} comes with its details in {name:?}");
            Refusal::invalid_at(format!("{path}.{name}"), "REQUIRED", message)
        };
        Ok(match provider {
            PaymentProvider::Cash => Payment::Cash(cash.unwrap_or(CashPayment { cash: None })),
            PaymentProvider::Custom => Payment::Custom(custom.ok_or_else(|| missing("custom"))?),
            PaymentProvider::Klarna => Payment::Klarna(klarna.ok_or_else(|| missing("klarna"))?.into()),
            PaymentProvider::Paypal => Payment::Paypal(paypal.ok_or_else(|| missing("paypal"))?.into()),
            PaymentProvider::Stripe => Payment::Stripe(stripe.ok_or_else(|| missing("stripe"))?.into()),
        })
    }
}

/// The payments of a list.
pub(crate) fn payments(inputs: Vec<PaymentInput>, path: &str) -> Result<Vec<Payment>, Refusal> {
    let numbered = inputs.into_iter().enumerate();
    numbered.map(|(index, input)| input.payment(&format!("{path}[{index}]"))).collect()
}
