//! Properties of the response parser for any input. `harness/tests/fuzz_seeds.rs` also runs it, on the inputs
//! in `seeds/`.

use std::cell::RefCell;

use loadgen::means;
use loadgen::parts::{KEEP, Parts, Whole};
use loadgen::{Expect, Malformed, Request, Script};
use serde_json::{Value, json};

/// Maximum size of a head in bytes.
const MAX_HEAD: usize = 256 * 1024;
/// Maximum length of an input that is also read byte by byte, which takes quadratic time.
const BYTEWISE: usize = 400;

thread_local! {
    /// Reused, like a connection's parser.
    static PARTS: RefCell<Parts> = RefCell::new(parts());
}

fn parts() -> Parts {
    let Value::Object(members) = json!({"qty": 1}) else {
        unreachable!("an object was written");
    };
    let script = Script::new(vec![Request {
        wire: b"POST / HTTP/1.1\r\n\r\n".to_vec(),
        expect: Expect::Numbered {
            status: 200,
            bytes: br#"{"id":1,"qty":1}"#.to_vec(),
            members,
            id_member: "id".into(),
        },
    }]);
    Parts::new(script.expect("the request is complete"))
}

/// The first byte says whether the request was a HEAD, how many cuts there are, and (in one of four) whether to
/// read byte by byte too. That many bytes say where the cuts are, and the rest is what the server sends.
pub fn check(data: &[u8]) {
    let Some((flags, rest)) = data.split_first() else {
        return;
    };
    let (head_only, cuts) = (flags & 1 == 1, usize::from(flags >> 1 & 3));
    let Some((cuts, text)) = rest.split_at_checked(cuts) else {
        return;
    };
    PARTS.with_borrow_mut(|parts| {
        // A response with a known head is understood the same way, for either method.
        for method in [!head_only, head_only] {
            let whole = read(parts, &[text], method).ok().flatten();
            let again = parts.again(text, method);
            assert!(whole.is_none() || again.is_none() || again == whole);
        }
        let whole = read(parts, &[text], head_only);
        assert_eq!(read(parts, &split(text, cuts), head_only), whole);
        if flags & 0x18 == 0 && text.len() <= BYTEWISE {
            let each: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(read(parts, &each, head_only), whole);
        }
        if let Ok(Some(whole)) = &whole {
            holds(whole, text);
        }
        let _ = parts.judge(text);
    });
}

/// Reads it, and checks that the parser's memory is bounded.
fn read(parts: &mut Parts, pieces: &[&[u8]], head_only: bool) -> Result<Option<Whole>, Malformed> {
    let found = parts.read(pieces.iter().copied(), head_only);
    // Twice, because buffers grow by doubling.
    assert!(parts.held() <= 2 * (MAX_HEAD + KEEP));
    found
}

/// `text` in pieces, cut at 256ths of its length.
fn split<'a>(text: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts
        .iter()
        .map(|c| text.len() * usize::from(*c) / 256)
        .collect();
    at.sort_unstable();
    let mut from = 0;
    let mut pieces = Vec::new();
    for end in at.into_iter().chain([text.len()]) {
        pieces.push(&text[from..end]);
        from = end;
    }
    pieces
}

/// Properties of every response.
fn holds(whole: &Whole, text: &[u8]) {
    assert!((200..1000).contains(&whole.status));
    assert!(whole.head.len() <= MAX_HEAD);
    let least = whole.head.len() as u64 + whole.body_len;
    assert!((least..=text.len() as u64).contains(&whole.wire_len));
    let expected = json!({"id": 1, "qty": [1, -1, 0.5, "x", null, true]});
    // Comparing while parsing must accept nothing that comparing values would reject.
    if means(&whole.body, &expected) {
        assert_eq!(
            serde_json::from_slice::<Value>(&whole.body).ok(),
            Some(expected)
        );
    }
}
