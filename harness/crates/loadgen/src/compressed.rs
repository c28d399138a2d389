//! Compressed bodies.

use std::io::Read as _;

use brotli::{CompressorReader, Decompressor};
use flate2::Compression;
use flate2::bufread::{GzEncoder, MultiGzDecoder};

/// Most bytes of a decompressed body: a few KiB could become gigabytes.
const MOST: u64 = 64 << 20;
/// Brotli's own default, as the base-2 logarithm of bytes.
const BROTLI_WINDOW: u32 = 22;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Gzip, Self::Brotli];

    /// As in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }

    /// The coding of this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|coding| coding.name().eq_ignore_ascii_case(name))
    }

    /// The coding that the head of a response names.
    pub fn of_head(head: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(head);
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
        Self::named(found?.1.trim())
    }

    /// The decompressed body; `None` if it isn't of this coding up to its last byte, or too long.
    pub fn decode(self, body: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        match self {
            Self::Gzip => {
                let decoder = MultiGzDecoder::new(body);
                decoder.take(MOST + 1).read_to_end(&mut plain).ok()?;
            }
            Self::Brotli => {
                let mut decoder = Decompressor::new(body, body.len());
                let mut bounded = decoder.by_ref().take(MOST + 1);
                bounded.read_to_end(&mut plain).ok()?;
                // Bytes that follow the end make only another read fail.
                if decoder.read(&mut [0]).ok()? > 0 {
                    return None;
                }
            }
        }
        (plain.len() as u64 <= MOST).then_some(plain)
    }

    /// The body compressed at a level from 0 to 9.
    pub fn encode(self, plain: &[u8], level: u32) -> Vec<u8> {
        let mut body = Vec::new();
        let read = match self {
            Self::Gzip => GzEncoder::new(plain, Compression::new(level)).read_to_end(&mut body),
            Self::Brotli => {
                CompressorReader::new(plain, 4_096, level, BROTLI_WINDOW).read_to_end(&mut body)
            }
        };
        read.expect("memory can be read");
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_decompressed_whatever_its_level() {
        let plain = b"users ".repeat(1_000);
        for coding in Coding::ALL {
            for level in [0, 1, 6, 9] {
                assert_eq!(
                    coding.decode(&coding.encode(&plain, level)),
                    Some(plain.clone()),
                    "{coding:?} {level}"
                );
            }
        }
    }

    #[test]
    fn what_is_cut_or_followed_by_more_is_wrong() {
        for coding in Coding::ALL {
            let right = coding.encode(&b"users ".repeat(1_000), 6);
            for cut in [0, 1, right.len() / 2, right.len() - 8, right.len() - 1] {
                let plain = coding.decode(&right[..cut]);
                assert_eq!(plain.filter(|plain| !plain.is_empty()), None, "{coding:?}");
            }
            for more in [&b"m"[..], b"more", &[0; 10_000]] {
                assert_eq!(
                    coding.decode(&[&right[..], more].concat()),
                    None,
                    "{coding:?}"
                );
            }
            assert_eq!(coding.decode(b"{}"), None, "{coding:?}");
        }
    }

    #[test]
    fn what_is_changed_is_wrong_or_holds_something_else() {
        let plain = (0..500).flat_map(|n| format!("user {n}, ").into_bytes());
        let plain: Vec<u8> = plain.collect();
        for coding in Coding::ALL {
            let right = coding.encode(&plain, 6);
            for at in [right.len() / 2, right.len() - 8] {
                let mut changed = right.clone();
                changed[at] ^= 1;
                let held = coding.decode(&changed);
                assert_ne!(held.as_ref(), Some(&plain), "{coding:?} {at}");
                // Gzip has a sum, Brotli none.
                assert!(held.is_none() || coding == Coding::Brotli);
            }
        }
    }

    #[test]
    fn a_body_that_becomes_too_long_is_refused() {
        for coding in Coding::ALL {
            let bomb = coding.encode(&vec![0; (MOST + 1) as usize], 9);
            assert!(bomb.len() < 100_000);
            assert_eq!(coding.decode(&bomb), None, "{coding:?}");
        }
    }

    #[test]
    fn the_head_names_the_coding() {
        let of =
            |field: &str| Coding::of_head(format!("HTTP/1.1 200 OK\r\n{field}\r\n").as_bytes());
        assert_eq!(of("content-encoding: br\r\n"), Some(Coding::Brotli));
        assert_eq!(of("Content-Encoding:GZIP\r\n"), Some(Coding::Gzip));
        for field in ["", "Content-Encoding: zstd\r\n", "Vary: br\r\n"] {
            assert_eq!(of(field), None, "{field}");
        }
    }
}
