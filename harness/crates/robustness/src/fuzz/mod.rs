//! Mutated requests: each depends only on the seed and its number, so that any of them can be sent again by
//! itself.

mod base;
mod json;
mod minimise;
mod mutate;
mod shoot;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

pub use minimise::minimise;
pub use shoot::{Answer, fire};

/// Spreads neighbouring numbers over the generator's seeds (the golden ratio, 2^64 / φ).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
/// One in this many requests is left unchanged.
const WHOLE_ONE_IN: u32 = 32;
/// One in this many connections is closed normally by the client instead of reset.
const CLOSED_ONE_IN: u32 = 8;
/// Maximum number of writes for a request.
const MOST_PIECES: usize = 4;

/// One mutated request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// What is sent.
    pub bytes: Vec<u8>,
    /// Where it is cut into separate writes, ascending.
    pub cuts: Vec<usize>,
    /// Whether the client resets the connection at the end.
    pub resets: bool,
}

impl Shot {
    /// The same bytes in one write.
    pub fn whole(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            cuts: Vec::new(),
            resets: true,
        }
    }
}

/// The request with this number, from 0.
pub fn shot(seed: u64, index: u64) -> Shot {
    let mut rng = Pcg64::seed_from_u64(seed ^ index.wrapping_add(1).wrapping_mul(SPREAD));
    let mut request = base::draw(&mut rng);
    let whole = rng.random_ratio(1, WHOLE_ONE_IN);
    if !whole {
        mutate::parts(&mut rng, &mut request);
    }
    let mut bytes = request.wire();
    if !whole {
        mutate::bytes(&mut rng, &mut bytes);
    }
    Shot {
        cuts: cuts(&mut rng, bytes.len()),
        resets: !rng.random_ratio(1, CLOSED_ONE_IN),
        bytes,
    }
}

fn cuts(rng: &mut Pcg64, length: usize) -> Vec<usize> {
    let pieces = rng.random_range(1..=MOST_PIECES);
    let mut cuts: Vec<usize> = (1..pieces).map(|_| rng.random_range(0..=length)).collect();
    cuts.sort_unstable();
    cuts
}

/// The beginning of a request in readable form: printable ASCII unchanged, everything else escaped.
pub fn shown(bytes: &[u8], limit: usize) -> String {
    let text = bytes[..bytes.len().min(limit)].escape_ascii().to_string();
    match bytes.len() > limit {
        true => format!("{text}… ({} bytes)", bytes.len()),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_request_follows_from_seed_and_number() {
        for index in 0..200 {
            assert_eq!(shot(7, index), shot(7, index));
        }
        let some = |seed| {
            (0..200)
                .map(|index| shot(seed, index).bytes)
                .collect::<HashSet<_>>()
        };
        assert!(some(1).len() > 150, "{} of 200 differ", some(1).len());
        assert!(some(1).intersection(&some(2)).count() < 50);
    }

    #[test]
    fn cuts_lie_within_the_request() {
        for index in 0..500 {
            let shot = shot(3, index);
            assert!(shot.cuts.is_sorted());
            assert!(shot.cuts.iter().all(|cut| *cut <= shot.bytes.len()));
        }
    }

    #[test]
    fn what_is_drawn_is_valid_wrong_and_broken() {
        let all: Vec<Vec<u8>> = (0..3_000).map(|index| shot(1, index).bytes).collect();
        let having = |needle: &[u8]| {
            let has = |bytes: &&Vec<u8>| bytes.windows(needle.len()).any(|part| part == needle);
            all.iter().filter(has).count()
        };
        assert!(all.contains(&referee::raw::get("/ping")));
        for needle in [
            &b"\0"[..],
            b"Transfer-Encoding",
            b"HTTP/1.0",
            b"DELETE",
            b"\xff",
        ] {
            assert!(having(needle) > 10, "{}", shown(needle, 99));
        }
        assert!(all.iter().any(|bytes| bytes.len() > 60_000));
        assert_eq!(
            having(b"SKU-LIMITED"),
            0,
            "the referee counts that item's units later"
        );
    }

    #[test]
    fn bytes_are_shown_with_escapes() {
        assert_eq!(shown(b"a\r\n\0\xff", 9), r"a\r\n\x00\xff");
        assert_eq!(shown(b"abcdef", 3), "abc… (6 bytes)");
    }
}
