//! The PIM API's own scalars.

use async_graphql::{InputValueError, InputValueResult, Pos, Scalar, ScalarType, Value};
use chrono::{Datelike, SecondsFormat, Utc};
use hookgraph_domain::time::{Timestamp, truncated};
use serde::{Deserialize, Serialize};

/// A moment in UTC, with microseconds. Answers write it with milliseconds, as JavaScript's `toISOString` does; stored,
/// it has the form of the timestamp within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DateTime(pub Timestamp);

impl DateTime {
    /// The last year that RFC 3339 can write.
    pub const YEAR_MAX: i32 = 9999;

    fn read(text: &str) -> Option<Self> {
        let at = chrono::DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
        (0..=Self::YEAR_MAX).contains(&at.year()).then(|| Self(truncated(at)))
    }
}

impl From<DateTime> for Timestamp {
    fn from(at: DateTime) -> Self {
        at.0
    }
}

impl std::fmt::Display for DateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// A moment as in RFC 3339, e.g. `2026-11-23T22:33:43.241Z`: answered in UTC with milliseconds, read with any offset.
#[Scalar(specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        text(&value).and_then(Self::read).ok_or_else(|| {
            InputValueError::custom(format!(
                "{value} is no moment with an offset, years 0000 to 9999 in UTC, like 2026-11-23T22:33:43.241Z"
            ))
        })
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_string())
    }
}

/// The text of a value that is a string.
fn text(value: &Value) -> Option<&str> {
    if let Value::String(text) = value { Some(text) } else { None }
}

/// A calendar day, `2026-11-23`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Date(pub chrono::NaiveDate);

/// A calendar day as in ISO 8601, e.g. `2026-11-23`.
#[Scalar]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let day = text(&value).and_then(|text| text.parse::<chrono::NaiveDate>().ok());
        day.map(Self).ok_or_else(|| InputValueError::custom(format!("{value} is no day like 2026-11-23")))
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
        let address = text(&value).filter(|text| looks_like_email(text));
        address
            .map(|text| Self(text.to_owned()))
            .ok_or_else(|| InputValueError::custom(format!("{value} is no email address like ada@example.com")))
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
                let number = if let Value::Number(number) = &value { number.as_i64() } else { None };
                let int = number.and_then(|n| i32::try_from(n).ok()).filter(|n| *n >= $min);
                int.map(Self).ok_or_else(|| {
                    InputValueError::custom(format!("{value} is not an integer from {} to {}", $min, i32::MAX))
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

/// Judges a value for one scalar: the reason why it is none of that scalar's, if so.
pub type ScalarJudge = fn(Value) -> Option<String>;

/// The judge of the scalar of that name; none for types that are no scalars of ours.
pub fn scalar_fault(scalar: &str) -> Option<ScalarJudge> {
    Some(match scalar {
        "DateTime" => fault::<DateTime>,
        "Date" => fault::<Date>,
        "EmailAddress" => fault::<EmailAddress>,
        "JSON" => fault::<JsonValue>,
        "PositiveInt" => fault::<PositiveInt>,
        "NonNegativeInt" => fault::<NonNegativeInt>,
        _ => return None,
    })
}

fn fault<T: ScalarType + async_graphql::InputType>(value: Value) -> Option<String> {
    <T as ScalarType>::parse(value).err().map(|error| error.into_server_error(Pos::default()).message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> InputValueResult<DateTime> {
        DateTime::parse(Value::from(text))
    }

    #[test]
    fn a_moment_is_written_as_javascript_writes_it() {
        for (given, written) in [
            ("2023-02-20T01:58:10Z", "2023-02-20T01:58:10.000Z"),
            ("2026-11-23T22:33:43.241999+00:00", "2026-11-23T22:33:43.241Z"),
            ("2026-11-24T00:33:43.2+02:00", "2026-11-23T22:33:43.200Z"),
            ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(read(given).ok().map(|at| at.to_value()), Some(Value::from(written)), "{given}");
        }
    }

    #[test]
    fn a_moment_is_kept_and_stored_with_microseconds_as_a_timestamp_is() {
        let at = read("2026-11-23T22:33:43.241344999Z").unwrap();
        assert_eq!(at.0.timestamp_subsec_nanos(), 241_344_000);
        assert_eq!(serde_json::to_value(at).unwrap(), serde_json::to_value(at.0).unwrap());
        assert_eq!(serde_json::from_str::<DateTime>(r#""2026-11-23T22:33:43.241344Z""#).unwrap(), at);
    }

    #[test]
    fn what_is_no_moment_is_refused_with_one_that_would_be() {
        for bad in [
            "",
            "yesterday",
            "2026-11-23",
            "2026-11-23T22:33:43",
            "2026-11-23T22:33Z",
            "2026-02-30T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
        ] {
            let error = Value::from(bad);
            let error = DateTime::parse(error).map(|_| ()).map_err(|error| error.into_server_error(Default::default()));
            let message = error.expect_err(bad).message;
            assert!(
                message.contains(&format!("{bad:?}")) && message.contains("like 2026-11-23T22:33:43.241Z"),
                "{message}"
            );
        }
        assert!(DateTime::parse(Value::from(1_700_000_000)).is_err());
    }

    #[test]
    fn a_value_of_another_kind_is_refused_with_what_would_be_right() {
        for (scalar, value, expected) in [
            ("DateTime", Value::from(5), "5 is no moment with an offset"),
            ("DateTime", Value::List(vec![]), "like 2026-11-23T22:33:43.241Z"),
            ("Date", Value::from(true), "true is no day like 2026-11-23"),
            ("EmailAddress", Value::from(5), "5 is no email address like ada@example.com"),
            ("PositiveInt", Value::from("1"), "\"1\" is not an integer from 1 to 2147483647"),
            ("NonNegativeInt", Value::from(-1), "-1 is not an integer from 0 to 2147483647"),
        ] {
            let told = scalar_fault(scalar).and_then(|judge| judge(value)).unwrap_or_default();
            assert!(told.contains(expected) && told.contains(scalar), "{scalar}: {told}");
        }
    }
}
