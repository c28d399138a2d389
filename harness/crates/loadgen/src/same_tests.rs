//! Compares our equality with `serde_json`'s, and tests where the two must differ.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn order_and_white_space_are_free() {
    let value = json!({"a": [1, {"b": null, "c": true}], "d": "é", "e": -7, "f": 0.5});
    for text in [
        value.to_string(),
        serde_json::to_string_pretty(&value).unwrap(),
        r#" {"f":5e-1,"e":-7, "d":"\u00e9", "a":[1,{"c":true,"b":null}] } "#.to_owned(),
    ] {
        assert!(means(text.as_bytes(), &value), "{text}");
    }
}

#[test]
fn another_meaning_is_told() {
    let value = json!({"a": [1, 2], "b": {"c": "x"}});
    for text in [
        r#"{"a":[1,2],"b":{"c":"y"}}"#,
        r#"{"a":[2,1],"b":{"c":"x"}}"#,
        r#"{"a":[1],"b":{"c":"x"}}"#,
        r#"{"a":[1,2,3],"b":{"c":"x"}}"#,
        r#"{"a":[1,2],"b":{}}"#,
        r#"{"a":[1,2],"b":{"c":"x"},"d":0}"#,
        r#"{"a":[1,2]}"#,
        r#"{"a":[1,2],"b":{"c":"x"}} x"#,
        r#"{"a":[1,2],"b":{"c":"x"}"#,
        r#"[]"#,
        "null",
        "",
    ] {
        assert!(!means(text.as_bytes(), &value), "{text}");
    }
}

