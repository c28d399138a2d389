//! Helpers for numbers and lists in text.

use std::fmt::Display;

/// As in `1 server` or `2 servers`.
pub fn counted<N: Display + PartialEq + From<u8>>(count: N, thing: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// As in `a`, `a and b` or `a, b and c`.
pub fn listed(all: &[&str]) -> String {
    match all {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => all.concat(),
    }
}

/// With commas between thousands.
pub fn grouped(number: impl Display) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{counted, grouped, listed};

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0, 999, 1_000, 65_536, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "65,536", "1,234,567"]);
    }

    #[test]
    fn the_last_is_joined_by_and() {
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&["a"]), "a");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn only_one_is_singular() {
        assert_eq!(counted(0_u32, "server"), "0 servers");
        assert_eq!(counted(1_usize, "server"), "1 server");
        assert_eq!(counted(2_u64, "server"), "2 servers");
    }
}
