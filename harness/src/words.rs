//! Numbers in words, for everything that makes text.

use std::fmt::Display;

/// As in `1 server` or `2 servers`.
pub(crate) fn counted<N: Display + PartialEq + From<u8>>(count: N, thing: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn only_one_is_singular() {
        assert_eq!(counted(0_u32, "server"), "0 servers");
        assert_eq!(counted(1_usize, "server"), "1 server");
        assert_eq!(counted(2_u64, "server"), "2 servers");
    }
}