#[test]
fn a_member_twice_is_wrong_even_with_the_right_value() {
    assert!(!means(br#"{"a":1,"a":1}"#, &json!({"a": 1})));
    // The right number of members, but one of them twice.
    assert!(!means(br#"{"a":1,"a":1}"#, &json!({"a": 1, "b": 2})));
    assert!(!means(br#"{"b":2,"a":1,"b":2}"#, &json!({"a": 1, "b": 2})));
    // The same member in another spelling.
    assert!(!means(br#"{"a":1,"\u0061":1}"#, &json!({"a": 1, "b": 2})));
}

#[test]
fn numbers_are_the_same_or_not_as_their_readers_see_them() {
    for (text, value, same) in [
        ("1", json!(1), true),
        ("1.0", json!(1), false),
        ("1", json!(1.0), false),
        ("1e0", json!(1), false),
        ("10e-1", json!(1.0), true),
        ("-0", json!(0), false),
        ("-1", json!(-1), true),
        ("0.10", json!(0.1), true),
        ("01", json!(1), false),
        ("18446744073709551615", json!(u64::MAX), true),
        ("18446744073709551616", json!(u64::MAX), false),
        ("1e400", json!(f64::MAX), false),
        ("NaN", json!(null), false),
        ("\"1\"", json!(1), false),
    ] {
        assert_eq!(means(text.as_bytes(), &value), same, "{text} for {value}");
    }
}

#[test]
fn escapes_are_read_and_broken_text_is_not() {
    for (text, same) in [
        (&br#""\u006f\u006B""#[..], true),
        (br#""\ud83d\ude00""#, false),
        (br#""o\u006b""#, true),
        (br#""ok\u0000""#, false),
        (br#""\ud83d""#, false),
        (br#""\u12""#, false),
        (b"\"ok\n\"", false),
        (b"\"ok\xff\"", false),
        (b"\xef\xbb\xbf\"ok\"", false),
    ] {
        assert_eq!(means(text, &json!("ok")), same, "{text:?}");
    }
    assert!(means(br#""\ud83d\ude00""#, &json!("😀")));
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let value: Value = serde_json::from_str(&deep(100)).unwrap();
    assert!(means(deep(100).as_bytes(), &value));
    assert!(!means(deep(101).as_bytes(), &value));
    for text in [
        deep(1_000_000),
        "[".repeat(1_000_000),
        r#"{"a":"#.repeat(1_000_000),
    ] {
        assert!(!means(text.as_bytes(), &value));
        assert!(!means(text.as_bytes(), &json!([{"a": 1}])));
        assert!(!means(text.as_bytes(), &json!([])));
        assert_eq!(id_beside(text.as_bytes(), &Map::new(), "id"), None);
    }
}

#[test]
fn an_object_of_many_members_is_compared_too() {
    let number = |i: usize| (format!("m{i}"), json!(i));
    let members: Map<String, Value> = (0..200).map(number).collect();
    let value = Value::Object(members.clone());
    let other_order: Map<String, Value> = (0..200).rev().map(number).collect();
    let text = Value::Object(other_order).to_string();
    assert!(means(text.as_bytes(), &value));
    let twice = text.replace("\"m7\":7,", "\"m8\":8,");
    assert!(!means(twice.as_bytes(), &value));
    let numbered = text.replacen('{', "{\"id\":9,", 1);
    assert_eq!(id_beside(numbered.as_bytes(), &members, "id"), Some(9));
}

#[test]
fn an_id_is_found_beside_the_other_members() {
    let Value::Object(members) = json!({"item": "x", "qty": 2}) else {
        unreachable!()
    };
    let id = |text: &str| id_beside(text.as_bytes(), &members, "id");
    assert_eq!(id(r#"{"qty":2,"id":17,"item":"x"}"#), Some(17));
    assert_eq!(
        id(r#"{"\u0069d":18446744073709551615,"qty":2,"item":"x"}"#),
        Some(u64::MAX)
    );
    for text in [
        r#"{"id":1,"id":1,"item":"x","qty":2}"#,
        r#"{"id":1,"id":2,"item":"x","qty":2}"#,
        r#"{"id":1.0,"item":"x","qty":2}"#,
        r#"{"id":-1,"item":"x","qty":2}"#,
        r#"{"id":0,"item":"x","qty":2}"#,
        r#"{"id":"1","item":"x","qty":2}"#,
        r#"{"id":null,"item":"x","qty":2}"#,
        r#"{"id":18446744073709551616,"item":"x","qty":2}"#,
        r#"{"id":1,"item":"x","qty":2.0}"#,
        r#"{"id":1,"item":"x","item":"x","qty":2}"#,
        r#"{"id":1,"item":"x","item":"x"}"#,
        r#"{"id":1,"item":"x","qty":2,"more":{"id":2}}"#,
        r#"{"item":"x","qty":2}"#,
        r#"[{"id":1,"item":"x","qty":2}]"#,
        r#"{"id":1,"item":"x","qty":2}{}"#,
    ] {
        assert_eq!(id(text), None, "{text}");
    }
    // The accepted object includes its own id.
    let Value::Object(whole) = json!({"id": 5, "qty": 2}) else {
        unreachable!()
    };
    assert_eq!(id_beside(br#"{"qty":2,"id":6}"#, &whole, "id"), Some(6));
}

/// Any JSON value, small enough to equal another now and then.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(vec![0.0, -0.0, 1.0, 0.1, 1e300]).prop_map(Value::from),
        "[a\"\\\\\u{e9}\n]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[ab\"]{1,2}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value with the members of every object in reverse order.
fn turned(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(turned).collect(),
        Value::Object(members) => {
            let members = members.iter().rev();
            Value::Object(members.map(|(k, v)| (k.clone(), turned(v))).collect())
        }
        leaf => leaf.clone(),
    }
}

proptest! {
    #[test]
    fn it_is_what_equal_values_are(a in value(), b in value()) {
        for text in [b.to_string(), turned(&b).to_string()] {
            prop_assert_eq!(means(text.as_bytes(), &a), a == b, "{} for {}", text, a);
        }
        let pretty = serde_json::to_string_pretty(&turned(&a)).unwrap();
        prop_assert!(means(pretty.as_bytes(), &a));
    }
}
