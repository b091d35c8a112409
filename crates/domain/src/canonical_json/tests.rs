//! Canonical JSON by table, and by what holds for every value.

use super::{ParseError, from_text, quoted, to_text};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn texts_become_what_javascript_prints() {
    for (text, expected) in [
        (" null ", "null"),
        ("[ true , false ]", "[true,false]"),
        ("1.0", "1"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0.1e1", "1"),
        ("1e16", "10000000000000000"),
        ("1e21", "1e+21"),
        ("123456789012345678901234567890", "1.2345678901234568e+29"),
        ("9007199254740993", "9007199254740992"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("5e-324", "5e-324"),
        ("1e-400", "0"),
        ("1e999", "null"),
        ("-1E+999", "null"),
        (r#""\/\u002f\u0041""#, r#""//A""#),
        (r#""\u0000\u001F\u007f\b\f\n\r\t\"\\""#, "\"\\u0000\\u001f\u{7f}\\b\\f\\n\\r\\t\\\"\\\\\""),
        (r#""\u2028\ud83e\udd80""#, "\"\u{2028}🦀\""),
        (r#""\uD83E""#, r#""\ud83e""#),
        (r#""\udd80\ud83e""#, r#""\udd80\ud83e""#),
        (r#""\ud83e\ud83e\udd80""#, "\"\\ud83e🦀\""),
        (r#""\ud83e\n""#, r#""\ud83e\n""#),
        (r#"{"b":1,"a":2}"#, r#"{"b":1,"a":2}"#),
        (r#"{"b":1,"10":2,"9":3,"01":4,"0":5,"-1":6}"#, r#"{"0":5,"9":3,"10":2,"b":1,"01":4,"-1":6}"#),
        (r#"{"4294967295":1,"4294967294":2}"#, r#"{"4294967294":2,"4294967295":1}"#),
        (r#"{"a":1,"b":2,"\u0061":3}"#, r#"{"a":3,"b":2}"#),
        (r#"{"__proto__":1,"a":2}"#, r#"{"__proto__":1,"a":2}"#),
        (r#"{"":{ }, "x":[ ]}"#, r#"{"":{},"x":[]}"#),
    ] {
        assert_eq!(from_text(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_json_parse_refuses_is_refused() {
    for text in [
        "",
        " ",
        "nul",
        "nulll",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "--1",
        "-",
        "NaN",
        "Infinity",
        "'a'",
        "\"a",
        "\"\n\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\"}",
        "[",
        "{",
        "]",
        "1 1",
        "\u{feff}1",
        "\u{a0}1",
        "/**/1",
        "\"\\u00é\"",
        "\"\\",
    ] {
        assert!(matches!(from_text(text), Err(ParseError::Syntax { .. })), "{text:?}");
    }
}

#[test]
fn nesting_is_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let max = crate::limits::JSON_DEPTH_MAX;
    assert_eq!(from_text(&nested(max)), Ok(nested(max)));
    assert_eq!(from_text(&nested(max + 1)), Err(ParseError::TooDeep));
}

#[test]
fn values_become_what_javascript_prints() {
    let value = json!({ "b": [1.0, -0.0, 1e21, u64::MAX, i64::MIN, 0.1], "2": "a/\u{2028}\u{1}", "1": { "x": null } });
    assert_eq!(
        to_text(&value),
        "{\"1\":{\"x\":null},\"2\":\"a/\u{2028}\\u0001\",\"b\":[1,0,1e+21,18446744073709552000,-9223372036854776000,0.1]}"
    );
    assert_eq!(quoted("é\n"), "\"é\\n\"");
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof!["[0-9]{1,11}", "\\PC{0,4}", any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_and_its_text_have_one_canonical_text_which_stays_as_it_is(value in any_json()) {
        let canonical = to_text(&value);
        prop_assert_eq!(from_text(&value.to_string()), Ok(canonical.clone()));
        prop_assert_eq!(from_text(&canonical), Ok(canonical));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), json_like in "[\\[\\]{}\",:\\\\u0-9a-f eE.+-]{0,40}") {
        let _ = from_text(&text);
        let _ = from_text(&json_like);
    }

    #[test]
    fn the_parser_accepts_what_serde_accepts(text in "[\\[\\]{}\",:0-9a-c eE.+-]{0,12}") {
        let serde_accepts = serde_json::from_str::<Value>(&text).is_ok() || text.contains(['e', 'E']);
        prop_assert!(from_text(&text).is_err() || serde_accepts, "{}", text);
    }
}
