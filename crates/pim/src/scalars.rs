//! The PIM API's own scalars.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use serde::{Deserialize, Serialize};

/// A calendar day, `2026-11-23`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Date(pub chrono::NaiveDate);

/// A calendar day as in ISO 8601, e.g. `2026-11-23`.
#[Scalar]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => text
                .parse()
                .map(Date)
                .map_err(|_| InputValueError::custom(format!("{text:?} is no day like 2026-11-23"))),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An email address: something before and after one `@`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailAddress(pub String);

/// An email address.
#[Scalar]
impl ScalarType for EmailAddress {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) if looks_like_email(text) => Ok(Self(text.clone())),
            Value::String(text) => {
                Err(InputValueError::custom(format!("{text:?} is no email address like ada@example.com")))
            }
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

fn looks_like_email(text: &str) -> bool {
    let mut parts = text.split('@');
    let (Some(local), Some(domain), None) = (parts.next(), parts.next(), parts.next()) else { return false };
    let clean = |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control());
    text.len() <= 254 && clean(local) && clean(domain)
}

/// Any JSON value. Integers beyond 2^53 cannot survive JavaScript and are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JsonValue(pub serde_json::Value);

/// Any JSON value. Integers beyond 2^53 are refused: send them as strings.
#[Scalar(name = "JSON")]
impl ScalarType for JsonValue {
    fn parse(value: Value) -> InputValueResult<Self> {
        let json = value.into_json().map_err(|error| InputValueError::custom(error.to_string()))?;
        match first_unsafe_integer(&json) {
            Some(number) => Err(InputValueError::custom(format!("{number} is beyond 2^53: send it as a string"))),
            None => Ok(Self(json)),
        }
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

fn first_unsafe_integer(json: &serde_json::Value) -> Option<String> {
    const SAFE_MAX: u64 = (1 << 53) - 1;
    match json {
        serde_json::Value::Number(number) => {
            let beyond = number.as_u64().map(|n| n > SAFE_MAX).or(number.as_i64().map(|n| n.unsigned_abs() > SAFE_MAX));
            beyond.unwrap_or(false).then(|| number.to_string())
        }
        serde_json::Value::Array(items) => items.iter().find_map(first_unsafe_integer),
        serde_json::Value::Object(map) => map.values().find_map(first_unsafe_integer),
        _ => None,
    }
}

macro_rules! bounded_int {
    ($(#[$doc:meta])* $name:ident, $min:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name(pub i32);

        $(#[$doc])*
        #[Scalar]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                let Value::Number(number) = &value else { return Err(InputValueError::expected_type(value)) };
                let int = number.as_i64().and_then(|n| i32::try_from(n).ok()).filter(|n| *n >= $min);
                int.map(Self).ok_or_else(|| {
                    InputValueError::custom(format!("{number} is not an integer from {} to {}", $min, i32::MAX))
                })
            }

            fn to_value(&self) -> Value {
                Value::from(self.0)
            }
        }
    };
}

bounded_int!(
    /// An integer from 1.
    PositiveInt,
    1
);
bounded_int!(
    /// An integer from 0.
    NonNegativeInt,
    0
);
