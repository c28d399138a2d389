//! Which error takes precedence if several apply to an order.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_pcg::Pcg64;
use reqwest::Method;

use super::model::{LIMITED, ordered};
use super::orders_create::MAX_BODY;
use super::orders_stock::sell_out;
use super::response::{
    INVALID_ORDER, MALFORMED_JSON, METHOD_NOT_ALLOWED, OUT_OF_STOCK, PAYLOAD_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
};
use super::subject::{Ask, Subject};
use super::{CheckDef, Outcome, text};

const DRAWN: usize = 80;

/// They need the stock to be sold out, so they run after its checks.
pub(super) const CHECKS: &[CheckDef] = checks! {
    "error-precedence-drawn" => drawn:
        "if an order has several errors, the one first in the contract's table is returned",
    "error-precedence-stock" => stock: "any other error takes precedence over 409 out_of_stock",
};

/// Kind of body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Right,
    OutOfStock,
    Invalid,
    Malformed,
}

/// A request for an order with some errors.
struct Drawn {
    ask: Ask,
    large: bool,
    labelled: bool,
    content: Content,
}

fn draw(rng: &mut Pcg64) -> Drawn {
    use Content::{Invalid, Malformed, OutOfStock, Right};
    let content = *[Right, OutOfStock, Invalid, Malformed]
        .choose(rng)
        .unwrap_or(&Right);
    let mut body = match content {
        Right => text::order(rng, r#""SKU-700""#, "7"),
        OutOfStock => text::order(rng, &format!("\"{LIMITED}\""), "7"),
        Invalid => invalid(rng),
        Malformed => malformed(rng),
    };
    let large = rng.random_range(0..3) == 0;
    if large {
        // White space in front keeps the meaning of any body.
        let more = MAX_BODY + rng.random_range(1..=4_000);
        body = format!("{}{body}", " ".repeat(more));
    }
    let (labelled, content_type) = match rng.random_range(0..3) {
        0 => (
            false,
            *[None, Some("text/plain"), Some("application/x-json")]
                .choose(rng)
                .unwrap_or(&None),
        ),
        _ => (true, Some("application/json")),
    };
    Drawn {
        ask: Ask::to_orders(Method::POST, content_type, body),
        large,
        labelled,
        content,
    }
}

/// An object that is not an order.
fn invalid(rng: &mut Pcg64) -> String {
    const ITEMS: [&str; 6] = [
        r#""SKU-1000""#,
        r#""sku-001""#,
        r#""""#,
        "1",
        "null",
        r#"["SKU-001"]"#,
    ];
    const QUANTITIES: [&str; 7] = ["0", "1001", "-7", "2.5", "\"7\"", "null", "[7]"];
    let item = match rng.random_range(0..3) {
        0 => r#""SKU-700""#,
        1 => r#""SKU-LIMITED""#,
        _ => ITEMS.choose(rng).unwrap_or(&"1"),
    };
    // At least one of the two is wrong.
    let right_item = item == r#""SKU-700""# || item == r#""SKU-LIMITED""#;
    let qty = match right_item || rng.random() {
        true => QUANTITIES.choose(rng).unwrap_or(&"0"),
        false => "7",
    };
    text::order(rng, item, qty)
}

/// A truncated object, of the right shape or not: no prefix of it is complete.
fn malformed(rng: &mut Pcg64) -> String {
    let whole = match rng.random() {
        true => text::order(rng, r#""SKU-700""#, "7"),
        false => invalid(rng),
    };
    let whole = whole.trim_end();
    let mut end = rng.random_range(0..whole.len());
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    whole[..end].to_owned()
}

fn drawn(subject: &Subject) -> Outcome {
    sell_out(subject)?;
    let mut rng = subject.rng("error-precedence-drawn");
    let members = ordered("SKU-700", 7)?;
    for _ in 0..DRAWN {
        let drawn = draw(&mut rng);
        let answer = subject.ask(&drawn.ask)?;
        match (drawn.large, drawn.labelled, drawn.content) {
            (true, true, _) => answer.is_error(PAYLOAD_TOO_LARGE)?,
            // Both apply; the contract allows either.
            (true, false, _) => answer
                .is_error(PAYLOAD_TOO_LARGE)
                .or_else(|_| answer.is_error(UNSUPPORTED_MEDIA_TYPE))?,
            (false, false, _) => answer.is_error(UNSUPPORTED_MEDIA_TYPE)?,
            (_, _, Content::Malformed) => answer.is_error(MALFORMED_JSON)?,
            (_, _, Content::Invalid) => answer.is_error(INVALID_ORDER)?,
            (_, _, Content::OutOfStock) => answer.is_error(OUT_OF_STOCK)?,
            (_, _, Content::Right) => answer.is_order(&members).map(drop)?,
        }
    }
    Ok(())
}

fn stock(subject: &Subject) -> Outcome {
    sell_out(subject)?;
    let json = Some("application/json");
    let right = r#"{"item_id":"SKU-LIMITED","qty":1}"#;
    let cases = [
        (Ask::to_orders(Method::PUT, json, right), METHOD_NOT_ALLOWED),
        (
            Ask::order(right.to_owned() + &" ".repeat(MAX_BODY)),
            PAYLOAD_TOO_LARGE,
        ),
        (
            Ask::to_orders(Method::POST, Some("text/plain"), right),
            UNSUPPORTED_MEDIA_TYPE,
        ),
        (Ask::order(&right[..right.len() - 1]), MALFORMED_JSON),
        (
            Ask::order(r#"{"item_id":"SKU-LIMITED","qty":0}"#),
            INVALID_ORDER,
        ),
        (
            Ask::order(r#"{"item_id":"SKU-LIMITED","qty":1001}"#),
            INVALID_ORDER,
        ),
        (Ask::order(right), OUT_OF_STOCK),
    ];
    for (ask, error) in cases {
        subject.ask(&ask)?.is_error(error)?;
    }
    Ok(())
}
