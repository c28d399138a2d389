//! Bodies compressed with gzip.

use std::io::Read as _;

use flate2::bufread::MultiGzDecoder;

/// Most bytes of a decompressed body: a few KiB could become gigabytes.
const MOST: u64 = 64 << 20;

/// The decompressed body; `None` if it isn't gzip up to its last byte, or too long.
pub fn gunzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut decoder = MultiGzDecoder::new(body).take(MOST + 1);
    decoder.read_to_end(&mut plain).ok()?;
    (plain.len() as u64 <= MOST).then_some(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(plain: &[u8], level: u32) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_body_is_decompressed_whatever_its_level() {
        let plain = b"users ".repeat(1_000);
        for level in [0, 1, 6, 9] {
            assert_eq!(gunzip(&gzip(&plain, level)), Some(plain.clone()));
        }
    }

    #[test]
    fn what_is_cut_or_changed_or_followed_by_more_is_not_gzip() {
        let right = gzip(&b"users ".repeat(1_000), 6);
        for cut in [0, 1, right.len() / 2, right.len() - 8, right.len() - 1] {
            assert_eq!(
                gunzip(&right[..cut]).filter(|plain| !plain.is_empty()),
                None
            );
        }
        let mut wrong_sum = right.clone();
        wrong_sum[right.len() - 8] ^= 1;
        assert_eq!(gunzip(&wrong_sum), None);
        assert_eq!(gunzip(&[&right[..], b"more"].concat()), None);
        assert_eq!(gunzip(b"{}"), None);
    }

    #[test]
    fn a_body_that_becomes_too_long_is_refused() {
        let bomb = gzip(&vec![0; (MOST + 1) as usize], 9);
        assert!(bomb.len() < 100_000);
        assert_eq!(gunzip(&bomb), None);
    }
}
