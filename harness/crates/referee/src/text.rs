//! Draws texts: parameters, ids and JSON, right or wrong, in every spelling.

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_pcg::Pcg64;

/// Makes a number invalid if put before and after it. None of these texts ends or splits a path segment, or is
/// resolved by a client like `..`.
const NO_NUMBER: [(&str, &str); 10] = [
    ("+", ""),
    ("-", ""),
    ("0x", ""),
    ("~", ""),
    ("e", ""),
    ("", "e1"),
    ("", "x"),
    ("", "_0"),
    ("", ","),
    ("", "-1"),
];
/// White space of JSON.
const SPACE: [&str; 6] = ["", "", "", " ", "\n", "\r\n\t "];
/// Members an order does not have, however similar they look; each may occur once.
const OTHER_MEMBERS: [&str; 8] = [
    "note", "Qty", "ITEM_ID", "itemId", "qty ", "", "id", "größe",
];

/// A text for a number from 0 or 1 to `max`: valid, at the limits, beyond them, or not a number. The model
/// decides what it means.
pub(super) fn number(rng: &mut Pcg64, max: u64) -> String {
    match rng.random_range(0..8) {
        0..=2 => rng.random_range(1..=max).to_string(),
        3 => format!("{:08}", rng.random_range(1..=max)),
        4 => (*[0, 1, max, max + 1].choose(rng).unwrap_or(&0)).to_string(),
        5 => max
            .saturating_add(rng.random_range(1..=u64::MAX / 2))
            .to_string(),
        // More than 64 bits: truncated to 64 it may be in range.
        6 => format!("{}", (1_u128 << 64) + u128::from(rng.random_range(1..=max))),
        _ => {
            let (before, after) = NO_NUMBER.choose(rng).unwrap_or(&("x", ""));
            format!("{before}{}{after}", rng.random_range(1..=max))
        }
    }
}

/// The text as the value of a parameter: percent-encoded where necessary, and elsewhere at random.
pub(super) fn in_query(rng: &mut Pcg64, text: &str) -> String {
    text.bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true if rng.random_range(0..4) > 0 => char::from(byte).to_string(),
            _ if rng.random() => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        })
        .collect()
}

/// A query with these parameters in any order, and some unknown ones.
pub(super) fn query(rng: &mut Pcg64, mut parameters: Vec<String>) -> String {
    for unknown in ["sort=name", "Limit=0", "pages=x", "q=%C3%A9", "offset=-1"] {
        if rng.random_range(0..4) == 0 {
            parameters.push(unknown.to_owned());
        }
    }
    parameters.shuffle(rng);
    match parameters.is_empty() {
        true => String::new(),
        false => format!("?{}", parameters.join("&")),
    }
}

/// An object with these two values, given as JSON, in any order and spelling and with unknown members.
pub(super) fn order(rng: &mut Pcg64, item: &str, qty: &str) -> String {
    let mut members = vec![
        (string(rng, "item_id"), item.to_owned()),
        (string(rng, "qty"), qty.to_owned()),
    ];
    for name in OTHER_MEMBERS {
        if rng.random_range(0..6) == 0 {
            members.push((string(rng, name), json(rng, 3)));
        }
    }
    members.shuffle(rng);
    let members: Vec<String> = members
        .iter()
        .map(|(name, value)| {
            let [before, between, after] = [space(rng), space(rng), space(rng)];
            format!("{before}{name}{between}:{value}{after}")
        })
        .collect();
    format!("{}{{{}}}{}", space(rng), members.join(","), space(rng))
}

/// A string as JSON, some of its characters escaped.
pub(super) fn string(rng: &mut Pcg64, text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|char| match char {
            '"' | '\\' => format!("\\{char}"),
            _ if rng.random_range(0..8) > 0 => char.to_string(),
            _ => {
                let mut units = [0; 2];
                let units = char.encode_utf16(&mut units);
                units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }
        })
        .collect();
    format!("\"{escaped}\"")
}

/// Any JSON up to this depth.
pub(super) fn json(rng: &mut Pcg64, depth: u32) -> String {
    let plain = [
        "null", "true", "false", "0", "-1", "12.50", "6e2", "-0.5E-3",
    ];
    match rng.random_range(0..if depth == 0 { 6 } else { 8 }) {
        0..=3 => (*plain.choose(rng).unwrap_or(&"null")).to_owned(),
        4 => string(rng, "SKU-001"),
        5 => string(rng, "日本\u{1f600} \"\\"),
        6 => {
            let values: Vec<String> = (0..rng.random_range(0..4))
                .map(|_| json(rng, depth - 1))
                .collect();
            format!("[{}{}]", space(rng), values.join(","))
        }
        _ => {
            let value = json(rng, depth - 1);
            format!("{{{}\"qty\":{value}}}", space(rng))
        }
    }
}

fn space(rng: &mut Pcg64) -> &'static str {
    SPACE.choose(rng).unwrap_or(&"")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_order_is_json_in_whatever_spelling() {
        let mut rng = Pcg64::seed_from_u64(1);
        for qty in 1..=500_u64 {
            let text = order(&mut rng, "\"SKU-001\"", &qty.to_string());
            let value: Value = serde_json::from_str(&text).expect(&text);
            assert_eq!(value["item_id"], "SKU-001", "{text}");
            assert_eq!(value["qty"], qty, "{text}");
        }
    }

    #[test]
    fn numbers_are_drawn_from_both_sides_of_every_edge() {
        let mut rng = Pcg64::seed_from_u64(2);
        let drawn: Vec<String> = (0..2_000).map(|_| number(&mut rng, 100)).collect();
        for wanted in ["0", "1", "100", "101"] {
            assert!(drawn.iter().any(|text| text == wanted), "{wanted}");
        }
        let is_number = |text: &&String| text.bytes().all(|byte| byte.is_ascii_digit());
        assert!(drawn.iter().any(|text| !is_number(&text)));
        assert!(drawn.iter().all(|text| !text.is_empty()));
    }

    #[test]
    fn a_value_in_a_query_is_what_it_was() {
        let mut rng = Pcg64::seed_from_u64(3);
        for text in ["active", "+1", " 1", "1,2", "é"] {
            let encoded = in_query(&mut rng, text);
            assert!(encoded.is_ascii() && !encoded.contains(['+', ' ', ',', '&']));
        }
    }
}
