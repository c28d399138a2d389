//! Reduces a harmful request to what does the harm.

/// Removes pieces, large ones first, as long as `harms` is still true. Calls it at most `tries` times. The
/// result still does harm.
pub fn minimise(bytes: &[u8], tries: usize, mut harms: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut least = bytes.to_vec();
    let mut left = tries;
    let mut size = least.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        let mut removed = false;
        while at < least.len() {
            if left == 0 {
                return least;
            }
            left -= 1;
            let end = (at + size).min(least.len());
            let mut shorter = least.clone();
            shorter.drain(at..end);
            if harms(&shorter) {
                least = shorter;
                removed = true;
            } else {
                at = end;
            }
        }
        size = match (removed, size) {
            (true, 1) => 1,
            _ => size / 2,
        };
    }
    least
}

#[cfg(test)]
mod tests {
    use super::minimise;

    #[test]
    fn what_is_needed_is_left() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX-Kill: yes\r\nX: y\r\n\r\n";
        let harms = |bytes: &[u8]| bytes.windows(6).any(|part| part == b"X-Kill");
        assert_eq!(minimise(bytes, 1_000, harms), b"X-Kill");
    }

    #[test]
    fn it_ends_after_so_many_tries() {
        let mut asked = 0;
        let harms = |_: &[u8]| {
            asked += 1;
            false
        };
        assert_eq!(minimise(&[7; 1_000], 10, harms), [7; 1_000]);
        assert_eq!(asked, 10);
    }
}
