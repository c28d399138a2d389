//! Bodies that are almost an order.

use rand::RngExt;
use rand_pcg::Pcg64;

/// Maximum nesting depth of arrays; fits the contract's 16 KiB.
const DEEPEST: usize = 8_000;

const VALUES: [&str; 22] = [
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "0",
    "-1",
    "1.0",
    "1e400",
    "-1e-400",
    "1001",
    "18446744073709551616",
    "123456789012345678901234567890",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\u{1f4a9}\"",
    "\"SKU-1\"",
    "\"SKU-9999\"",
    "NaN",
    "01",
    "+1",
];
const WHOLE: [&str; 12] = [
    "",
    " ",
    "null",
    "[]",
    "[\"SKU-001\",1]",
    "{",
    "}",
    "{\"item_id\"",
    "\"",
    "\u{feff}{}",
    "{\"item_id\":\"SKU-001\",\"qty\":1}{}",
    "{\"item_id\":\"SKU-001\",\"item_id\":1,\"qty\":1}",
];

/// The body, or one that replaces it.
pub(super) fn mutated(rng: &mut Pcg64, body: &[u8]) -> Vec<u8> {
    match rng.random_range(0..8_u32) {
        0 => WHOLE[rng.random_range(0..WHOLE.len())].as_bytes().to_vec(),
        1 | 2 => members(value(rng), "1").into_bytes(),
        3 | 4 => members("\"SKU-007\"", value(rng)).into_bytes(),
        5 => nested(rng),
        6 => {
            let padding = "x".repeat(rng.random_range(0..17_000));
            format!(r#"{{"pad":"{padding}","item_id":"SKU-007","qty":1}}"#).into_bytes()
        }
        _ => {
            let mut body = body.to_vec();
            for _ in 0..rng.random_range(1..=4) {
                if !body.is_empty() {
                    let at = rng.random_range(0..body.len());
                    body[at] = rng.random();
                }
            }
            body
        }
    }
}

fn value(rng: &mut Pcg64) -> &'static str {
    VALUES[rng.random_range(0..VALUES.len())]
}

fn members(item: &str, qty: &str) -> String {
    format!(r#"{{"item_id":{item},"qty":{qty}}}"#)
}

/// Nested arrays or objects, closed or not, alone or as a member.
fn nested(rng: &mut Pcg64) -> Vec<u8> {
    let depth = rng.random_range(1..=DEEPEST);
    let (open, close) = match rng.random_ratio(1, 2) {
        true => ("[", "]"),
        false => ("{\"\":", "}"),
    };
    let depth = depth / (open.len() + close.len());
    let inner = match rng.random_ratio(3, 4) {
        true => format!("{}1{}", open.repeat(depth), close.repeat(depth)),
        false => open.repeat(depth),
    };
    match rng.random_ratio(1, 2) {
        true => inner.into_bytes(),
        false => format!(r#"{{"item_id":"SKU-007","qty":1,"deep":{inner}}}"#).into_bytes(),
    }
}
